"""Virtual time: Trio's mock clock, which jumps to the next moment as soon as every task waits.

A jump goes to the next deadline of a task or to the next event of the network, whichever is first. Network events run
in the jump itself, between two turns of the scheduler: half of all the work would otherwise be a task's being woken
to deliver one datagram.
"""

import heapq
import math
from collections.abc import Callable

import trio
import trio.testing

EVENTS_AT_ONCE = 20_000  # at one moment: more is a loop that never ends


class VirtualTime:
    """`clock` is for `trio.run`. `on_failure` is told what an event raised; the run has to end then."""

    def __init__(self, on_failure: Callable[[BaseException], None]) -> None:
        self.clock = trio.testing.MockClock(autojump_threshold=0)
        self.clock.current_time = self.now  # type: ignore[method-assign]
        self.clock._autojump = self._jump  # type: ignore[method-assign]
        self._on_failure = on_failure
        self._now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._at_once = 0

    def now(self) -> float:
        """Seconds since the run began."""
        return self._now

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Do something at a moment, or at once where that has passed."""
        self._number += 1
        heapq.heappush(self._events, (time, self._number, act))

    def _jump(self) -> None:
        deadlines = trio._core._run.GLOBAL_RUN_CONTEXT.runner.deadlines
        deadline = deadlines.next_deadline()
        event_at = self._events[0][0] if self._events else math.inf
        earliest = min(deadline, event_at)
        if earliest > self._now:
            if earliest == math.inf:
                return
            self._now = earliest
            self._at_once = 0
        if event_at <= deadline:
            self._run_events()
        else:
            deadlines.expire(self._now)

    def _run_events(self) -> None:
        now, events = self._now, self._events
        try:
            while events and events[0][0] <= now:
                heapq.heappop(events)[2]()
                self._at_once += 1
            if self._at_once > EVENTS_AT_ONCE:
                raise AssertionError("time stands still: datagrams follow datagrams without end")  # noqa: TRY301
        except BaseException as error:  # an exception here would be Trio's own end
            self._on_failure(error)
