"""What the demo claims, computed from what its processes printed and from nothing else.

A claim that does not hold is a sentence in `Report.problems`; the demo succeeded when there is none. It knows no
processes and prints nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from bisik.demo.script import PEOPLE
from bisik.demo.script import Line as Said

Printed = Mapping[str, Any]
"""One line of JSON that a process printed."""

Outage = tuple[float, float]
"""From the moment the daemon was killed to the moment both people heard from its successor, on the shared clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What happened to one person's messages, and to those that this person was to hear."""

    name: str
    sent: int = 0
    stored: int = 0
    delivered: int = 0
    """Of the other's messages, how many came."""
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    latencies_s: list[float] = field(default_factory=list)
    """For each message that came from the other: how long it took, from the tongue to the ear."""
    latencies_in_outage_s: list[float] = field(default_factory=list)
    """The same for messages that were under way at some time while the daemon was dead."""

    @property
    def median_s(self) -> float | None:
        return median(self.latencies_s) if self.latencies_s else None

    @property
    def worst_s(self) -> float | None:
        return max(self.latencies_s, default=None)

    @property
    def worst_in_outage_s(self) -> float | None:
        return max(self.latencies_in_outage_s, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that the table at the end says."""

    people: list[Person]
    problems: list[str]


def person_report(
    planned: Sequence[Said], name: str, printed: Mapping[str, Sequence[Printed]], outage: Outage
) -> Person:
    """How it went for one person. `printed` holds both people's lines by name."""
    (other,) = [person for person in PEOPLE if person != name]
    own = printed[name]
    heard = [line for line in own if line["type"] == "message"]
    times_said = {
        (other, line["room"], line["text"]): line["at"] for line in printed[other] if line["type"] == "said"
    }
    times_heard = Counter(_key(line) for line in heard)
    spans = [
        (times_said[_key(line)], line["at"]) for line in heard if line["author"] == other and _key(line) in times_said
    ]
    killed, back = outage
    return Person(
        name=name,
        sent=sum(line["type"] == "said" for line in own),
        stored=sum(line["type"] == "stored" for line in own),
        delivered=sum(key[0] == other for key in times_heard),
        lost=sum(times_heard[line.author, line.room, line.text] == 0 for line in planned),
        doubled=sum(count - 1 for count in times_heard.values()),
        out_of_order=_out_of_order(planned, own),
        latencies_s=[to - since for since, to in spans if to < killed or since > back],
        latencies_in_outage_s=[to - since for since, to in spans if not (to < killed or since > back)],
    )


def problems_of(planned: Sequence[Said], person: Person, printed: Sequence[Printed]) -> list[str]:
    """A sentence for each claim about this person that does not hold. `printed` is what this person's process did."""
    name = person.name
    to_say = sum(line.author == name for line in planned)
    to_hear = len(planned) - to_say
    problems = [
        sentence
        for holds, sentence in (
            (person.sent == to_say, f"{name} said {person.sent} of {to_say} lines."),
            (person.stored == person.sent, f"{person.stored} of {name}'s {person.sent} lines were reported stored."),
            (person.delivered == to_hear, f"{name} heard {person.delivered} of {to_hear} lines."),
            (not person.lost, f"{person.lost} lines never came to {name}."),
            (not person.doubled, f"{person.doubled} lines came to {name} twice."),
            (not person.out_of_order, f"{person.out_of_order} lines came to {name} out of order."),
        )
        if not holds
    ]
    said = {line["number"]: line["text"] for line in printed if line["type"] == "said"}
    receipts = {line["id"]: (line["room"], said.get(line["number"])) for line in printed if line["type"] == "stored"}
    heard_of_own = {
        line["id"]: (line["room"], line["text"])
        for line in printed
        if line["type"] == "message" and line["author"] == name
    }
    if receipts != heard_of_own:
        problems.append(f"{name}'s receipts are not for the messages that everybody saw.")
    strange = {_key(line) for line in printed if line["type"] == "message"} - {
        (line.author, line.room, line.text) for line in planned
    }
    problems += [f"{name} heard what nobody said: {author} in {room}." for author, room, _ in sorted(strange)]
    problems += [f"{name} was warned: {line['text']}" for line in printed if line["type"] == "notice"]
    return problems


def _key(line: Printed) -> tuple[str, str, str]:
    return line["author"], line["room"], line["text"]


def _out_of_order(planned: Sequence[Said], printed: Sequence[Printed]) -> int:
    """How often a line came after one that it should have come before: by the room's count, or by its author's."""
    wrong = 0
    for room in {line.room for line in planned}:
        seqs = [
            line["seq"] for line in printed if line["type"] in ("message", "join", "leave") and line["room"] == room
        ]
        wrong += sum(later < earlier for earlier, later in pairwise(seqs))
        for author in PEOPLE:
            order = {line.text: n for n, line in enumerate(planned) if (line.author, line.room) == (author, room)}
            said = [
                order[line["text"]]
                for line in printed
                if line["type"] == "message"
                and (line["author"], line["room"]) == (author, room)
                and line["text"] in order
            ]
            wrong += sum(later < earlier for earlier, later in pairwise(said))
    return wrong
