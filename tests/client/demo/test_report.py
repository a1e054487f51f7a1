"""The demo's claims: computed from what was printed, and each of them is able to fail."""

from collections.abc import Callable
from typing import Any

import pytest

from bisik.demo.report import Person, person_report, problems_of
from bisik.demo.script import Line

PLANNED = [
    Line("tama", "#lobby", "satu"),
    Line("sari", "#lobby", "dua"),
    Line("tama", "#dapur", "tiga"),
    Line("sari", "#lobby", "empat"),
    Line("tama", "#lobby", "lima"),
]
NEVER = (0.0, 0.0)

Lines = list[dict[str, Any]]


def printed_by(name: str) -> Lines:
    """What a person's process prints when all goes well: lines are said a second apart and heard 0.1 s later."""
    lines: Lines = [
        {"type": "join", "room": room, "author": name, "seq": 1, "at": 99.0} for room in ("#lobby", "#dapur")
    ]
    seqs = {"#lobby": 1, "#dapur": 1}
    number = 0
    for n, line in enumerate(PLANNED):
        seqs[line.room] += 1
        at, entry = 100.0 + n, {"room": line.room, "seq": seqs[line.room], "id": f"id{n}"}
        if line.author == name:
            number += 1
            lines.append({"type": "said", "number": number, "room": line.room, "text": line.text, "at": at})
            lines.append({"type": "stored", "number": number, **entry, "at": at + 0.05})
        lines.append({"type": "message", "author": line.author, "text": line.text, **entry, "at": at + 0.1})
    return lines


def sari(change: Callable[[Lines], None] = lambda lines: None) -> tuple[Person, list[str]]:
    """The report for sari, after something was changed in what her process printed."""
    printed = {"tama": printed_by("tama"), "sari": printed_by("sari")}
    change(printed["sari"])
    person = person_report(PLANNED, "sari", printed, NEVER)
    return person, problems_of(PLANNED, person, printed["sari"])


def messages(lines: Lines) -> Lines:
    return [line for line in lines if line["type"] == "message"]


def test_when_all_goes_well_there_is_no_problem() -> None:
    """Everything that was said was stored, and came once and in order."""
    person, problems = sari()
    assert problems == []
    assert (person.sent, person.stored, person.delivered) == (2, 2, 3)
    assert (person.lost, person.doubled, person.out_of_order) == (0, 0, 0)


def test_latency_is_from_the_tongue_to_the_others_ear() -> None:
    """The speaker's stamp to the listener's, for the other's messages only."""
    person, _ = sari()
    assert person.latencies_s == pytest.approx([0.1, 0.1, 0.1])
    assert person.median_s == pytest.approx(0.1)
    assert person.worst_s == pytest.approx(0.1)
    assert person.worst_in_outage_s is None


def test_what_was_under_way_while_the_daemon_was_dead_is_counted_apart() -> None:
    """A crash does not hide in the median, nor the other way round."""
    printed = {"tama": printed_by("tama"), "sari": printed_by("sari")}
    late = next(line for line in messages(printed["sari"]) if line["text"] == "tiga")
    late["at"] = 106.0
    person = person_report(PLANNED, "sari", printed, (101.5, 106.0))
    assert person.latencies_s == pytest.approx([0.1])
    assert person.worst_in_outage_s == pytest.approx(4.0)


def test_who_heard_nothing_has_no_latency() -> None:
    """No number is better than a wrong one."""
    person, _ = sari(lambda lines: lines.clear())
    assert (person.median_s, person.worst_s) == (None, None)


def test_a_line_that_never_came_is_lost() -> None:
    """Lost is what was planned and not seen, also of one's own."""
    person, problems = sari(lambda lines: lines.remove(messages(lines)[2]))
    assert person.lost == 1
    assert "1 lines never came to sari." in problems
    assert "sari heard 2 of 3 lines." in problems


def test_a_line_that_comes_again_is_doubled() -> None:
    """The same entry twice."""
    person, problems = sari(lambda lines: lines.append(messages(lines)[-1]))
    assert person.doubled == 1
    assert "1 lines came to sari twice." in problems


def test_a_line_that_was_stored_again_is_doubled() -> None:
    """Another entry with the same words is the same message, stored twice."""
    person, _ = sari(lambda lines: lines.append({**messages(lines)[0], "seq": 6, "id": "another"}))
    assert person.doubled == 1


def test_a_later_line_that_comes_earlier_is_out_of_order() -> None:
    """By the room's numbers, and by what its author said first."""

    def swap(lines: Lines) -> None:
        one, two = (lines.index(line) for line in messages(lines) if line["text"] in ("satu", "lima"))
        lines[one], lines[two] = lines[two], lines[one]

    person, problems = sari(swap)
    assert person.out_of_order
    assert any("out of order" in problem for problem in problems)


def test_an_order_that_only_its_author_would_notice_is_noticed() -> None:
    """Room numbers may rise while an author's lines are stored in the wrong order."""

    def swap_texts(lines: Lines) -> None:
        one, two = (line for line in messages(lines) if line["text"] in ("satu", "lima"))
        one["text"], two["text"] = two["text"], one["text"]

    assert sari(swap_texts)[0].out_of_order == 1


@pytest.mark.parametrize("kind", ["said", "stored"])
def test_what_was_not_said_or_not_stored_is_told(kind: str) -> None:
    """A line that the script had and nobody said, or that never got its receipt."""
    person, problems = sari(lambda lines: lines.remove(next(line for line in lines if line["type"] == kind)))
    assert person.sent + person.stored == 3
    assert problems


def test_a_receipt_for_another_message_is_told() -> None:
    """The receipt's id is the id that everybody sees."""

    def change(lines: Lines) -> None:
        next(line for line in lines if line["type"] == "stored")["id"] = "another"

    assert sari(change)[1] == ["sari's receipts are not for the messages that everybody saw."]


def test_what_nobody_said_is_told() -> None:
    """A message out of nowhere would be worse than a lost one."""
    _, problems = sari(lambda lines: lines.append({**messages(lines)[0], "text": "palsu", "seq": 9, "id": "x"}))
    assert "sari heard what nobody said: tama in #lobby." in problems


def test_a_warning_of_the_client_is_a_problem() -> None:
    """The client warns of broken chains and cut logs; in the demo there must be none."""
    _, problems = sari(lambda lines: lines.append({"type": "notice", "text": "The log is shorter.", "at": 1.0}))
    assert problems == ["sari was warned: The log is shorter."]
