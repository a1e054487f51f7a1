"""Keeping less: whole segments go, a signed file takes their place, and nothing that is kept suffers from it."""

import sqlite3
from contextlib import closing, suppress
from errno import EIO, ENOSPC
from pathlib import Path

import pytest

from bisik_protocol.chat.checkpoint import read_checkpoint_untrusted
from bisik_protocol.chat.messages import Act, ModerationEntry, decode_entry_untrusted
from bisik_protocol.chat.tree import entry_leaf, verify_consistency, verify_inclusion
from bisikd.log import Keep, Log, LogDamaged, LogError, LogPolicy, parse_keep, salvage_log, verify_log
from bisikd.log.retention import Sealed, last_to_go
from tests.daemon.log.bench import DIRECTORY, KEY, SIGNING, Clock, forget, open_log, open_real
from tests.daemon.log.disks import MemoryFiles
from tests.daemon.log.talk import START_MS, Talk
from tests.support.keys import decryption_key, device_key, server_identity

DAY_MS = 86_400_000
POLICY = LogPolicy(segment_bytes=3000, checkpoint_records=4)
ALL_BUT_THE_NEWEST = Keep(size_bytes=1)
KEYS = server_identity().decryption, server_identity().signing.public


@pytest.fixture
def talk() -> Talk:
    return Talk()


def speak(log: Log, talk: Talk, days: int, clock: Clock | None = None) -> list[bytes]:
    """A few messages a day in two rooms; the signed head of each day."""
    notes = []
    for day in range(days):
        log.append(
            [talk.say("tama", f"hari {day}"), talk.say("budi", f"malam {day}", "#dapur"), talk.join(f"tamu{day}")]
        )
        if day % 3 == 0:
            log.append([talk.leave(f"tamu{day}")])
        note = log.sign_head()
        assert note is not None
        notes.append(note)
        if clock:
            clock.now += DAY_MS
    return notes


def filled(directory: Path, talk: Talk, days: int = 12, **options: object) -> tuple[Log, list[bytes]]:
    log = open_real(directory, policy=POLICY, **options)
    log.append([talk.register("tama"), talk.register("budi", 1), talk.join("tama"), talk.join("budi", "#dapur")])
    log.append([talk.say("tama", "sekali saja", "#sunyi")])
    return log, speak(log, talk, days)


def everything_kept(log: Log, talk: Talk) -> dict[str, int]:
    """How many entries of each room are gone; each is said to be, and all others are as they were."""
    gone = {}
    for room, entries in talk.said.items():
        found = log.entries(room, 0, 1000)
        assert len(found) == len(entries)
        floor = 0
        for seq, (is_there, was) in enumerate(zip(found, entries, strict=True), start=1):
            if is_there == was:
                continue
            mark = decode_entry_untrusted(is_there)
            assert isinstance(mark, ModerationEntry)
            assert (mark.act, mark.seq, mark.room) == (Act.DROPPED, seq, room)
            assert floor == seq - 1
            floor = seq
        assert log.entries_before(room, None, 3) == found[-3:]
        gone[room] = floor
    return gone


def answers(log: Log, talk: Talk) -> list[object]:
    """What a log is asked besides."""
    keys = [talk.key_hash(name) for name in talk.devices]
    return [
        log.heads(),
        log.presence(),
        log.tree_size,
        [log.device(key) for key in keys],
        [log.chain(room, key) for room in talk.said for key in keys],
    ]


def require_proofs(log: Log, talk: Talk, notes: list[bytes], gone: dict[str, int]) -> None:
    """Every head that was ever signed leads to the newest, and what is kept is under it."""
    heads = [read_checkpoint_untrusted(note) for note in notes]
    new = heads[-1]
    for old in heads:
        assert verify_consistency(old.size, old.root, new.size, new.root, log.consistency(old.size, new.size))
    for room, entries in talk.said.items():
        for seq, entry in enumerate(entries, start=1):
            leaf = log.leaf_of(room, seq)
            if seq <= gone[room]:
                assert leaf is None
                continue
            assert leaf is not None
            proof = log.inclusion(leaf.index, new.size)
            assert verify_inclusion(entry_leaf(leaf.salt, entry), leaf.index, new.size, proof, new.root)


