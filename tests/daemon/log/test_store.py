"""Appending and closing: what is refused, when heads are signed, when segments follow each other, who may read."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from bisik_protocol.chat.checkpoint import origin_of, verify_checkpoint_untrusted
from bisik_protocol.chat.messages import decode_entry_untrusted
from bisik_protocol.errors import LocalProtocolError
from bisikd.log import Log, LogFailed, LogPolicy, Record, RecordKind
from tests.daemon.log.bench import Clock, open_log, open_real
from tests.daemon.log.disks import MemoryFiles
from tests.daemon.log.talk import Talk
from tests.support.keys import decryption_key, server_identity


@pytest.fixture
def talk() -> Talk:
    return Talk(signed=False)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = open_real(tmp_path / "log")
    yield log
    log.close()


# Rules for what is appended --------------------------------------------------------------------------------------


def test_nothing_is_appended_by_appending_nothing(log: Log) -> None:
    """An empty group is no group."""
    log.append([])
    assert log.tree_size == 0


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda talk: [skip(talk), talk.join("budi")], "next entry is not 3"),
        (lambda talk: [skip(talk), talk.say("tama", "halo")], "next entry is not 3"),
        (lambda talk: [talk.say("sari", "halo")], "given to nobody"),
        (lambda talk: [Record(RecordKind.ENTRY, b"\xc1")], "not an encoded entry"),
        (lambda talk: [Record(RecordKind.DEVICE, b"\xc1")], "not an encoded device"),
        (lambda talk: [Record(RecordKind.DEVICE, b"\x93\xa4tama\xc5\x01\x80" + bytes(384) + b"\0")], "RSA-3072"),
        (lambda talk: [talk.join("budi"), talk.register("budi", 1), again(talk)], "does not continue"),
    ],
)
def test_a_group_that_contradicts_the_log_is_refused_whole(log: Log, talk: Talk, wrong, sentence: str) -> None:  # type: ignore[no-untyped-def]
    """What verification would complain of later is not stored; nothing of its group is."""
    log.append([talk.register("tama"), talk.say("tama", "halo")])
    talk.devices["sari"] = 2
    with pytest.raises(LocalProtocolError, match=sentence):
        log.append(wrong(talk))
    assert log.tree_size == 2
    assert log.heads() == {"#lobby": 1}
    assert log.presence() == {"#lobby": set()}


def skip(talk: Talk) -> Record:
    """Lets a number of the room go unused."""
    talk.heads["#lobby"] += 1
    return talk.register("budi", 1)


def again(talk: Talk) -> Record:
    """A second message number 1 of the same device."""
    talk.tips.clear()
    return talk.say("tama", "lain")


# Checkpoints and segments ----------------------------------------------------------------------------------------


def head_size(log: Log) -> int:
    """The size that the newest signed head speaks of; 0 if there is none."""
    note = log.checkpoint()
    if note is None:
        return 0
    identity = server_identity()
    return verify_checkpoint_untrusted(note, origin_of(identity.fingerprint), identity.signing.public).size


def test_the_head_is_signed_every_so_many_records(tmp_path: Path, talk: Talk) -> None:
    """And not in between."""
    log = open_real(tmp_path / "log", policy=LogPolicy(checkpoint_records=5))
    sizes = []
    for _ in range(12):
        log.append([talk.join("tama")])
        sizes.append(head_size(log))
    assert sizes == [0] * 4 + [5] * 5 + [10] * 3
    log.close()


def test_the_head_is_signed_after_some_time(tmp_path: Path, talk: Talk) -> None:
    """With the next append, or when asked, but only if there is something new."""
    clock = Clock()
    log = open_real(tmp_path / "log", now_ms=clock)
    log.append([talk.join("tama")])
    assert head_size(log) == 0
    clock.now += 60_000
    log.append([talk.leave("tama")])
    assert head_size(log) == 2
    clock.now += 60_000
    assert not log.write_checkpoint_if_due()
    log.append([talk.join("tama")])
    assert head_size(log) == 3
    log.append([talk.leave("tama")])
    assert not log.write_checkpoint_if_due()
    clock.now += 60_000
    assert log.write_checkpoint_if_due()
    assert head_size(log) == 4
    log.close()


def test_the_head_is_signed_at_close_and_known_at_the_next_start(tmp_path: Path, talk: Talk) -> None:
    """Without anything new, closing again signs nothing."""
    log = open_real(tmp_path / "log")
    log.append([talk.join("tama"), talk.join("budi")])
    log.close()
    for _ in range(2):
        log = open_real(tmp_path / "log")
        assert head_size(log) == 2
        log.close()
    sizes = [path.stat().st_size for path in sorted((tmp_path / "log").glob("*.segment"))]
    assert sizes[1:] == [944, 944]


def test_a_full_segment_is_followed_by_another(talk: Talk) -> None:
    """Under a key of its own, beginning with the tree so far; lookups do not notice."""
    files = MemoryFiles()
    log = open_log(files, policy=LogPolicy(segment_bytes=3000))
    for number in range(100):
        log.append([talk.join(f"tamu{number}")])
    assert len(files.contents) > 5
    assert log.entries("#lobby", 0, 1000) == talk.said["#lobby"]
    assert max(len(data) for data in files.snapshot().values()) < 3000 + 1200


def test_an_auditor_is_a_second_recipient(tmp_path: Path, talk: Talk) -> None:
    """Of every segment that is made while one is named."""
    log = open_real(tmp_path / "log", auditor=decryption_key(1).public)
    log.append([talk.join("tama")])
    log.close()
    assert (tmp_path / "log" / "00000001.segment").read_bytes()[944:1360] != b""
    assert (tmp_path / "log" / "00000001.segment").read_bytes()[12:16] == b"\0\0\0\2"


# Closing, threads, the disk --------------------------------------------------------------------------------------


def test_closing_twice_is_closing_once(tmp_path: Path, talk: Talk) -> None:
    """And a closed log takes nothing."""
    log = open_real(tmp_path / "log")
    log.close()
    log.close()
    with pytest.raises(LogFailed, match="closed"):
        log.append([talk.join("tama")])


def test_readers_run_beside_the_writer(log: Log, talk: Talk) -> None:
    """Whatever a reader sees is whole and in order, and never more than was acknowledged next."""
    groups = [[talk.join(f"tamu{number}-{part}") for part in range(3)] for number in range(60)]
    said, problems, finished = talk.said["#lobby"], [], False

    def read() -> None:
        while not finished:
            seen = log.entries_before("#lobby", None, 10)
            head = decode_entry_untrusted(seen[-1]).seq if seen else 0
            if seen != said[max(0, head - 10) : head] or head % 3:
                problems.append(head)

    readers = [Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for group in groups:
        log.append(group)
    finished = True
    for reader in readers:
        reader.join()
    assert problems == []
    assert log.head("#lobby") == 180


def test_the_log_is_for_its_owner_only(tmp_path: Path) -> None:
    """Directory 0700, everything in it 0600."""
    log = open_real(tmp_path / "log")
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o700
    names = {"00000001.segment", "index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm"}
    assert {path.name: path.stat().st_mode & 0o777 for path in log_files(tmp_path)} == dict.fromkeys(names, 0o600)
    log.close()


def log_files(directory: Path) -> list[Path]:
    """What is in the log's directory now."""
    return list((directory / "log").iterdir())


def test_a_disk_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "log").write_text("a file")
    with pytest.raises(LogFailed, match="log: The disk failed"):
        open_real(tmp_path / "log")


def test_nothing_that_was_said_is_on_the_disk_in_the_clear(tmp_path: Path, talk: Talk) -> None:
    """Neither texts nor rooms nor names, in segments or index."""
    log = open_real(tmp_path / "log")
    log.append([talk.register("tama"), talk.join("tama", "#rahasia"), talk.say("tama", "kata-kata", "#rahasia")])
    log.close()
    for path in (tmp_path / "log").iterdir():
        data = path.read_bytes()
        assert not [word for word in (b"tama", b"rahasia", b"kata-kata") if word in data], path
