"""Did the machine sleep? Two clocks tell: the one of the wall goes on meanwhile, the other one stops or jumps."""

from typing import Final

JUMP_S: Final = 3.0  # a process that the system neglects for that long is woken late, which does no harm


class SleepWatch:
    """Look at the clocks about every `every_s` seconds."""

    def __init__(self, *, every_s: float, monotonic: float, wall: float) -> None:
        self._every_s = every_s
        self._monotonic = monotonic
        self._wall = wall

    def slept(self, *, monotonic: float, wall: float) -> bool:
        """Whether the machine was away since the last look.

        Linux and macOS stop the monotonic clock while they sleep, so the wall's runs ahead; Windows lets it go on, so
        this look comes much too late. A wall clock that was set back tells nothing.
        """
        passed, passed_on_wall = monotonic - self._monotonic, wall - self._wall
        self._monotonic, self._wall = monotonic, wall
        return passed_on_wall - passed > JUMP_S or passed - self._every_s > JUMP_S
