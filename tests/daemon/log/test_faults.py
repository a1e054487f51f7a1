"""A disk that refuses, at every single call: nobody is told "stored" wrongly, and what was told is there after it."""

from collections.abc import Callable
from errno import EIO, ENOSPC
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from bisik_protocol.chat.messages import decode_entry_untrusted
from bisikd.log import Log, LogDamaged, LogError, LogFailed, LogFull, LogPolicy, Record
from tests.daemon.log.bench import DIRECTORY, open_log, read_back
from tests.daemon.log.disks import MemoryFiles
from tests.daemon.log.talk import Talk

POLICY = LogPolicy(segment_bytes=2600, checkpoint_records=3)


def groups() -> list[list[Record]]:
    """A short life: registration, messages, a group of three."""
    talk = Talk(signed=False)
    return [
        [talk.register("tama"), talk.join("tama")],
        [talk.say("tama", "halo")],
        [talk.say("tama", "satu"), talk.join("budi"), talk.leave("budi")],
        [talk.leave("tama")],
    ]


class OneFault:
    """Fails the call with this number, and no other."""

    def __init__(self, number: int, code: int) -> None:
        self.left = number
        self.code = code
        self.hit = ""

    def __call__(self, operation: str, path: Path) -> OSError | None:
        self.left -= 1
        if self.left != -1:
            return None
        self.hit = operation
        return OSError(self.code, "injected")


T = TypeVar("T")


def until_there_is_room(action: Callable[[], T]) -> T:
    """Ask again while the disk is full, which here it is once."""
    try:
        return action()
    except LogFull:
        return action()


def live(files: MemoryFiles, waiting: list[list[Record]]) -> list[bytes]:
    """Append until all is stored or the log refuses for good, with a kill in the middle; what was acknowledged."""
    acknowledged: list[bytes] = []
    log: Log | None = None
    try:
        for half in (waiting[:2], waiting[2:]):
            if log is not None:
                files.contents["00000001.segment"].now += b"torn"  # the kill left part of a write
                log = None
            log = until_there_is_room(lambda: open_log(files, policy=POLICY))
            for group in half:
                until_there_is_room(partial(log.append, group))
                acknowledged += [record.payload for record in group]
        log.close()
    except LogDamaged:
        assert isinstance(files.fault, OneFault)
        assert files.fault.hit in {"open", "read"}  # what cannot be read is refused, and no more than that
    except LogFailed:
        if log is not None:
            with pytest.raises(LogFailed):
                log.append(waiting[0])
    return acknowledged


def calls_of_a_life() -> list[str]:
    files = MemoryFiles()
    everything = [record.payload for group in groups() for record in group]
    assert live(files, groups()) == everything
    return [operation for operation, _ in files.calls]


CALLS = calls_of_a_life()


@pytest.mark.parametrize("code", [EIO, ENOSPC], ids=["EIO", "ENOSPC"])
def test_a_fault_at_any_call_loses_nothing_that_was_acknowledged(code: int) -> None:
    """Whichever call fails: after a kill and after a power cut all acknowledged records are there, in order, once."""
    everything = [record.payload for group in groups() for record in group]
    for number in range(len(CALLS)):
        files = MemoryFiles()
        files.fault = fault = OneFault(number, code)
        acknowledged = live(files, groups())
        assert fault.hit == CALLS[number]
        files.fault = None
        for after in (MemoryFiles(files.snapshot()), files.after_power_cut(), files.after_power_cut(names_kept=True)):
            kept = read_back(after).payloads
            assert kept == everything[: len(kept)], (number, fault.hit)
            assert len(kept) >= len(acknowledged), (number, fault.hit)
        open_log(after)  # and it starts again


def test_a_life_of_the_log_makes_every_kind_of_call() -> None:
    """So that the test above means what it says."""
    reading, writing = {"names", "open", "read"}, {"write", "truncate", "sync", "sync_data"}
    assert set(CALLS) == {"make_directory", "create", "rename", "sync_directory", *reading, *writing}
    assert CALLS.count("create") >= 3  # it rotates


def test_after_a_failed_fsync_nothing_is_ever_written_again() -> None:
    """Not retried, not acknowledged; reading what was acknowledged goes on."""
    talk, files = Talk(signed=False), MemoryFiles()
    log = open_log(files)
    log.append([talk.register("tama"), talk.join("tama")])
    files.fault = lambda operation, path: OSError(EIO, "I/O error") if operation == "sync_data" else None
    with pytest.raises(LogFailed, match=r"00000001.*disk failed"):
        log.append([talk.say("tama", "halo")])
    files.fault = None
    calls = len(files.calls)
    for attempt in (lambda: log.append([talk.join("budi")]), log.write_checkpoint_if_due):
        with pytest.raises(LogFailed):
            attempt()
    with pytest.raises(LogFailed):
        log.close()
    assert [operation for operation, _ in files.calls[calls:] if operation != "read"] == []
    assert log.head("#lobby") == 1


