"""Looking things up: what is appended is found, by every way of asking, now and after a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bisik_protocol.chat.messages import ZERO_DIGEST, decode_entry_untrusted
from bisik_protocol.chat.statements import statement_hash
from bisikd.log import Log, LogPolicy
from tests.daemon.log.bench import forget, open_real
from tests.daemon.log.disks import MemoryFiles
from tests.daemon.log.talk import Talk
from tests.support.keys import device_key


@pytest.fixture
def talk() -> Talk:
    return Talk(signed=False)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = open_real(tmp_path / "log")
    yield log
    log.close()


# Looking up ------------------------------------------------------------------------------------------------------


def test_an_empty_log_knows_nothing(log: Log) -> None:
    """Every question has an answer before the first record."""
    assert (log.heads(), log.head("#lobby"), log.presence(), log.checkpoint()) == ({}, 0, {}, None)
    assert log.entries("#lobby", 0, 50) == log.entries_before("#lobby", None, 50) == []
    assert log.chain("#lobby", bytes(32)) == (0, ZERO_DIGEST)
    assert log.find("#lobby", bytes(32), 1) is None
    assert log.device(bytes(32)) is None


def test_entries_come_back_byte_for_byte(log: Log, talk: Talk) -> None:
    """What was appended is what is read, in order, a room at a time."""
    log.append([talk.register("tama"), talk.join("tama"), talk.join("tama", "#riset")])
    log.append([talk.say("tama", f"pesan {number}") for number in range(7)])
    log.append([talk.say("tama", "lain", "#riset"), talk.leave("tama")])
    for room in ("#lobby", "#riset"):
        assert log.entries(room, 0, 50) == talk.said[room]
    assert log.heads() == {"#lobby": 9, "#riset": 2}


def test_what_moderators_did_is_counted_and_read_back_and_changes_no_presence(log: Log, talk: Talk) -> None:
    """Topics and kicks have their numbers in the room, between what others said."""
    log.append([talk.register("tama"), talk.join("tama"), *talk.moderate("tama"), talk.say("tama", "after")])
    assert log.entries("#lobby", 0, 50) == talk.said["#lobby"]
    assert log.heads() == {"#lobby": 4}
    assert log.presence() == {"#lobby": {"tama"}}


@pytest.mark.parametrize(
    ("after", "count", "found"), [(0, 3, [1, 2, 3]), (7, 5, [8, 9]), (9, 5, []), (3, 0, []), (50, 5, [])]
)
def test_entries_after_a_place(log: Log, talk: Talk, after: int, count: int, found: list[int]) -> None:
    """The next so many, rising."""
    log.append([talk.join(f"tamu{number}") for number in range(9)])
    assert [decode_entry_untrusted(entry).seq for entry in log.entries("#lobby", after, count)] == found


@pytest.mark.parametrize(
    ("before", "count", "found"),
    [(None, 3, [7, 8, 9]), (5, 3, [2, 3, 4]), (2, 5, [1]), (1, 5, []), (0, 5, []), (99, 2, [8, 9]), (None, 0, [])],
)
def test_entries_before_a_place(log: Log, talk: Talk, before: int | None, count: int, found: list[int]) -> None:
    """The last so many, rising."""
    log.append([talk.join(f"tamu{number}") for number in range(9)])
    assert [decode_entry_untrusted(entry).seq for entry in log.entries_before("#lobby", before, count)] == found


def test_a_long_message_comes_back_whole(log: Log, talk: Talk) -> None:
    """Longer than what one read of a record asks for at first."""
    log.append([talk.register("tama"), talk.say("tama", "panjang " * 7000)])
    assert log.entries("#lobby", 0, 1) == talk.said["#lobby"]


def test_a_chain_stands_at_the_last_statement(log: Log, talk: Talk) -> None:
    """For each device and room by itself: number and hash of what it said last."""
    log.append([talk.register("tama"), talk.say("tama", "satu"), talk.say("tama", "dua")])
    entry = decode_entry_untrusted(log.entries("#lobby", 1, 1)[0])
    assert log.chain("#lobby", talk.key_hash("tama")) == (2, statement_hash(entry.statement))  # type: ignore[union-attr]
    assert log.chain("#riset", talk.key_hash("tama")) == (0, ZERO_DIGEST)


def test_a_statement_is_found_by_author_and_number(log: Log, talk: Talk) -> None:
    """The stored entry, which is the receipt; nothing for numbers that were not used."""
    log.append([talk.register("tama"), talk.join("tama"), talk.say("tama", "satu"), talk.say("tama", "dua")])
    assert log.find("#lobby", talk.key_hash("tama"), 1) == talk.said["#lobby"][1]
    assert log.find("#lobby", talk.key_hash("tama"), 2) == talk.said["#lobby"][2]
    assert log.find("#lobby", talk.key_hash("tama"), 3) is None
    assert log.find("#lobby", bytes(32), 1) is None


def test_a_device_is_known_by_its_hash(log: Log, talk: Talk) -> None:
    """Its newest name, if it was given several."""
    log.append([talk.register("tama")])
    key = device_key().public
    assert log.device(key.key_hash) == ("tama", key.modulus)
    log.append([talk.register("Tama baru")])
    assert log.device(key.key_hash) == ("Tama baru", key.modulus)


def test_presence_is_joined_and_not_left(log: Log, talk: Talk) -> None:
    """Also when joining and leaving are in one group, and repeated."""
    log.append([talk.join("tama"), talk.join("budi"), talk.leave("budi"), talk.join("sari"), talk.join("sari")])
    log.append([talk.leave("sari"), talk.join("budi"), talk.leave("nobody"), talk.join("tama", "#riset")])
    assert log.presence() == {"#lobby": {"tama", "budi"}, "#riset": {"tama"}}


def test_answers_are_the_callers_own(log: Log, talk: Talk) -> None:
    """Changing one changes nothing in the log."""
    log.append([talk.join("tama")])
    log.presence()["#lobby"].clear()
    log.heads().clear()
    assert (log.presence(), log.heads()) == ({"#lobby": {"tama"}}, {"#lobby": 1})


# After a restart -------------------------------------------------------------------------------------------------


def everything(log: Log, talk: Talk) -> list[object]:
    """All that a log can be asked."""
    rooms = sorted(talk.said)
    keys = [talk.key_hash(name) for name in talk.devices]
    return [
        log.heads(),
        log.presence(),
        log.tree_size,
        [log.entries(room, 0, 1000) for room in rooms],
        [log.chain(room, key) for room in rooms for key in keys],
        [log.find(room, key, number) for room in rooms for key in keys for number in range(1, 5)],
        [log.device(key) for key in keys],
    ]


@pytest.mark.parametrize("index", ["kept", "deleted"])
@pytest.mark.parametrize("ending", ["closed", "killed"])
def test_a_restart_changes_no_answer(tmp_path: Path, talk: Talk, index: str, ending: str) -> None:
    """With the index or without, after a shutdown or a kill, over several segments."""
    log = open_real(tmp_path / "log", policy=LogPolicy(segment_bytes=4000))
    log.append([talk.register("tama"), talk.register("budi", 1), talk.join("tama"), talk.join("budi", "#riset")])
    for number in range(12):
        log.append([talk.say("tama", f"satu {number}"), talk.say("budi", f"dua {number}", "#riset")])
    log.append([talk.register("tama baru", 1), talk.leave("tama"), talk.join("sari")])
    answers = everything(log, talk)
    log.close() if ending == "closed" else forget(log)
    if index == "deleted":
        (tmp_path / "log" / "index.sqlite3").unlink()
    again = open_real(tmp_path / "log")
    assert everything(again, talk) == answers
    again.close()


def test_a_restarted_log_goes_on_where_it_was(tmp_path: Path, talk: Talk) -> None:
    """Rooms, chains, presence and tree, ten times over."""
    for number in range(10):
        log = open_real(tmp_path / "log")
        log.append([*([talk.register("tama")] if number == 0 else []), talk.say("tama", f"hari {number}")])
        log.close()
    log = open_real(tmp_path / "log")
    assert log.entries("#lobby", 0, 50) == talk.said["#lobby"]
    assert log.tree_size == 11
    log.close()


def test_start_up_reads_only_what_is_new(talk: Talk, tmp_path: Path) -> None:
    """However long the log, and however often restarted, a start reads the last segment and the others' headers."""

    files = MemoryFiles()
    index = tmp_path / "log"
    index.mkdir()
    log = open_real(index, files=files)
    log.append([talk.register("tama")])
    for number in range(200):
        log.append([talk.say("tama", f"pesan {number}")])
    log.close()
    for _ in range(30):
        open_real(index, files=files).close()
    before = len(files.calls)
    log = open_real(index, files=files)
    reads = [path.name for name, path in files.calls[before:] if name == "read"]
    assert len([name for name in reads if name >= "00000032"]) < 10
    assert len([name for name in reads if name < "00000032"]) <= 31 + 5
    assert log.head("#lobby") == 200
    log.close()
