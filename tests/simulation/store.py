"""The daemon's disk: a log that survives what kills the daemon, and what a disk may do to those who trust it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bisik_protocol.chat.messages import Entry, decode_entry_untrusted
from bisikd.log.errors import LogFailed
from bisikd.log.format import Record
from tests.simulation.network import Process
from tests.support.memory_log import MemoryLog


class SimulatedLog(MemoryLog):
    """`fails_next` makes the next append fail for good, "before" or "after" it was stored; a restart goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_next: str | None = None

    def append(self, records: Sequence[Record]) -> None:
        if not records:
            return
        if self.fails_next is None:
            super().append(records)
            return
        how, self.fails_next = self.fails_next, None
        if how == "after":
            super().append(records)
        raise LogFailed("The disk failed while the log was written.")

    def entry(self, room: str, seq: int) -> Entry | None:
        """The entry that is stored under a number."""
        found = self.entries(room, seq - 1, 1)
        return decode_entry_untrusted(found[0]) if found and seq > 0 else None


class Mounted:
    """The log as one daemon process has it: dead processes write nothing."""

    def __init__(self, log: SimulatedLog, process: Process) -> None:
        self._log = log
        self._process = process

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._log, name)
        return partial(self._touch, name, found) if callable(found) else found

    def _touch(self, name: str, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """A task that was about to run when its process died may still ask a worker for this; no worker does it."""
        assert self._process.alive or name == "close", "a dead daemon touched the disk"
        return method(*arguments, **options)