@pytest.mark.parametrize("after", ["at once", "a restart", "a kill", "a new index"])
def test_what_is_kept_is_as_before_and_what_is_not_is_said(tmp_path: Path, talk: Talk, after: str) -> None:
    """Entries, heads, chains, keys, presence, proofs from every head: the same, whatever comes after the drop."""
    log, notes = filled(tmp_path / "log", talk)
    before = answers(log, talk)
    assert log.prune(ALL_BUT_THE_NEWEST) > 10
    if after != "at once":
        forget(log) if after == "a kill" else log.close()
        if after == "a new index":
            for path in (tmp_path / "log").glob("index.sqlite3*"):
                path.unlink()
        log = open_real(tmp_path / "log", policy=POLICY)
    assert answers(log, talk) == before
    gone = everything_kept(log, talk)
    assert gone["#sunyi"] == 1
    assert min(gone.values()) >= 1
    require_proofs(log, talk, notes, gone)
    log.append([talk.say("tama", "lanjut"), talk.say("tama", "lagi", "#sunyi"), talk.leave("tama")])
    assert everything_kept(log, talk) == gone
    log.close()
    report = verify_log(tmp_path / "log", *KEYS)
    assert report.problems == []
    assert (report.dropped_records > 10, report.dropped_segments > 2) == (True, True)


def test_it_drops_again_and_again(tmp_path: Path, talk: Talk) -> None:
    """Each drop takes the place of the one before; there is one file for all that is gone."""
    log, notes = filled(tmp_path / "log", talk)
    for _ in range(3):
        assert log.prune(ALL_BUT_THE_NEWEST) > 0
        assert len(list((tmp_path / "log").glob("*.dropped"))) == 1
        notes += speak(log, talk, 6)
    gone = everything_kept(log, talk)
    require_proofs(log, talk, notes, gone)
    before = answers(log, talk)
    log.close()
    for path in (tmp_path / "log").glob("index.sqlite3*"):
        path.unlink()
    log = open_real(tmp_path / "log")
    assert answers(log, talk) == before
    assert everything_kept(log, talk) == gone
    log.close()
    assert verify_log(tmp_path / "log", *KEYS).ok


def test_what_is_older_goes_and_what_is_younger_stays(tmp_path: Path, talk: Talk) -> None:
    """With ninety days kept, nothing younger goes, and nothing that is a tenth older stays."""
    clock = Clock()
    log = open_real(tmp_path / "log", now_ms=clock)
    log.append([talk.register("tama"), talk.register("budi", 1)])
    keep = parse_keep("90d")
    for _ in range(26):
        speak(log, talk, 5, clock)
        log.prune(keep)
        gone = everything_kept(log, talk)
        days_gone = gone["#dapur"]
        age = (clock.now - START_MS) // DAY_MS
        assert days_gone <= max(0, age - 90)
        assert days_gone >= age - 90 - 9 - 5 - 5
    assert days_gone > 15
    log.close()
    assert verify_log(tmp_path / "log", *KEYS).ok


def test_an_auditor_reads_what_is_left(tmp_path: Path, talk: Talk) -> None:
    """The note too is encrypted to whoever the log is."""
    log, _ = filled(tmp_path / "log", talk, auditor=decryption_key(1).public)
    log.prune(ALL_BUT_THE_NEWEST)
    log.close()
    report = verify_log(tmp_path / "log", decryption_key(1), KEYS[1])
    assert report.ok
    assert report.dropped_records > 0


def test_every_flipped_bit_of_the_note_is_noticed(tmp_path: Path, talk: Talk) -> None:
    """Nobody can drop what was said in the server's name, or change what is said to have been."""
    log, _ = filled(tmp_path / "log", talk, days=5)
    log.prune(ALL_BUT_THE_NEWEST)
    log.close()
    (path,) = (tmp_path / "log").glob("*.dropped")
    content = path.read_bytes()
    for at in range(0, len(content), 13):
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        path.write_bytes(flipped)
        report = verify_log(tmp_path / "log", *KEYS)
        assert len(report.problems) == 1, at
        assert path.name in report.problems[0]
    path.unlink()
    with pytest.raises(LogDamaged, match=r"00000001\.segment, byte 0: .*missing"):
        open_real(tmp_path / "log")


def test_an_index_from_before_a_drop_is_made_anew(tmp_path: Path, talk: Talk) -> None:
    """As after a power cut between the drop and the index: it leads to where nothing is, and is not followed."""
    log, notes = filled(tmp_path / "log", talk)
    old = tmp_path / "old"
    with closing(sqlite3.connect(tmp_path / "log" / "index.sqlite3")) as index, closing(sqlite3.connect(old)) as copy:
        index.backup(copy)
    log.prune(ALL_BUT_THE_NEWEST)
    before = answers(log, talk)
    forget(log)
    for path in (tmp_path / "log").glob("index.sqlite3*"):
        path.unlink()
    old.rename(tmp_path / "log" / "index.sqlite3")
    log = open_real(tmp_path / "log")
    assert answers(log, talk) == before
    require_proofs(log, talk, notes, everything_kept(log, talk))
    log.close()


