"""No key and counter pair seals two different records: not across restarts, full disks, failures or torn writes."""

from errno import EIO, ENOSPC
from random import Random

from bisikd.log import LogFailed, LogFull, LogPolicy
from bisikd.log.format import read_header, read_prefix
from tests.daemon.log.bench import open_log
from tests.daemon.log.disks import MemoryFiles
from tests.daemon.log.talk import Talk


def sealed_records(files: MemoryFiles) -> dict[tuple[bytes, int], set[bytes]]:
    """Everything that was ever handed to the disk: (commitment to the key, counter) -> the records under it."""
    key, found = b"", dict[tuple[bytes, int], set[bytes]]()
    for _, offset, data in files.wrote:
        if offset == 0:
            key = read_header(data).commitment
            continue
        at = 0
        while at < len(data):
            prefix = read_prefix(data, at)
            assert prefix is not None
            found.setdefault((key, prefix.counter), set()).add(data[at : at + prefix.length])
            at += prefix.length
    return found


def test_no_nonce_is_used_twice_in_a_hard_life() -> None:
    """Two hundred groups on a disk that is full or fails now and then, with a crash after each failure."""
    chance = Random(20221122)
    files, policy = MemoryFiles(), LogPolicy(segment_bytes=3000, checkpoint_records=5)
    talk = Talk(signed=False)
    full = failed = starts = 0

    def fault(operation: str, path: object) -> OSError | None:
        if operation == "write" and chance.random() < 0.1:
            return OSError(ENOSPC, "full")
        if operation == "sync_data" and chance.random() < 0.05:
            return OSError(EIO, "failed")
        return None

    log = None
    for _ in range(200):
        if log is None:
            files.fault = None
            log = open_log(files, policy=policy)
            files.fault = fault
            starts += 1
        talk.heads["#lobby"] = log.head("#lobby")
        try:
            log.append([talk.join(f"tamu{number}") for number in range(chance.randrange(1, 4))])
        except LogFull:
            full += 1
        except LogFailed:
            failed += 1
            log = None
    assert min(full, failed, starts) >= 5
    sealed = sealed_records(files)
    assert len(sealed) > 500
    assert all(len(records) == 1 for records in sealed.values())


def test_every_segment_has_a_key_of_its_own() -> None:
    """Also where nothing was written in between, and where a segment could not be made."""
    files = MemoryFiles()
    for _ in range(5):
        open_log(files)
    files.fault = lambda operation, path: OSError(ENOSPC, "full") if operation == "rename" else None
    for _ in range(2):
        try:
            open_log(files)
        except LogFull:
            continue
    headers = [read_header(data) for _, offset, data in files.wrote if offset == 0]
    assert len(headers) == 7
    assert len({header.commitment for header in headers}) == 7
    assert len({key.wrapped for header in headers for key in header.keys}) == 7


def test_a_recovered_segment_is_never_written_to() -> None:
    """Its key is known, its last counter is not: what was cut off may have used any."""
    talk, files = Talk(signed=False), MemoryFiles()
    log = open_log(files)
    log.append([talk.register("tama")])
    before = len(files.wrote)
    log = open_log(MemoryFiles(files.snapshot()))
    log.append([talk.join("tama")])
    assert not [offset for path, offset, _ in files.wrote[before:] if path.name == "00000001.segment"]
