"""How the demo looks: two columns, plain where nobody looks, harmless whatever is said."""

from collections import Counter

import pytest

from bisik.demo.report import Person
from bisik.demo.screen import Screen, network_table, people_table

BAR = " | "


def screen(*, colour: bool = False, width: int = 83) -> Screen:
    """Two columns of 40 characters."""
    return Screen(("tama", "sari"), colour=colour, width=width)


def halves(output: str) -> list[tuple[str, str]]:
    """Each row's left and right half."""
    return [(row[:40].rstrip(), row[43:]) for row in output.splitlines()]


def test_each_sees_in_a_column_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Left is what tama sees, right what sari sees, in the order of what happens."""
    it = screen()
    it.note("tama", "Connected.")
    it.message("sari", "#lobby", "tama", "halo")
    it.event("boom")
    left, right, event = capsys.readouterr().out.splitlines()
    assert halves(left) == [("* Connected.", "")]
    assert halves(right) == [("", "#lobby <tama> halo")]
    assert event.strip("=") == " boom "


@pytest.mark.parametrize("first", ["tama", "sari"])
def test_what_both_see_shares_a_row(first: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same message on both sides, one right after the other, is one row, whoever saw it first."""
    it = screen()
    for viewer in (first, "sari" if first == "tama" else "tama"):
        it.message(viewer, "#lobby", "sari", "halo")
    it.say("end")
    assert halves(capsys.readouterr().out)[0] == ("#lobby <sari> halo", "#lobby <sari> halo")


def test_what_comes_twice_on_one_side_is_shown_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """Sharing rows hides nothing: a doubled message would be seen."""
    it = screen()
    for viewer in ("tama", "tama", "sari"):
        it.message(viewer, "#lobby", "sari", "halo")
    it.say("end")
    assert [left for left, _ in halves(capsys.readouterr().out)] == ["#lobby <sari> halo"] * 2 + ["end"]


def test_long_lines_are_wrapped_inside_their_column(capsys: pytest.CaptureFixture[str]) -> None:
    """No row is longer than the terminal, and the bar stays where it is."""
    it = screen()
    it.headings()
    it.message("tama", "#lobby", "tama", "panjang sekali " * 10)
    it.message("sari", "#lobby", "tama", "x" * 100)
    it.say("")
    rows = capsys.readouterr().out.splitlines()[1:-1]
    assert len(rows) > 8
    assert all(len(row) <= 83 and row.rstrip()[40:43].strip() == "|" for row in rows)


def test_colour_only_where_somebody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences in a terminal, none in a file."""
    for colour in (True, False):
        it = screen(colour=colour)
        it.message("tama", "#lobby", "sari", "halo")
        it.event("boom")
        assert ("\x1b[" in capsys.readouterr().out) is colour


def test_a_pipe_and_no_color_mean_plain_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A test's stdout is no terminal; with NO_COLOR a terminal is plain, too."""
    Screen(("tama", "sari"), width=83).event("boom")
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    Screen(("tama", "sari"), width=83).event("boom")
    assert "\x1b" not in capsys.readouterr().out


def test_an_escape_sequence_in_a_message_stays_inert(capsys: pytest.CaptureFixture[str]) -> None:
    """What people say never reaches the terminal as it is."""
    it = screen()
    it.message("tama", "#lobby", "sari", "\x1b[2Jhalo")
    it.say("")
    assert "\x1b" not in capsys.readouterr().out


def test_the_tables_say_what_the_report_says() -> None:
    """One column a person, one a direction; a latency that nobody measured is a dash."""
    people = [
        Person(name="tama", sent=50, stored=49, delivered=48, latencies_s=[0.1, 0.25, 3.0]),
        Person(name="sari", sent=47, lost=2, doubled=1, out_of_order=4),
    ]
    rows = {row[:28].strip(): row[28:].split() for row in people_table(people).splitlines()}
    assert rows[""] == ["tama", "sari"]
    assert rows["sent"] == ["50", "47"]
    assert rows["stored"] == ["49", "0"]
    assert rows["lost"] == ["0", "2"]
    assert rows["doubled"] == ["0", "1"]
    assert rows["out of order"] == ["0", "4"]
    assert rows["median latency"] == ["0.25", "s", "-"]
    assert rows["worst latency"] == ["3.00", "s", "-"]
    network = network_table([("up", Counter(offered=200, lost=60)), ("down", Counter())])
    assert "60 (30%)" in network
    assert "0 (0%)" in network
