"""The one way into the log: submissions are queued, written in groups by one worker thread, and told what came of it.

Law 4 lives here: `on_stored` runs after the group's fsync returned, and nothing is sent to anybody before that. A
group is what came together while the group before it was being written: the disk's pace, not a timer, sets its size.
When the log is full nothing is half-stored: the group and all that waits behind it are refused together, and
everybody's idea of "on its way" falls back to what is stored.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import trio

from bisikd.errors import BisikdError
from bisikd.log.errors import LogFull

if TYPE_CHECKING:
    from bisikd.blocking import Workers
    from bisikd.log.format import Record
    from bisikd.log.store import Log

MAX_GROUP_RECORDS: Final = 256  # bounds the time between two turns of the other tasks when a group is delivered
MAX_GROUP_BYTES: Final = 1024 * 1024
MAX_QUEUED: Final = 4_096  # submissions; above it who submits waits, and pulls no more from the network
MAX_QUEUED_BYTES: Final = 8 * 1024 * 1024


class StorageFull(BisikdError):  # noqa: N818 # reads as what it says
    """The log took nothing of what was to be stored: there is no room on its disk."""


class Submission(Protocol):
    """Something to be stored. All three methods are called in the trio thread and must not raise or wait."""

    size: int  # bytes, about

    def record(self, now_ms: int) -> "Record":
        """The record, made when its group is formed: numbers given here have no gaps, whatever was refused before."""

    def on_stored(self) -> None: ...

    def on_refused(self) -> None: ...


class Journal:
    """The log writer. `flush` is called once after each group, when its submissions have queued what they send.

    `tell` is given a sentence for the operator when the log is full, and when it has room again.
    """

    def __init__(
        self,
        log: "Log",
        *,
        now_ms: Callable[[], int],
        writing: "Workers",
        flush: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        self.checkpoint: bytes | None = log.checkpoint()
        self.records_stored = 0
        self.groups_stored = 0
        self.times_full = 0
        self._log = log
        self._now_ms = now_ms
        self._writing = writing
        self._flush = flush
        self._tell = tell
        self._full = False
        self._queue: deque[Submission] = deque()
        self._queued_bytes = 0
        self._time_ms = 0
        self._wake = trio.Event()
        self._room = trio.Event()
        self._finishing = False

    def submit(self, submission: Submission) -> None:
        """Queue it. Who can be made to wait calls `wait_room` first."""
        self._queue.append(submission)
        self._queued_bytes += submission.size
        self._wake.set()

    async def wait_room(self) -> None:
        """Return once the queue is below its bounds."""
        while len(self._queue) >= MAX_QUEUED or self._queued_bytes >= MAX_QUEUED_BYTES:
            await self._room.wait()

    async def store(self, make: "Callable[[int], Record]") -> None:
        """Store one record and return when it is stored. Raises StorageFull."""
        await self.wait_room()
        waiting = _Waiting(make)
        self.submit(waiting)
        await waiting.decided.wait()
        if not waiting.stored:
            raise StorageFull("There is no room left on the disk of this server.")

    async def run(self) -> None:
        """Write until `finish`. Raises LogFailed: nothing can be stored any more, and the daemon has to end."""
        while True:
            if not self._queue:
                if self._finishing:
                    return
                await self._wake.wait()
            self._wake = trio.Event()
            group = self._take_group()
            if group:
                await self._write(group)

    async def sign_head(self) -> None:
        """Sign the log's head if it is time to and no append did. For a timer. Raises LogFailed."""
        if await self._writing(self._log.write_checkpoint_if_due):
            self.checkpoint = self._log.checkpoint()

    async def sign_now(self) -> bytes | None:
        """The checkpoint over everything stored, made now where there is none. Raises LogFull or LogFailed."""
        self.checkpoint = await self._writing(self._log.sign_head)
        return self.checkpoint

    def finish(self) -> None:
        """Let `run` return once everything queued is stored."""
        self._finishing = True
        self._wake.set()

    def _take_group(self) -> list[Submission]:
        group: list[Submission] = []
        size = 0
        while self._queue and len(group) < MAX_GROUP_RECORDS and size < MAX_GROUP_BYTES:
            group.append(self._queue.popleft())
            size += group[-1].size
        self._queued_bytes -= size
        self._room.set()
        self._room = trio.Event()
        return group

    async def _write(self, group: list[Submission]) -> None:
        self._time_ms = max(self._time_ms, self._now_ms())  # the log's time does not run backwards
        records = [submission.record(self._time_ms) for submission in group]
        try:
            self.checkpoint = await self._writing(self._append, records)
        except LogFull as error:
            self.times_full += 1
            if not self._full:
                self._tell(f"{error} Every post is refused until there is room.")
            self._full = True
            self._refuse(group)
        else:
            if self._full:
                self._tell("The log has room again.")
            self._full = False
            self.records_stored += len(records)
            self.groups_stored += 1
            for submission in group:
                submission.on_stored()
        self._flush()

    def _append(self, records: "list[Record]") -> bytes | None:
        self._log.append(records)
        return self._log.checkpoint()

    def _refuse(self, group: list[Submission]) -> None:
        refused = [*group, *self._queue]
        self._queue.clear()
        self._queued_bytes = 0
        self._room.set()
        self._room = trio.Event()
        for submission in refused:
            submission.on_refused()


class _Waiting:
    """A submission that a task waits for."""

    def __init__(self, make: "Callable[[int], Record]") -> None:
        self.size = 1024
        self.decided = trio.Event()
        self.stored = False
        self._make = make

    def record(self, now_ms: int) -> "Record":
        return self._make(now_ms)

    def on_stored(self) -> None:
        self.stored = True
        self.decided.set()

    def on_refused(self) -> None:
        self.decided.set()