def test_what_was_not_acknowledged_is_not_shown() -> None:
    """A group whose fsync failed is in no lookup of that process."""
    talk, files = Talk(signed=False), MemoryFiles()
    log = open_log(files)
    log.append([talk.register("tama"), talk.join("tama")])
    before = log.chain("#lobby", talk.key_hash("tama"))
    files.fault = lambda operation, path: OSError(EIO, "I/O error") if operation == "sync_data" else None
    with pytest.raises(LogFailed):
        log.append([talk.say("tama", "halo"), talk.join("budi")])
    assert log.heads() == {"#lobby": 1}
    assert log.chain("#lobby", talk.key_hash("tama")) == before
    assert log.presence() == {"#lobby": {"tama"}}
    assert log.find("#lobby", talk.key_hash("tama"), 1) is None
    assert len(log.entries("#lobby", 0, 10)) == 1


def test_a_full_disk_stores_nothing_and_hinders_nothing_later() -> None:
    """With room for any part of a group: refused, taken back to the byte; with room again the same call succeeds."""
    talk, files = Talk(signed=False), MemoryFiles()
    log = open_log(files)
    log.append([talk.register("tama")])
    group = [talk.say("tama", "halo"), talk.say("tama", "lagi")]
    before = files.snapshot()
    for room in range(0, 1200, 13):
        files.capacity = files.used + room
        with pytest.raises(LogFull):
            log.append(group)
        assert files.snapshot() == before
        assert log.heads() == {}
    files.capacity = None
    log.append(group)
    assert log.entries("#lobby", 0, 10) == talk.said["#lobby"]
    assert len(read_back(MemoryFiles(files.snapshot())).payloads) == 3


def test_room_for_a_group_but_not_for_its_mark_is_enough() -> None:
    """The group is stored and acknowledged; SYNCED can wait."""
    talk, files = Talk(signed=False), MemoryFiles()
    log = open_log(files)
    log.append([talk.register("tama")])
    group = [talk.join("tama")]
    size = 81 + len(group[0].payload) + 77
    files.capacity = files.used + size + 10
    log.append(group)
    assert files.used == files.capacity - 10
    assert log.head("#lobby") == 1
    files.capacity = None
    log.append([talk.leave("tama")])
    assert len(read_back(MemoryFiles(files.snapshot())).payloads) == 3


def test_no_room_for_a_checkpoint_is_no_failure() -> None:
    """What it would have signed is stored, and it is written when there is room."""
    talk, files = Talk(signed=False), MemoryFiles()
    log = open_log(files, policy=LogPolicy(checkpoint_records=2))
    log.append([talk.register("tama")])
    group = [talk.join("tama")]
    files.capacity = files.used + 81 + len(group[0].payload) + 77 + 33 + 100
    log.append(group)
    assert log.checkpoint() is None
    files.capacity = None
    assert log.write_checkpoint_if_due()
    assert log.checkpoint() is not None
    assert len(read_back(MemoryFiles(files.snapshot())).payloads) == 2


def test_no_room_for_a_new_segment_leaves_the_old_one_in_use() -> None:
    """Rotation fails as a whole; nothing is left of it."""
    talk, files = Talk(signed=False), MemoryFiles()
    log = open_log(files, policy=LogPolicy(segment_bytes=2000))
    log.append([talk.register("tama")])
    log.append([talk.join("tama"), talk.say("tama", "halo")])
    files.capacity = files.used + 900
    group = [talk.leave("tama")]
    for _ in range(3):
        with pytest.raises(LogFull):
            log.append(group)
    assert list(files.contents) == ["00000001.segment"]
    files.capacity = None
    log.append(group)
    assert sorted(files.contents) == ["00000001.segment", "00000002.segment"]
    assert len(read_back(MemoryFiles(files.snapshot())).payloads) == 4


def test_a_disk_that_writes_little_at_a_time_is_written_to_in_turn() -> None:
    """Short writes are continued, not taken for success or failure."""
    talk, files = Talk(signed=False), MemoryFiles()
    files.short_writes = True
    log = open_log(files)
    log.append([talk.register("tama"), talk.join("tama"), talk.say("tama", "halo")])
    log.close()
    assert len(read_back(MemoryFiles(files.snapshot())).payloads) == 3


def test_a_full_disk_at_the_start_leaves_nothing_behind() -> None:
    """No half segment, and the next start succeeds."""
    files = MemoryFiles()
    files.capacity = 500
    with pytest.raises(LogFull, match=str(DIRECTORY)):
        open_log(files)
    assert files.contents == {}
    files.capacity = None
    open_log(files)


def test_a_damaged_disk_is_told_from_a_damaged_log() -> None:
    """A read error while serving history names the file and the byte, and costs only that page."""
    talk, files = Talk(signed=False), MemoryFiles()
    log = open_log(files)
    log.append([talk.register("tama"), talk.join("tama")])
    files.fault = lambda operation, path: OSError(EIO, "I/O error") if operation == "read" else None
    with pytest.raises(LogError, match=r"00000001\.segment, byte \d+: This cannot be read"):
        log.entries("#lobby", 0, 10)
    files.fault = None
    assert decode_entry_untrusted(log.entries("#lobby", 0, 10)[0]).author == "tama"
