"""What every campaign is given and what it gives back: a budget of seconds, a count to reach, and a result."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import gcd
from typing import Final, TypeVar

T = TypeVar("T")

MAX_PROBLEMS: Final = 20  # after so many there is nothing to learn from more


class Budget:
    """Seconds to spend; a campaign ends where they end, and says how far it came."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    @property
    def spent(self) -> bool:
        return time.monotonic() >= self._ends

    def take(self, things: Iterable[T]) -> Iterator[T]:
        """The things, one after the other, until the seconds are over."""
        for thing in things:
            if self.spent:
                return
            yield thing


@dataclass
class Result:
    """What came of a campaign. `problems` are sentences; each says how to see it again."""

    done: int = 0
    wanted: int = 0
    unit: str = "cases"
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0

    def problem(self, sentence: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(sentence)

    def line(self, name: str) -> str:
        if self.skipped:
            return f"{name:<12} skipped: {self.skipped}"
        came = f"{self.done:,}" if self.done >= self.wanted else f"{self.done:,} of {self.wanted:,}"
        verdict = f"{len(self.problems)} PROBLEMS" if self.problems else "0 problems"
        notes = "".join(f"; {note}" for note in self.notes)
        return f"{name:<12} {came} {self.unit}{notes}: {verdict}, {self.seconds:.0f} s"


Campaign = Callable[[Budget, int], Result]
"""Runs until so many cases are done, or the budget is spent. A count of 0 means all that there are."""


def spread(total: int) -> Iterator[int]:
    """The numbers below `total`, each once, in an order in which every beginning is spread over all of them."""
    step = max(1, int(total * 0.6180339887))
    while gcd(step, total) != 1:
        step += 1
    return (at * step % total for at in range(total))