@pytest.mark.parametrize("damage", ["none", "the note"])
def test_what_is_left_can_be_salvaged(tmp_path: Path, talk: Talk, damage: str) -> None:
    """Behind a drop too; what was dropped is told from what was lost, while the note says so."""
    log, _ = filled(tmp_path / "log", talk)
    log.prune(ALL_BUT_THE_NEWEST)
    gone = everything_kept(log, talk)
    log.close()
    if damage == "the note":
        (path,) = (tmp_path / "log").glob("*.dropped")
        path.write_bytes(path.read_bytes()[:500])
    new = tmp_path / "new"
    devices = {device_key(number).public.key_hash: device_key(number).public.modulus for number in range(2)}
    report = salvage_log(tmp_path / "log", new, server_identity(), now_ms=lambda: START_MS, devices=devices)
    assert verify_log(new, *KEYS).ok
    marked = {room: count for room, count in gone.items() if room != "#sunyi" or damage == "none"}
    assert (report.dropped_entries, report.lost_entries) == ((marked, {}) if damage == "none" else ({}, marked))


@pytest.mark.parametrize("code", [EIO, ENOSPC], ids=["EIO", "ENOSPC"])
def test_a_failure_or_a_crash_anywhere_loses_nothing_that_is_kept(code: int) -> None:
    """Whichever call of a drop fails, and with the power cut there: all is there, or the drop is whole."""
    calls = 0
    while True:
        talk, files = Talk(), MemoryFiles()
        log = open_log(files, policy=POLICY)
        log.append([talk.register("tama"), talk.register("budi", 1)])
        speak(log, talk, 3)
        before = answers(log, talk)
        left = calls

        def fault(operation: str, path: Path) -> OSError | None:
            nonlocal left
            left -= 1
            return OSError(code, "injected") if left == -1 else None

        files.fault = fault
        with suppress(LogError):
            log.prune(ALL_BUT_THE_NEWEST)
        files.fault = None
        for after in (MemoryFiles(files.snapshot()), files.after_power_cut(), files.after_power_cut(names_kept=True)):
            again = open_log(after)
            assert answers(again, talk) == before, calls
            everything_kept(again, talk)
            assert verify_log(DIRECTORY, KEY, SIGNING, files=after).ok, calls
        if left >= 0:
            break
        calls += 1
    assert calls > 20


SEGMENTS = [Sealed(1, 100, 10), Sealed(2, 100, 20), Sealed(3, 100, 30)]


@pytest.mark.parametrize(
    ("keep", "now", "last"),
    [
        (Keep(), 1000, 0),
        (Keep(age_ms=100), 109, 0),
        (Keep(age_ms=100), 110, 1),
        (Keep(age_ms=100), 129, 2),
        (Keep(age_ms=100), 1000, 3),
        (Keep(size_bytes=350), 0, 0),
        (Keep(size_bytes=349), 0, 1),
        (Keep(size_bytes=150), 0, 2),
        (Keep(size_bytes=1), 0, 3),
    ],
)
def test_the_oldest_go_first_and_no_more_than_must(keep: Keep, now: int, last: int) -> None:
    """By age when all in them is too old, by size until the rest fits; what must stay is 50 bytes here."""
    assert last_to_go(keep, SEGMENTS, 350, now) == last


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("90d", Keep(age_ms=90 * DAY_MS)),
        ("12 h", Keep(age_ms=DAY_MS // 2)),
        ("2Y", Keep(age_ms=730 * DAY_MS)),
        ("500MB", Keep(size_bytes=500_000_000)),
        ("1 TiB", Keep(size_bytes=1 << 40)),
    ],
)
def test_how_much_is_written_as_people_do(text: str, keep: Keep) -> None:
    """A number and a unit."""
    assert parse_keep(text) == keep


@pytest.mark.parametrize("text", ["", "90", "d", "0d", "-1d", "90 days", "1.5GB", "10KB", "5m", "9" * 12 + "d"])
def test_what_says_neither_is_a_sentence(text: str) -> None:
    """And what would keep next to nothing is refused with it."""
    with pytest.raises(ValueError, match="says neither how long nor how much"):
        parse_keep(text)


def test_a_size_is_that_of_the_whole_log(tmp_path: Path, talk: Talk) -> None:
    """Segments that must stay count too, and one goes as soon as all together are larger."""
    log, _ = filled(tmp_path / "log", talk)
    sizes = [path.stat().st_size for path in sorted((tmp_path / "log").glob("*.segment"))]
    assert log.prune(Keep(size_bytes=sum(sizes))) == 0
    assert log.prune(Keep(size_bytes=sum(sizes) - 1)) > 0
    assert len(list((tmp_path / "log").glob("*.segment"))) == len(sizes) - 1
    log.close()
