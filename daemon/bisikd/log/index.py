"""Where things lie in the log: an SQLite database that can be deleted at any time and is rebuilt from the segments.

It holds places (segment and offset), numbers and hashes of public keys, and nothing that anyone said or is called:
the log is encrypted, and its index must not tell what the log keeps. It is never an authority; it is always at the
log or behind it, because a group is entered here only after its fsync.

Synchronous is NORMAL, not OFF: in WAL mode a commit costs no fsync either way, but OFF lets a power cut mix old pages
with new ones, and a wrong index would be worse than none. No locking of its own: `store` holds a lock around it.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from bisikd.log.merkle import Frontier, complete_root
from bisikd.log.recovery import Start
from bisikd.log.replay import Position

FORMAT: Final = 3
INDEX_NAME: Final = "index.sqlite3"
NODE_LEVELS: Final = 8  # of the tree above the leaves, every so many are kept: a proof then takes some 700 hashes

_SCHEMA: Final = f"""
CREATE TABLE rooms (
    id INTEGER PRIMARY KEY, segment INTEGER NOT NULL, offset INTEGER NOT NULL, floor INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE authors (id INTEGER PRIMARY KEY, key_hash BLOB NOT NULL UNIQUE);
CREATE TABLE leaves (
    leaf INTEGER PRIMARY KEY, segment INTEGER NOT NULL, offset INTEGER NOT NULL, hash BLOB NOT NULL
);
CREATE TABLE nodes (
    level INTEGER NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, number)
) WITHOUT ROWID;
CREATE TABLE entries (
    room INTEGER NOT NULL, seq INTEGER NOT NULL, leaf INTEGER NOT NULL, PRIMARY KEY (room, seq)
) WITHOUT ROWID;
CREATE TABLE statements (
    room INTEGER NOT NULL, author INTEGER NOT NULL, author_seq INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (room, author, author_seq)
) WITHOUT ROWID;
CREATE TABLE devices (
    key_hash BLOB PRIMARY KEY, segment INTEGER NOT NULL, offset INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE presence (
    room INTEGER NOT NULL, seq INTEGER NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (room, seq)
) WITHOUT ROWID;
CREATE TABLE tips (
    room INTEGER NOT NULL, author INTEGER NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (room, author)
) WITHOUT ROWID;
CREATE TABLE dropped (id INTEGER PRIMARY KEY CHECK (id = 0), segment INTEGER NOT NULL);
CREATE TABLE watermark (
    id INTEGER PRIMARY KEY CHECK (id = 0), segment INTEGER NOT NULL, header_hash BLOB NOT NULL,
    offset INTEGER NOT NULL, grp INTEGER NOT NULL, counter INTEGER NOT NULL, tree BLOB NOT NULL
);
CREATE TABLE checkpoint (
    id INTEGER PRIMARY KEY CHECK (id = 0), segment INTEGER NOT NULL, offset INTEGER NOT NULL
);
PRAGMA user_version = {FORMAT};
"""


class Place(NamedTuple):
    """Where a record lies."""

    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class Watermark:
    """Up to here the index knows the log."""

    segment: int
    header_hash: bytes
    position: Position
    tree: Frontier

    @property
    def start(self) -> Start:
        return Start(self.segment, self.position, self.tree.copy())


class Index:
    """The database. Every method may raise sqlite3.Error."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path | None) -> "Index":
        """The index at `path`, in memory if None. One that cannot be used is deleted and begun anew."""
        if path is None:
            return cls._prepare(":memory:")
        path.touch(mode=0o600)  # SQLite gives its other files the same mode
        try:
            return cls._prepare(path)
        except sqlite3.OperationalError:
            raise  # no permission, no room: deleting would not help
        except (sqlite3.DatabaseError, UnicodeDecodeError):  # the latter where SQLite quotes a damaged schema
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).unlink()
            return cls._prepare(path)

    @classmethod
    def _prepare(cls, database: Path | str) -> "Index":
        connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        index = cls(connection)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if index._format() == 0:
                connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
            usable = index._format() == FORMAT and index._has_readable_watermark()
        except BaseException:
            connection.close()
            raise
        if not usable:
            connection.close()
            raise sqlite3.DatabaseError("the index was not made by this program")
        return index

    def _format(self) -> int:
        return int(self._database.execute("PRAGMA user_version").fetchone()[0])

    def _has_readable_watermark(self) -> bool:
        try:
            self.watermark()
        except ValueError:
            return False
        return True

    def in_memory(self) -> "Index":
        """A copy that needs no disk, for when there is no room left for this one."""
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._database.backup(copy)
        return Index(copy)

    def close(self) -> None:
        self._database.close()

    def begin(self) -> None:
        self._database.execute("BEGIN")

    def commit(self) -> None:
        self._database.execute("COMMIT")

    def rollback(self) -> None:
        """Forget what came since `begin`, if anything."""
        with suppress(sqlite3.OperationalError):
            self._database.execute("ROLLBACK")

    # Entering what is new; between begin and commit ----------------------------------------------------------------

    def add_room(self, place: Place) -> int:
        """A room whose first entry lies at `place`; its number here."""
        cursor = self._database.execute("INSERT INTO rooms (segment, offset) VALUES (?, ?)", place)
        return self._inserted(cursor)

    def author(self, key_hash: bytes) -> int:
        """The number here of a key, new or not."""
        row = self._database.execute("SELECT id FROM authors WHERE key_hash = ?", (key_hash,)).fetchone()
        if row is not None:
            return _number(row[0])
        return self._inserted(self._database.execute("INSERT INTO authors (key_hash) VALUES (?)", (key_hash,)))

    def add_leaves(self, first: int, segment: int, rows: Sequence[tuple[int, bytes]]) -> None:
        """Offset and hash of the leaves from number `first` on."""
        numbered = ((first + part, segment, offset, leaf) for part, (offset, leaf) in enumerate(rows))
        self._database.executemany("INSERT INTO leaves VALUES (?, ?, ?, ?)", numbered)
        for number in range(first >> NODE_LEVELS, first + len(rows) >> NODE_LEVELS):
            self._add_node(NODE_LEVELS, number)

    def _add_node(self, level: int, number: int) -> None:
        """Keep the root of a subtree that has just become complete, and those above it that have."""
        below = self._hashes(level - NODE_LEVELS, number << NODE_LEVELS, 1 << NODE_LEVELS)
        row = (level, number, complete_root(below))
        self._database.execute("INSERT INTO nodes VALUES (?, ?, ?)", row)
        if number + 1 & (1 << NODE_LEVELS) - 1 == 0:
            self._add_node(level + NODE_LEVELS, number >> NODE_LEVELS)

    def add_entries(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """Rows of room, seq, leaf."""
        self._database.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)

    def add_statements(self, rows: Iterable[tuple[int, int, int, int]]) -> None:
        """Rows of room, author, the author's sequence number, seq."""
        self._database.executemany("INSERT INTO statements VALUES (?, ?, ?, ?)", rows)

    def set_device(self, key_hash: bytes, place: Place) -> None:
        self._database.execute("INSERT OR REPLACE INTO devices VALUES (?, ?, ?)", (key_hash, *place))

    def add_presence(self, room: int, seq: int, place: Place) -> None:
        """Someone has joined by the entry `seq`, whose name is in the record at `place`."""
        self._database.execute("INSERT INTO presence VALUES (?, ?, ?, ?)", (room, seq, *place))

    def remove_presence(self, room: int, seq: int) -> None:
        """Who joined by the entry `seq` has left."""
        self._database.execute("DELETE FROM presence WHERE room = ? AND seq = ?", (room, seq))

    # What is no longer kept, between begin and commit too

    def set_dropped(self, segment: int, leaves: int) -> None:
        """Everything up to this segment, which are so many leaves, is gone but for the leaves' hashes."""
        self._database.execute("INSERT OR REPLACE INTO dropped VALUES (0, ?)", (segment,))
        self._database.execute("DELETE FROM entries WHERE leaf < ?", (leaves,))

    def set_floor(self, room: int, head: int, place: Place) -> None:
        """Of this room everything up to entry `head` is gone; its name is at `place` if it was in what is gone."""
        self._database.execute("UPDATE rooms SET floor = ? WHERE id = ?", (head, room))
        moved = "UPDATE rooms SET segment = ?, offset = ? WHERE id = ? AND segment <= ?"
        self._database.execute(moved, (*place, room, place.segment))
        self._database.execute("DELETE FROM statements WHERE room = ? AND seq <= ?", (room, head))

    def move_device(self, key_hash: bytes, place: Place) -> None:
        """A key that is known from what is gone is now at `place`; a newer name of it stays where it is."""
        known = self.device(key_hash)
        if known is None or known.segment <= place.segment:
            self.set_device(key_hash, place)

    def move_presence(self, room: int, seq: int, place: Place) -> None:
        """Who is still there by an entry that is gone has their name at `place`."""
        moved = "UPDATE presence SET segment = ?, offset = ? WHERE room = ? AND seq = ?"
        self._database.execute(moved, (*place, room, seq))

    def set_tip(self, room: int, key_hash: bytes, place: Place) -> None:
        """Where a chain stood at the end of what is gone."""
        row = (room, self.author(key_hash), *place)
        self._database.execute("INSERT OR REPLACE INTO tips VALUES (?, ?, ?, ?)", row)

    def set_checkpoint(self, place: Place) -> None:
        self._database.execute("INSERT OR REPLACE INTO checkpoint VALUES (0, ?, ?)", place)

    def set_watermark(self, mark: Watermark) -> None:
        at = mark.position
        row = (mark.segment, mark.header_hash, at.offset, at.group, at.counter, mark.tree.to_bytes())
        self._database.execute("INSERT OR REPLACE INTO watermark VALUES (0, ?, ?, ?, ?, ?, ?)", row)

    @staticmethod
    def _inserted(cursor: sqlite3.Cursor) -> int:
        if cursor.lastrowid is None:
            raise sqlite3.DatabaseError("the index gave a new row no number")
        return cursor.lastrowid

    # Looking up ----------------------------------------------------------------------------------------------------

    def watermark(self) -> Watermark | None:
        row = self._database.execute(
            "SELECT segment, offset, grp, counter, header_hash, tree FROM watermark"
        ).fetchone()
        if row is None:
            return None
        (segment, *position), header_hash, tree = _numbers(row[:4]), _bytes(row[4]), _bytes(row[5])
        return Watermark(segment, header_hash, Position(*position), Frontier.from_bytes(tree))

    def checkpoint(self) -> Place | None:
        return self._place("SELECT segment, offset FROM checkpoint", ())

    def rooms(self) -> list[tuple[int, Place, int, int]]:
        """Each room's number, where its name is, its newest sequence number, and up to which nothing is kept."""
        newest = "SELECT seq FROM entries WHERE room = id ORDER BY seq DESC LIMIT 1"
        query = f"SELECT id, segment, offset, coalesce(({newest}), floor), floor FROM rooms ORDER BY id"  # noqa: S608
        rows = map(_numbers, self._database.execute(query))
        return [(room, Place(segment, offset), seq, floor) for room, segment, offset, seq, floor in rows]

    def dropped(self) -> int:
        """Up to which segment nothing is kept, as far as the index knows."""
        row = self._database.execute("SELECT segment FROM dropped").fetchone()
        return 0 if row is None else _number(row[0])

    def tip(self, room: int, key_hash: bytes) -> Place | None:
        """What was kept of a chain whose statements are gone."""
        author = "(SELECT id FROM authors WHERE key_hash = ?)"
        query = f"SELECT segment, offset FROM tips WHERE room = ? AND author = {author}"  # noqa: S608
        return self._place(query, (room, key_hash))

    def entry(self, room: int, seq: int) -> Place | None:
        query = "SELECT segment, offset FROM entries JOIN leaves USING (leaf) WHERE room = ? AND seq = ?"
        return self._place(query, (room, seq))

    def leaf(self, room: int, seq: int) -> int | None:
        """The number, from 0, of an entry's leaf in the tree."""
        row = self._database.execute("SELECT leaf FROM entries WHERE room = ? AND seq = ?", (room, seq)).fetchone()
        return None if row is None else _number(row[0])

    def subtree(self, level: int, number: int) -> bytes:
        """The root of the complete subtree of 2**level leaves from leaf number * 2**level on.

        Every eighth level is kept; what is between comes of at most 128 hashes of the one below. Raises
        sqlite3.DatabaseError if the index has not got all of these.
        """
        above = level % NODE_LEVELS
        return complete_root(self._hashes(level - above, number << above, 1 << above))

    def _hashes(self, level: int, first: int, count: int) -> list[bytes]:
        """So many hashes of one kept level, side by side."""
        if level == 0:
            query = "SELECT hash FROM leaves WHERE leaf >= ? AND leaf < ? ORDER BY leaf"
            rows = self._database.execute(query, (first, first + count)).fetchall()
        else:
            query = "SELECT hash FROM nodes WHERE level = ? AND number >= ? AND number < ? ORDER BY number"
            rows = self._database.execute(query, (level, first, first + count)).fetchall()
        if len(rows) != count:
            raise sqlite3.DatabaseError("hashes of the tree are missing")
        return [_bytes(row[0]) for row in rows]

    def entries_after(self, room: int, after: int, count: int) -> list[tuple[int, Place]]:
        """Sequence number and place of the next entries, rising."""
        query = (
            "SELECT seq, segment, offset FROM entries JOIN leaves USING (leaf) "
            "WHERE room = ? AND seq > ? ORDER BY seq LIMIT ?"
        )
        rows = map(_numbers, self._database.execute(query, (room, after, count)))
        return [(seq, Place(segment, offset)) for seq, segment, offset in rows]

    def statement(self, room: int, key_hash: bytes, author_seq: int | None) -> tuple[int, int] | None:
        """(author's sequence number, seq) of what a key said in a room; with None its newest."""
        author = "(SELECT id FROM authors WHERE key_hash = ?)"
        query = f"SELECT author_seq, seq FROM statements WHERE room = ? AND author = {author}"  # noqa: S608
        if author_seq is None:
            row = self._database.execute(f"{query} ORDER BY author_seq DESC LIMIT 1", (room, key_hash)).fetchone()
        else:
            row = self._database.execute(f"{query} AND author_seq = ?", (room, key_hash, author_seq)).fetchone()
        return None if row is None else (_number(row[0]), _number(row[1]))

    def device(self, key_hash: bytes) -> Place | None:
        return self._place("SELECT segment, offset FROM devices WHERE key_hash = ?", (key_hash,))

    def presence(self) -> list[tuple[int, int, Place]]:
        """Room and number of each entry by which someone joined who has not left, and where their name is."""
        query = "SELECT room, seq, segment, offset FROM presence ORDER BY room, seq"
        rows = map(_numbers, self._database.execute(query))
        return [(room, seq, Place(segment, offset)) for room, seq, segment, offset in rows]

    def _place(self, query: str, parameters: Sequence[object]) -> Place | None:
        row = self._database.execute(query, parameters).fetchone()
        return None if row is None else Place(*_numbers(row))


# What SQLite hands out of a damaged file need not be what its columns were declared to hold.


def _number(value: object) -> int:
    """Raises sqlite3.DatabaseError if this is none."""
    if not isinstance(value, int):
        raise sqlite3.DatabaseError("the index holds something else where a number was written")
    return value


def _numbers(row: Iterable[object]) -> tuple[int, ...]:
    return tuple(map(_number, row))


def _bytes(value: object) -> bytes:
    """Raises sqlite3.DatabaseError if this is none."""
    if not isinstance(value, bytes):
        raise sqlite3.DatabaseError("the index holds something else where bytes were written")
    return value
