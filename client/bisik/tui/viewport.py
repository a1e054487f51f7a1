"""Which lines of a long list are on the screen: laid out from where one looks, and never more than that.

What is held fast is the bottom: an item and how many of its lines are below the screen. So nothing jumps when a page
of the past is put before, and with nothing held it follows the end. The work for a key is that of a screenful,
whatever the length of the list.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

L = TypeVar("L")


class Positions(Protocol):
    """A list with absolute positions."""

    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int:
        """Behind the last item."""


class Viewport(Generic[L]):
    """`lines_of(position)` lays out an item; it is expected to remember what it has laid out."""

    def __init__(self, positions: Positions, lines_of: Callable[[int], list[L]]) -> None:
        self._positions = positions
        self._lines_of = lines_of
        self._bottom: int | None = None  # an item; None: follow the end
        self._below = 0  # of its lines, under the screen
        self.above = False
        """Whether there is more of the list above what was laid out last."""

    @property
    def following(self) -> bool:
        """Whether the end is on the screen, and stays there when something is added."""
        return self._bottom is None

    @property
    def bottom(self) -> int:
        """The position of the last item on the screen."""
        return self._positions.last - 1 if self._bottom is None else self._clamped(self._bottom)

    def follow(self) -> None:
        """Go to the end, and stay there."""
        self._bottom, self._below = None, 0

    def hold(self, position: int) -> None:
        """Put the end of an item at the bottom of the screen."""
        self._bottom, self._below = position, 0

    def lines(self, height: int) -> list[L]:
        """What is on the screen, at most `height` lines."""
        first, last = self._positions.first, self._positions.last
        if last <= first or height <= 0:
            self.above = False
            return []
        position, below = self._start()
        found = self._upwards(position, below, height)
        if len(found) < height and not self.following:  # the beginning is on the screen: fill it from there
            found = self._downwards(first, height)
        return found

    def scroll(self, lines: int, height: int) -> int:
        """Look so many lines further up, or down where it is negative. Returns how far it went."""
        if self._positions.last <= self._positions.first:
            return 0
        return self._up(lines, height) if lines > 0 else -self._down(-lines)

    def lines_above(self, height: int, enough: int) -> int:
        """How many lines of the list are above the screen; it stops counting at `enough`."""
        if self._positions.last <= self._positions.first:
            return 0
        position, below = self._start()
        return max(0, len(self._upwards(position, below, height + enough)) - height)

    # Inside -----------------------------------------------------------------------------------------------------

    def _start(self) -> tuple[int, int]:
        if self._bottom is None:
            return self._positions.last - 1, 0
        position = self._clamped(self._bottom)
        below = self._below if position == self._bottom else 0
        return position, min(below, max(0, len(self._lines_of(position)) - 1))

    def _clamped(self, position: int) -> int:
        return max(self._positions.first, min(position, self._positions.last - 1))

    def _upwards(self, position: int, below: int, height: int) -> list[L]:
        """The `height` lines that end at a place."""
        lines = self._lines_of(position)
        found = lines[: len(lines) - below]
        while len(found) < height and position > self._positions.first:
            position -= 1
            found = self._lines_of(position) + found
        self.above = len(found) > height or position > self._positions.first
        return found[-height:]

    def _downwards(self, position: int, height: int) -> list[L]:
        found: list[L] = []
        while position < self._positions.last and len(found) < height:
            found += self._lines_of(position)
            position += 1
        self.above = False
        return found[:height]

    def _up(self, lines: int, height: int) -> int:
        position, below = self._start()
        possible = self.lines_above(height, lines)
        left = min(lines, possible)
        gone = left
        while left:
            rest = len(self._lines_of(position)) - below
            if left < rest:
                below += left
                break
            left, below = left - rest, 0
            position -= 1
        if gone:
            self._bottom, self._below = position, below
        return gone

    def _down(self, lines: int) -> int:
        if self.following:
            return 0
        position, below = self._start()
        gone = 0
        while gone < lines:
            if below:
                step = min(below, lines - gone)
                below, gone = below - step, gone + step
            elif position + 1 < self._positions.last:
                position += 1
                below = len(self._lines_of(position))
            else:
                break
        at_end = below == 0 and position + 1 >= self._positions.last
        self._bottom, self._below = (None, 0) if at_end else (position, below)
        return gone
