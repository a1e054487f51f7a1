"""The one way into the log: groups, order, refusal together, and nothing told before it is stored."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from bisikd.journal import MAX_GROUP_RECORDS, MAX_QUEUED, Journal, StorageFull
from bisikd.log.errors import LogFailed
from bisikd.log.format import Record, RecordKind
from tests.support.memory_log import MemoryLog


class Disk:
    """Runs blocking work at once, or when the test lets it."""

    waiting = 0

    def __init__(self) -> None:
        self.held: trio.Event | None = None
        self.calls = 0

    def hold(self) -> None:
        self.held = trio.Event()

    def release(self) -> None:
        assert self.held is not None
        self.held.set()
        self.held = None

    async def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self.calls += 1
        if self.held is not None:
            await self.held.wait()
        await trio.lowlevel.checkpoint()
        return function(*arguments)


class Note:
    """A submission that writes down what happens to it."""

    size = 100

    def __init__(self, name: str, story: list[str]) -> None:
        self.name = name
        self.story = story
        self.time_ms = 0

    def record(self, now_ms: int) -> Record:
        self.time_ms = now_ms
        self.story.append(f"record {self.name}")
        return device(now_ms)

    def on_stored(self) -> None:
        self.story.append(f"stored {self.name}")

    def on_refused(self) -> None:
        self.story.append(f"refused {self.name}")


def device(now_ms: int) -> Record:
    return Record(RecordKind.DEVICE, b"\x93\xa1a\xc4\x01k\x01")  # ["a", b"k", 1]


class Desk:
    """A journal over a log in memory, and what happened, in order."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.told: list[str] = []  # to the operator
        self.log = MemoryLog()
        self.disk = Disk()
        self.time_ms = 1000
        self.journal = Journal(
            self.log,  # type: ignore[arg-type]
            now_ms=lambda: self.time_ms,
            writing=self.disk,
            flush=lambda: self.story.append("flush"),
            tell=self.told.append,
        )

    def submit(self, *names: str) -> list[Note]:
        notes = [Note(name, self.story) for name in names]
        for note in notes:
            self.journal.submit(note)
        return notes

    async def finish(self) -> None:
        """Write what is queued and return."""
        self.journal.finish()
        await self.journal.run()


async def test_nothing_is_told_before_the_group_is_stored() -> None:
    """Records are made, then appended, then told, then sent: in this order."""
    desk = Desk()
    desk.submit("a", "b")
    await desk.finish()
    assert desk.story == ["record a", "record b", "stored a", "stored b", "flush"]
    assert len(desk.log.appended) == 1


async def test_what_comes_during_a_write_is_the_next_group() -> None:
    """The pace of the disk makes the groups: one fsync for all that waited for it."""
    desk = Desk()
    desk.disk.hold()
    async with trio.open_nursery() as nursery:
        desk.submit("a")
        nursery.start_soon(desk.journal.run)
        await trio.testing.wait_all_tasks_blocked()
        desk.submit("b", "c", "d")
        await trio.testing.wait_all_tasks_blocked()
        assert desk.story == ["record a"]
        desk.disk.release()
        desk.journal.finish()
    assert [len(group) for group in desk.log.appended] == [1, 3]


async def test_a_group_is_bounded() -> None:
    """However much waits, one group is no longer than its bound, so that others get their turn."""
    desk = Desk()
    desk.submit(*map(str, range(MAX_GROUP_RECORDS + 1)))
    await desk.finish()
    assert [len(group) for group in desk.log.appended] == [MAX_GROUP_RECORDS, 1]


async def test_a_full_log_refuses_all_that_is_on_its_way_together() -> None:
    """The group and what queued behind it: nobody's later post may be stored after an earlier one was refused."""
    desk = Desk()
    desk.log.full = True
    desk.disk.hold()
    async with trio.open_nursery() as nursery:
        desk.submit("a")
        nursery.start_soon(desk.journal.run)
        await trio.testing.wait_all_tasks_blocked()
        desk.submit("b")
        desk.disk.release()
        desk.journal.finish()
    assert desk.story == ["record a", "refused a", "refused b", "flush"]
    assert desk.log.appended == []


async def test_after_a_full_log_has_room_again_it_is_used() -> None:
    """A refusal is not for good: the next submission is tried afresh."""
    desk = Desk()
    desk.log.full = True
    desk.submit("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.journal.run)
        await trio.testing.wait_all_tasks_blocked()
        desk.submit("b")
        await trio.testing.wait_all_tasks_blocked()
        desk.log.full = False
        desk.submit("c")
        desk.journal.finish()
    assert desk.story[-2:] == ["stored c", "flush"]
    assert desk.journal.times_full == 2
    assert len(desk.told) == 2  # full, once, and room again
    assert "Every post is refused until there is room" in desk.told[0]


async def test_a_failed_disk_ends_the_journal_and_tells_nobody_anything() -> None:
    """After a failed fsync nobody knows what is stored: neither stored nor refused is true."""
    desk = Desk()
    desk.log.failed = True
    desk.submit("a")
    with pytest.raises(LogFailed):
        await desk.finish()
    assert desk.story == ["record a"]


async def test_waiting_for_one_record_to_be_stored() -> None:
    """`store` returns when its record is stored, and raises when it was refused."""
    desk = Desk()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.journal.run)
        await desk.journal.store(device)
        assert desk.journal.records_stored == 1
        desk.log.full = True
        with pytest.raises(StorageFull):
            await desk.journal.store(device)
        desk.journal.finish()


async def test_a_full_queue_makes_the_next_wait() -> None:
    """Who submits too much waits, and goes on when the disk has caught up."""
    desk = Desk()
    desk.submit(*["x"] * MAX_QUEUED)
    waited: list[str] = []

    async def one_more() -> None:
        await desk.journal.wait_room()
        waited.append("room")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one_more)
        await trio.testing.wait_all_tasks_blocked()
        assert waited == []
        nursery.start_soon(desk.finish)
    assert waited == ["room"]


async def test_the_logs_time_does_not_run_backwards() -> None:
    """A clock that was set back makes entries of the same time, never earlier ones."""
    desk = Desk()
    first = desk.submit("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.journal.run)
        await trio.testing.wait_all_tasks_blocked()
        desk.time_ms = 500
        second = desk.submit("b")
        desk.journal.finish()
    assert (first[0].time_ms, second[0].time_ms) == (1000, 1000)


async def test_the_checkpoint_is_that_of_the_last_group() -> None:
    """Whoever logs in is given the newest checkpoint without waiting for the log."""
    desk = Desk()
    assert desk.journal.checkpoint is None
    desk.submit("a")
    await desk.finish()
    assert desk.journal.checkpoint == desk.log.sign_head() is not None


async def test_an_idle_log_is_signed_when_it_is_due() -> None:
    """The timer's call renews the checkpoint that is given out, and only then."""
    desk = Desk()
    desk.log.append([device(0)])
    await desk.journal.sign_head()
    assert desk.journal.checkpoint is None
    desk.log.due = True
    await desk.journal.sign_head()
    assert desk.journal.checkpoint == desk.log.sign_head() is not None
