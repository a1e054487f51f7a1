"""Where blocking work runs: in worker threads, with a bound of its own for each kind. A simulation gives a fake."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import trio

T = TypeVar("T")


class Workers(Protocol):
    """`await workers(function, *arguments)` gives the function's result without holding up other tasks.

    `waiting` is how many calls wait for a turn.
    """

    @property
    def waiting(self) -> int: ...

    async def __call__(self, function: Callable[..., T], *arguments: Any) -> T: ...


class Threads:
    """At most `at_once` calls run at the same time; the others wait in the order they came."""

    def __init__(self, at_once: int) -> None:
        self._limiter = trio.CapacityLimiter(at_once)

    @property
    def waiting(self) -> int:
        """How many calls wait for a turn."""
        return self._limiter.statistics().tasks_waiting

    async def __call__(self, function: Callable[..., T], *arguments: Any) -> T:
        return await trio.to_thread.run_sync(function, *arguments, limiter=self._limiter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocking:
    """The daemon's workers, so that a burst of one kind of work does not starve the others."""

    hashing: Workers  # Argon2: 64 MiB each
    writing: Workers  # the log and the accounts
    reading: Workers  # the log


def in_threads() -> Blocking:
    """Real threads. Two writers: the log's own, and one account beside it."""
    return Blocking(hashing=Threads(2), writing=Threads(2), reading=Threads(4))
