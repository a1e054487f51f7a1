"""The index: never an authority. Behind is caught up, broken is made anew, ahead is the alarm."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bisikd.log import IndexDamaged, LogDamaged, LogPolicy
from bisikd.log.index import Index
from tests.daemon.log.bench import open_real
from tests.daemon.log.talk import Talk


@pytest.fixture
def talk() -> Talk:
    return Talk(signed=False)


@pytest.fixture
def directory(tmp_path: Path, talk: Talk) -> Path:
    """A log of three segments with four rooms, closed."""
    directory = tmp_path / "log"
    log = open_real(directory, policy=LogPolicy(segment_bytes=4000, checkpoint_records=7))
    log.append([talk.register("tama"), talk.register("budi", 1)])
    for number in range(5):
        room = f"#kamar{number % 4}"
        log.append([talk.join("tama", room), talk.say("tama", f"satu {number}", room), talk.say("budi", "dua", room)])
    log.append([talk.leave("tama", "#kamar2"), talk.register("budi baru", 1)])
    log.close()
    return directory


def contents(directory: Path) -> list[str]:
    """Everything in the index, as SQL, but for the watermark, which names the newest segment's random header."""
    with closing(sqlite3.connect(directory / "index.sqlite3")) as database:
        return [line for line in database.iterdump() if not line.startswith('INSERT INTO "watermark"')]


def watermark(directory: Path) -> tuple[object, ...]:
    """Segment, offset, tree."""
    with closing(sqlite3.connect(directory / "index.sqlite3")) as database:
        (row,) = database.execute("SELECT segment, offset, tree FROM watermark")
        return tuple(row)


def test_a_deleted_index_is_rebuilt_identical(directory: Path) -> None:
    """To the last row: same places, same numbers, same tree."""
    copy = directory.with_name("copy")
    shutil.copytree(directory, copy)
    for path in copy.glob("index.sqlite3*"):
        path.unlink()
    for each in (directory, copy):
        open_real(each).close()
    assert contents(copy) == contents(directory)
    assert len(contents(copy)) > 30
    assert watermark(copy) == watermark(directory)


