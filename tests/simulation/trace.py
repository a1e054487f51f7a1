"""What happened in a run, in order, kept as cheaply as can be and put into words only when something went wrong.

The newest events are kept for the report; a checksum goes over all of them, so that two runs can be compared.
"""

from collections import deque
from collections.abc import Callable
from typing import Any
from zlib import crc32

KEPT_EVENTS = 80


class Violation(BaseException):
    """Something is not as it must be. Not an Exception: nothing under test may catch it and go on."""


class Trace:
    """The story of one seed. `note` takes a kind of event and what belongs to it; `clock` gives virtual seconds."""

    def __init__(
        self, seed: int, clock: Callable[[], float], *, checksum: bool = False, kept: int = KEPT_EVENTS
    ) -> None:
        self.seed = seed
        self.broken: str | None = None
        self.count = 0
        self.checksum = 0
        self._clock = clock
        self._wants_checksum = checksum
        self._events: deque[tuple[float, str, tuple[Any, ...]]] = deque(maxlen=kept)

    def note(self, kind: str, *what: Any) -> None:
        now = self._clock()
        self.count += 1
        self._events.append((now, kind, what))
        if self._wants_checksum:
            self.checksum = crc32(f"{now!r} {kind} {what!r}".encode(), self.checksum)

    def violation(self, sentence: str) -> Violation:
        """Raise what this returns. The first violation is the one that is reported, whoever swallows it."""
        if self.broken is None:
            self.broken = sentence
            self.note("VIOLATION", sentence)
        return Violation(sentence)

    def report(self) -> str:
        """The violation, how to see it again, and the last events."""
        lines = [f"{now:12.4f}  {kind:<10} {' '.join(map(str, what))}" for now, kind, what in self._events]
        head = f"seed {self.seed}: {self.broken}\nrun it again: make soak SEED={self.seed}\n"
        return head + f"the last {len(lines)} of {self.count} events:\n" + "\n".join(lines)
