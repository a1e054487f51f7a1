"""Where lines appear: above what is being typed on a terminal, on two streams everywhere else."""

import pytest

from bisik.screen import MAX_HELD_LINES, Pipes, PlainScreen, TerminalScreen, can_redraw, wants_color


@pytest.fixture(autouse=True)
def forty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bisik.screen._columns", lambda: 40)


class TestTerminalScreen:
    def test_the_bottom_line_is_erased_and_drawn_again(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Around everything that is printed."""
        screen = TerminalScreen(color=False)
        screen.draw("#lobby> ", "hal")
        screen.show("09:00 <ayu> halo")
        screen.talk("-- Connected.")
        screen.close()
        assert capsys.readouterr().out == (
            "\r\x1b[K#lobby> hal\r\x1b[K09:00 <ayu> halo\n#lobby> hal\r\x1b[K-- Connected.\n#lobby> hal\r\x1b[K"
        )

    def test_talk_is_dimmed_where_colour_is_wanted(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Data is not."""
        screen = TerminalScreen(color=True)
        screen.talk("talk")
        screen.show("data")
        assert capsys.readouterr().out == "\r\x1b[K\x1b[2mtalk\x1b[0m\n\r\x1b[Kdata\n"

    @pytest.mark.parametrize(("typed", "seen"), [("x" * 100, "x" * 39), ("日" * 100, "日" * 19)])
    def test_it_is_never_longer_than_the_terminal_is_wide(
        self, capsys: pytest.CaptureFixture[str], typed: str, seen: str
    ) -> None:
        """So that erasing one row erases it."""
        TerminalScreen(color=False).draw("> ", typed)
        assert capsys.readouterr().out == f"\r\x1b[K{seen}"

    def test_what_is_typed_is_harmless_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It may have been pasted."""
        TerminalScreen(color=False).draw("> ", "a\u202eb\x9bc")
        out = capsys.readouterr().out
        assert "\u202e" not in out
        assert "\x9b" not in out


class TestPipes:
    def test_data_and_talk_go_different_ways(self, capsys: pytest.CaptureFixture[str]) -> None:
        """And nobody sees a prompt."""
        pipes = Pipes()
        pipes.draw("#lobby> ", "hal")
        pipes.show("data")
        pipes.talk("talk")
        written = capsys.readouterr()
        assert (written.out, written.err) == ("data\n", "talk\n")


class TestWhatThereIs:
    @pytest.mark.parametrize(
        ("terminal", "term", "possible"),
        [(True, "xterm", True), (True, "dumb", False), (True, "", False), (False, "xterm", False)],
    )
    def test_redrawing_needs_a_terminal_that_can(
        self, monkeypatch: pytest.MonkeyPatch, terminal: bool, term: str, possible: bool
    ) -> None:
        """On both ends, and not a dumb one."""
        monkeypatch.setattr("os.isatty", lambda _: terminal)
        monkeypatch.setenv("TERM", term or "dumb")
        assert can_redraw() is possible

    @pytest.mark.parametrize(("value", "wanted"), [(None, True), ("", True), ("1", False), ("0", False)])
    def test_no_color(self, monkeypatch: pytest.MonkeyPatch, value: str | None, wanted: bool) -> None:
        """Set and not empty, whatever it is set to."""
        if value is None:
            monkeypatch.delenv("NO_COLOR", raising=False)
        else:
            monkeypatch.setenv("NO_COLOR", value)
        assert wants_color() is wanted


class TestPlainScreen:
    """Nothing is drawn again: each byte that was written stays true."""

    def test_what_arrives_waits_until_the_line_is_entered(self, capsys: pytest.CaptureFixture[str]) -> None:
        """So it never comes between; and then in the order in which it came."""
        screen = PlainScreen()
        screen.draw("#lobby> ", "")
        screen.show("one")
        screen.draw("#lobby> ", "ha")
        screen.show("two")
        screen.talk("three")
        screen.draw("#lobby> ", "halo")
        screen.entered()
        screen.draw("#lobby> ", "")
        assert capsys.readouterr().out == "one\nhalo\ntwo\nthree\n"

    def test_what_is_taken_back_is_taken_back_column_by_column(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Wide letters take two; an empty line lets out what waited; typed control characters are shown harmless."""
        screen = PlainScreen()
        for typed in ("a日", "a", "ab", ""):
            screen.draw("", typed)
            screen.show(f"after {typed}") if typed == "ab" else None
        screen.draw("", "\x1b[2J")
        assert capsys.readouterr().out == "a日\b \b\b \bb\b \b\b \bafter ab\n␛[2J"

    def test_of_very_much_the_last_is_kept(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Somebody may leave a half-typed line for days."""
        screen = PlainScreen()
        screen.draw("", "x")
        for number in range(MAX_HELD_LINES + 5):
            screen.show(str(number))
        screen.close()
        assert len(capsys.readouterr().out.splitlines()) == MAX_HELD_LINES + 1