def test_an_index_from_any_earlier_time_is_caught_up(tmp_path: Path, talk: Talk) -> None:
    """Put back as it was after each group, it leads to the same answers as the newest."""
    directory, old = tmp_path / "log", []
    log = open_real(directory)
    log.append([talk.register("tama")])
    for number in range(8):
        log.append([talk.say("tama", f"pesan {number}"), talk.join(f"tamu{number}")])
        old.append(tmp_path / f"old{number}")
        with (
            closing(sqlite3.connect(directory / "index.sqlite3")) as database,
            closing(sqlite3.connect(old[-1])) as copy,
        ):
            database.backup(copy)
    log.close()
    for index in old:
        for path in directory.glob("index.sqlite3*"):
            path.unlink()
        index.rename(directory / "index.sqlite3")
        log = open_real(directory)
        assert log.entries("#lobby", 0, 100) == talk.said["#lobby"]
        assert log.chain("#lobby", talk.key_hash("tama"))[0] == 8
        assert len(log.presence()["#lobby"]) == 8
        log.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def newer(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def misleading(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE entries SET leaf = (SELECT max(leaf) FROM entries) WHERE seq = 1")
        database.execute("UPDATE rooms SET segment = 1, offset = (SELECT min(offset) FROM devices)")
    database.close()


def bad_watermark(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE watermark SET tree = x'00'")
    database.close()


def another_type(path: Path, table: str, column: str, value: object) -> None:
    """What a flipped bit in a row's header does: the value is of a type that its column never takes."""
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA writable_schema = ON")
        loosened = "UPDATE sqlite_master SET sql = replace(replace(sql, ' NOT NULL', ''), ' INTEGER,', ',')"
        database.execute(loosened)
    database.close()
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE {table} SET {column} = ?", (value,))  # noqa: S608 # of the tests
    database.close()


def no_place(path: Path) -> None:
    another_type(path, "rooms", "offset", None)


def text_for_a_hash(path: Path) -> None:
    another_type(path, "watermark", "tree", "text")


def no_such_room(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE presence SET room = 77 WHERE room = 1")
    database.close()


def schema_of_another_alphabet(path: Path) -> None:
    """SQLite quotes it when it complains, and Python cannot read the complaint."""
    content = path.read_bytes()
    assert content.count(b"tabledevices") == 1
    path.write_bytes(content.replace(b"tabledevices", b"table\x80\xff\xfeices"))


@pytest.mark.parametrize(
    "damage",
    [
        garbage, cut, newer, misleading, bad_watermark, no_place, text_for_a_hash, no_such_room,
        schema_of_another_alphabet,
    ],
)  # fmt: skip
def test_an_index_that_cannot_be_used_is_made_anew(directory: Path, damage: Callable[[Path], None]) -> None:
    """Whatever is wrong with it, the start succeeds and nothing is missing."""
    before = open_real(directory)
    heads, presence = before.heads(), before.presence()
    before.close()
    damage(directory / "index.sqlite3")
    log = open_real(directory)
    assert (log.heads(), log.presence()) == (heads, presence)
    assert all(len(log.entries(room, 0, 99)) == head for room, head in heads.items())
    log.close()


def test_an_index_that_misleads_while_running_is_noticed(directory: Path) -> None:
    """Nobody is shown another record than was asked for."""
    log = open_real(directory)
    with sqlite3.connect(directory / "index.sqlite3") as database:
        database.execute("UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE room = 1 AND seq = 2)")
    database.close()
    with pytest.raises(IndexDamaged, match="deleted while the daemon is stopped"):
        log.entries("#kamar1", 0, 1)
    log.close()


@pytest.mark.parametrize("lost", ["the last segment", "its end", "everything"])
def test_an_index_ahead_of_the_log_is_refused(directory: Path, lost: str) -> None:
    """Stored messages are gone: an older log was put back, or the disk lied. Deleting the index accepts it."""
    segments = sorted(directory.glob("*.segment"))
    for path in directory.glob("0000000[5-9].segment"):
        path.unlink()
    if lost == "its end":
        segments[-1].write_bytes(segments[-1].read_bytes()[:1000])
    else:
        for path in segments[-1:] if lost == "the last segment" else segments:
            path.unlink()
    before = {path.name: path.read_bytes() for path in directory.glob("*.segment")}
    with pytest.raises(LogDamaged, match=r"\.segment, byte \d+: .*missing"):
        open_real(directory)
    assert {path.name: path.read_bytes() for path in directory.glob("*.segment")} == before
    for path in directory.glob("index.sqlite3*"):
        path.unlink()
    open_real(directory).close()


def test_an_index_of_another_log_is_refused(directory: Path, tmp_path: Path, talk: Talk) -> None:
    """The segment that it knows is not the one that is there."""
    other = tmp_path / "other"
    log = open_real(other)
    log.append([Talk(signed=False).join("sari")])
    log.close()
    for path in directory.glob("*.segment"):
        path.unlink()
    for path in other.glob("*.segment"):
        shutil.copy(path, directory / path.name)
    with pytest.raises(LogDamaged, match=r"put back on purpose|missing"):
        open_real(directory)


class FullIndex:
    """Stands for a disk with room for the log and none for the index."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def __getattr__(self, name: str) -> object:
        return getattr(self._index, name)

    def add_entries(self, rows: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")


def test_without_room_for_the_index_it_goes_on_in_memory(tmp_path: Path, talk: Talk) -> None:
    """What is stored is found all the same, and the file catches up at the next start."""
    log = open_real(tmp_path / "log")
    log.append([talk.register("tama"), talk.say("tama", "satu")])
    log._catalogue._index = FullIndex(log._catalogue._index)  # type: ignore[assignment]
    log.append([talk.say("tama", "dua"), talk.join("tama")])
    log.append([talk.say("tama", "tiga")])
    for _ in range(2):
        assert log.entries("#lobby", 0, 99) == talk.said["#lobby"]
        assert log.chain("#lobby", talk.key_hash("tama"))[0] == 3
        assert log.presence() == {"#lobby": {"tama"}}
        log.close()
        log = open_real(tmp_path / "log")
    log.close()


@pytest.mark.parametrize("harm", ["cut", "grown", "gone", "another's", "header"])
def test_a_start_sees_what_became_of_segments_that_it_need_not_read(directory: Path, harm: str) -> None:
    """The index knows them: their length, header and place are looked at all the same, and the file is named."""
    old = directory / "00000001.segment"
    content = old.read_bytes()
    match harm:
        case "cut":
            old.write_bytes(content[:-1])
        case "grown":
            old.write_bytes(content + b"\0")
        case "gone":
            old.unlink()
        case "another's":
            old.write_bytes((directory / "00000002.segment").read_bytes())
        case "header":
            old.write_bytes(content[:100] + bytes((content[100] ^ 1,)) + content[101:])
    with pytest.raises(LogDamaged, match=r"00000001\.segment, byte \d+: This"):
        open_real(directory)
