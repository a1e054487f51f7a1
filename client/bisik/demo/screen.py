"""How the demo looks: what both people see, side by side as it happens, and a table at the end.

Plain ASCII, colour only where somebody looks at it (a terminal, and no NO_COLOR). It knows what is printed and not
why.
"""

import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import click

from bisik.demo.report import Person
from bisik_protocol.chat.text import harmless

COLOURS: Final = ("cyan", "yellow")
MIN_COLUMN: Final = 34
MAX_COLUMN: Final = 64
INDENT: Final = "    "


class Screen:
    """Two columns, one for each of `people`. What both see at about the same time shares a row."""

    def __init__(self, people: Sequence[str], *, colour: bool | None = None, width: int | None = None) -> None:
        self._people = list(people)
        self._colour = _somebody_looks() if colour is None else colour
        width = width or shutil.get_terminal_size((110, 24)).columns
        self._column = max(MIN_COLUMN, min(MAX_COLUMN, (width - 3) // 2))
        self._waiting: _Cell | None = None  # one half of a row; the other may come

    def headings(self) -> None:
        """Whose column is whose."""
        self.say("")
        for half, name in enumerate(self._people):
            self._put(_Cell(half, f"what {name} sees", bold=True), together=True)
        for half in range(len(self._people)):
            self._put(_Cell(half, "-" * self._column), together=True)

    def message(self, viewer: str, room: str, author: str, text: str) -> None:
        """Somebody's message came to `viewer`."""
        colour = COLOURS[self._people.index(author)] if author in self._people else None
        row = f"{harmless(room)} <{harmless(author)}> {harmless(text)}"
        self._put(_Cell(self._people.index(viewer), row, fg=colour))

    def note(self, viewer: str, text: str) -> None:
        """Something else that `viewer` sees."""
        self._put(_Cell(self._people.index(viewer), f"* {harmless(text)}", dim=True))

    def event(self, text: str) -> None:
        """Something that happens to all of them."""
        self.say(f" {text} ".center(2 * self._column + 3, "="), fg="red", bold=True)

    def say(self, text: str, *, fg: str | None = None, bold: bool = False) -> None:
        """Plain lines."""
        self._flush()
        self._echo(click.style(text, fg=fg, bold=bold or None))

    def _put(self, cell: "_Cell", *, together: bool = False) -> None:
        waiting = self._waiting
        if waiting is not None and waiting.half != cell.half and (together or waiting.text == cell.text):
            self._waiting = None
            self._row(*sorted((waiting, cell), key=lambda cell: cell.half))
        else:
            self._flush()
            self._waiting = cell

    def _flush(self) -> None:
        cell, self._waiting = self._waiting, None
        if cell is not None:
            self._row(*(cell if half == cell.half else _Cell(half, "") for half in range(len(self._people))))

    def _row(self, left: "_Cell", right: "_Cell") -> None:
        for ours, theirs in zip_longest(left.lines(self._column), right.lines(self._column), fillvalue=""):
            gap = " " * (self._column - len(ours))
            self._echo(f"{left.styled(ours)}{gap} | {right.styled(theirs)}".rstrip())

    def _echo(self, line: str) -> None:
        encoding = sys.stdout.encoding or "ascii"  # not every terminal has every character
        click.echo(line.encode(encoding, "replace").decode(encoding), color=self._colour)


@dataclass(frozen=True, slots=True)
class _Cell:
    half: int
    text: str
    fg: str | None = None
    bold: bool = False
    dim: bool = False

    def lines(self, width: int) -> list[str]:
        return textwrap.wrap(self.text, width, subsequent_indent=INDENT)

    def styled(self, line: str) -> str:
        return click.style(line, fg=self.fg, bold=self.bold or None, dim=self.dim or None) if line else ""


def people_table(people: Sequence[Person]) -> str:
    """What came of everybody's messages."""
    rows: list[tuple[str, list[str]]] = [
        ("sent", [str(person.sent) for person in people]),
        ("stored", [str(person.stored) for person in people]),
        ("delivered (of the other's)", [str(person.delivered) for person in people]),
        ("lost", [str(person.lost) for person in people]),
        ("doubled", [str(person.doubled) for person in people]),
        ("out of order", [str(person.out_of_order) for person in people]),
        ("median latency", [_seconds(person.median_s) for person in people]),
        ("worst latency", [_seconds(person.worst_s) for person in people]),
        ("worst across the crash", [_seconds(person.worst_in_outage_s) for person in people]),
    ]
    return _table([person.name for person in people], rows)


def network_table(ways: Sequence[tuple[str, Counter[str]]]) -> str:
    """What the network did to the datagrams."""
    rows: list[tuple[str, list[str]]] = [
        ("datagrams", [str(counts["offered"]) for _, counts in ways]),
        ("lost on the way", [f"{counts['lost']} ({_share(counts)})" for _, counts in ways]),
        ("copied", [str(counts["duplicated"]) for _, counts in ways]),
        ("damaged", [str(counts["corrupted"]) for _, counts in ways]),
        ("overtaken by a later one", [str(counts["overtaken"]) for _, counts in ways]),
    ]
    return _table([name for name, _ in ways], rows)


def _table(headings: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    lines = [f"{'':28}" + "".join(f"{heading:>16}" for heading in headings)]
    lines += [f"  {name:26}" + "".join(f"{value:>16}" for value in values) for name, values in rows]
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _share(counts: Counter[str]) -> str:
    return f"{100 * counts['lost'] / max(1, counts['offered']):.0f}%"


def _somebody_looks() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
