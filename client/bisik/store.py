"""The database of one profile: its connections, its tables, and what a reader has read.

SQLite in WAL mode, because several processes share a home and any of them may be killed at any time. A commit
survives that and does not wait for the disk; what must survive the power too (the outbox) is followed by `sync`. Two
connections: one for the event loop, one for worker threads. The outbox's rules are in `outbox`.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bisik.errors import HomeError
from bisik.files import make_private_directory
from bisik.i18n import _

BUSY_TIMEOUT_S: Final = 20.0  # how long to wait for another process that writes
_FIRST: Final = """
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room TEXT NOT NULL,
    seq INTEGER NOT NULL,           -- in this device's chain of statements in the room
    hash BLOB NOT NULL,
    statement BLOB NOT NULL,
    signature BLOB NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'stored', 'failed')),
    stored_seq INTEGER,             -- in the room
    stored_time INTEGER,
    reason TEXT
) STRICT;
CREATE UNIQUE INDEX outbox_queued ON outbox (room, seq) WHERE state = 'queued';
CREATE INDEX outbox_hash ON outbox (hash);
CREATE TABLE chains (               -- the newest statement that this device signed in a room
    room TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE cursors (              -- the newest entry that a reader has been given
    reader TEXT NOT NULL,
    room TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (reader, room)
) STRICT, WITHOUT ROWID;
CREATE TABLE heard (                -- the newest statement of an author's device that a reader has been given
    reader TEXT NOT NULL,
    room TEXT NOT NULL,
    author BLOB NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (reader, room, author)
) STRICT, WITHOUT ROWID;
CREATE TABLE rooms (                -- joined, to be joined again at the next start
    room TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE devices (              -- whose key it is: never another's once known, though its owner may be renamed
    key_hash BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    modulus BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE former_names (         -- what the owner of a key was called before
    key_hash BLOB NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (key_hash, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_name ON devices (name);
CREATE TABLE checkpoints (          -- signed by the server: the log may never become shorter than this
    size INTEGER PRIMARY KEY,
    note BLOB NOT NULL
) STRICT;
CREATE TABLE log_alarm (            -- the server's log does not continue the checkpoint, and nobody has decided yet
    id INTEGER PRIMARY KEY CHECK (id = 1),
    kind TEXT NOT NULL,
    held INTEGER NOT NULL,
    note BLOB                       -- what the server shows instead; NULL: nothing that it has signed
) STRICT;
"""
_IGNORED: Final = """
CREATE TABLE ignored (              -- whose messages the person does not want to see
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
"""
_CONFIRMED: Final = """
CREATE TABLE confirmed (            -- how far the person has confirmed by hand what was said
    room TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
_DIRECT: Final = """
CREATE TABLE directs (              -- conversations between two: the room, and what the other is called now
    room TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    closed INTEGER                  -- the newest entry when the person closed it; NULL: it is open
) STRICT, WITHOUT ROWID;
CREATE TABLE recipients (           -- the devices that a direct room is sealed to, as they published their keys
    room TEXT NOT NULL,
    device BLOB NOT NULL,           -- hash of the signing key
    modulus BLOB NOT NULL,          -- of the signing key, which signed the bundle
    bundle BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (room, device)
) STRICT, WITHOUT ROWID;
ALTER TABLE outbox ADD COLUMN kind TEXT;
ALTER TABLE outbox ADD COLUMN text TEXT;
"""  # kind and text of what is sealed: it may have to be sealed anew
_SCHEMA: Final = (
    _FIRST,
    _IGNORED,
    _CONFIRMED,
    _DIRECT,
)  # each makes the next version out of the one before; never change an old one

Link = tuple[int, bytes]  # sequence number and hash of a statement

_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS and Windows have only the latter


class Store:
    """Open it, use it, close it. Every method raises HomeError where the database cannot be used."""

    def __init__(self, path: Path | None) -> None:
        """With None it lives in memory, for tests and simulations."""
        self._path = path
        self._workers_lock = threading.Lock()
        with self._problems():
            if path is not None:
                make_private_directory(path.parent)
            self._connection = self._connect()
            self._workers = self._connect() if path is not None else self._connection
            self._create()

    def close(self) -> None:
        with self._problems():
            self._connection.close()
            self._workers.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The event loop's connection."""
        with self._problems():
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that survives the death of this process, and may be lost with the power."""
        with self._problems(), _transaction(self._connection):
            yield self._connection

    @contextmanager
    def writing_in_worker(self) -> Iterator[sqlite3.Connection]:
        """As `writing`, for any thread."""
        with self._workers_lock, self._problems(), _transaction(self._workers):
            yield self._workers

    @contextmanager
    def writing_to_disk(self) -> Iterator[sqlite3.Connection]:
        """A transaction that has reached the disk when it ends. It may take as long as disks take; any thread may."""
        with self.writing_in_worker() as connection:
            yield connection
        self.sync()

    def sync(self) -> None:
        """Return once everything that was committed is on the disk; any thread may.

        It is there, or in the write-ahead log: SQLite syncs that into the database before it begins it anew
        (https://sqlite.org/wal.html), and locks only other files, so that this one may be opened beside it.
        """
        if self._path is None:
            return
        with self._problems():
            descriptor = os.open(f"{self._path}-wal", os.O_RDWR)
            try:
                _sync_data(descriptor)
            finally:
                os.close(descriptor)

    # What a reader has read -------------------------------------------------------------------------------------

    def cursor(self, reader: str, room: str) -> int | None:
        with self.reading() as connection:
            row = connection.execute(
                "SELECT seq FROM cursors WHERE reader = ? AND room = ?", (reader, room)
            ).fetchone()
        return None if row is None else int(row[0])

    def heard(self, reader: str, room: str) -> dict[bytes, Link]:
        """For each author's device, the newest statement that this reader was given in the room."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT author, seq, hash FROM heard WHERE reader = ? AND room = ?", (reader, room)
            ).fetchall()
        return {author: (seq, digest) for author, seq, digest in rows}

    def advance(self, reader: str, cursors: dict[str, int], heard: dict[tuple[str, bytes], Link]) -> None:
        """Remember that the reader was given everything up to these entries, in one transaction."""
        with self.writing() as connection:
            connection.executemany(
                "INSERT INTO cursors VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq",
                [(reader, room, seq) for room, seq in cursors.items()],
            )
            connection.executemany(
                "INSERT INTO heard VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
                [(reader, room, author, seq, digest) for (room, author), (seq, digest) in heard.items()],
            )

    # Rooms, devices, checkpoints --------------------------------------------------------------------------------

    def rooms(self) -> list[str]:
        with self.reading() as connection:
            return [room for (room,) in connection.execute("SELECT room FROM rooms ORDER BY room")]

    def remember_room(self, room: str) -> None:
        with self.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO rooms VALUES (?)", (room,))

    def forget_room(self, room: str) -> None:
        with self.writing() as connection:
            connection.execute("DELETE FROM rooms WHERE room = ?", (room,))

    def directs(self) -> list[tuple[str, str, int | None]]:
        """Room, the other's name, and the newest entry when it was closed, if it was; of every direct room."""
        with self.reading() as connection:
            return connection.execute("SELECT room, name, closed FROM directs ORDER BY name").fetchall()

    def remember_direct(self, room: str, name: str) -> None:
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO directs VALUES (?, ?, NULL) ON CONFLICT DO UPDATE SET name = excluded.name", (room, name)
            )

    def close_direct(self, room: str, closed: int | None) -> None:
        """The person has closed it at this entry; None: it is open again."""
        with self.writing() as connection:
            connection.execute("UPDATE directs SET closed = ? WHERE room = ?", (closed, room))

    def confirmed(self, room: str) -> int:
        """The newest entry that the person has confirmed; 0 for none."""
        with self.reading() as connection:
            row = connection.execute("SELECT seq FROM confirmed WHERE room = ?", (room,)).fetchone()
        return 0 if row is None else int(row[0])

    def confirm(self, room: str, seq: int) -> None:
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO confirmed VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
                (room, seq),
            )

    def ignored(self) -> set[str]:
        with self.reading() as connection:
            return {name for (name,) in connection.execute("SELECT name FROM ignored")}

    def ignore(self, name: str, *, ignored: bool) -> None:
        with self.writing() as connection:
            change = "INSERT OR IGNORE INTO ignored VALUES (?)" if ignored else "DELETE FROM ignored WHERE name = ?"
            connection.execute(change, (name,))

    def device(self, key_hash: bytes) -> tuple[str, bytes] | None:
        """The name and modulus that this home has pinned to a key."""
        with self.reading() as connection:
            row = connection.execute("SELECT name, modulus FROM devices WHERE key_hash = ?", (key_hash,)).fetchone()
        return None if row is None else (row[0], row[1])

    def former_names(self, key_hash: bytes) -> frozenset[str]:
        """What the owner of a key was called before."""
        with self.reading() as connection:
            rows = connection.execute("SELECT name FROM former_names WHERE key_hash = ?", (key_hash,)).fetchall()
        return frozenset(name for (name,) in rows)

    def devices_of(self, name: str) -> list[bytes]:
        """The hashes of the keys that are pinned to a name."""
        with self.reading() as connection:
            rows = connection.execute("SELECT key_hash FROM devices WHERE name = ? ORDER BY key_hash", (name,))
            return [key_hash for (key_hash,) in rows]

    def pin_device(self, key_hash: bytes, name: str, modulus: bytes, former_names: Iterable[str] = ()) -> int:
        """Remember whose key it is, and under which names. Returns how many other devices of that name were known."""
        with self.writing() as connection:
            (others,) = connection.execute(
                "SELECT count(*) FROM devices LEFT JOIN former_names USING (key_hash)"
                " WHERE ? IN (devices.name, former_names.name) AND key_hash != ?",
                (name, key_hash),
            ).fetchone()
            connection.execute(
                "INSERT INTO devices VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name",
                (key_hash, name, modulus),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO former_names VALUES (?, ?)", [(key_hash, former) for former in former_names]
            )
        return int(others)

    def checkpoint(self) -> tuple[int, bytes] | None:
        """Size and note of the longest log that the server has signed for."""
        with self.reading() as connection:
            row = connection.execute("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
        return None if row is None else (row[0], row[1])

    def remember_checkpoint(self, size: int, note: bytes) -> None:
        with self.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO checkpoints VALUES (?, ?)", (size, note))
            connection.execute("DELETE FROM checkpoints WHERE size < ?", (size,))

    def log_alarm(self) -> tuple[str, int, bytes | None] | None:
        """Kind, number of entries held, and the note that the server shows; None where nothing is wrong."""
        with self.reading() as connection:
            row = connection.execute("SELECT kind, held, note FROM log_alarm").fetchone()
        return None if row is None else (row[0], row[1], row[2])

    def raise_log_alarm(self, kind: str, held: int, note: bytes | None) -> None:
        with self.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO log_alarm VALUES (1, ?, ?, ?)", (kind, held, note))

    def clear_log_alarm(self) -> None:
        """It has explained itself: the log continues what is held after all."""
        with self.writing() as connection:
            connection.execute("DELETE FROM log_alarm")

    def trust_log(self, checkpoint: tuple[int, bytes] | None) -> None:
        """The person has decided: this is held from now on, whatever was held before, and no alarm is left."""
        with self.writing() as connection:
            connection.execute("DELETE FROM checkpoints")
            connection.execute("DELETE FROM log_alarm")
            if checkpoint is not None:
                connection.execute("INSERT INTO checkpoints VALUES (?, ?)", checkpoint)

    # Inside -----------------------------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path or ":memory:", timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")  # a commit waits for no disk
        return connection

    def _create(self) -> None:
        with _transaction(self._workers) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(_SCHEMA):
                raise HomeError(
                    _("{path} was written by a newer bisik. Use that one, or another home.").format(path=self._path)
                )
            for statements in _SCHEMA[version:]:
                for statement in statements.split(";\n"):
                    connection.execute(statement)
            if version < len(_SCHEMA):
                connection.execute(f"PRAGMA user_version = {len(_SCHEMA)}")

    @contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise HomeError(
                _("Cannot use {path}: {error}.").format(path=self._path or "the store", error=error)
            ) from error
        except OSError as error:
            raise HomeError(
                _("Cannot use {path}: {strerror}.").format(path=self._path, strerror=error.strerror)
            ) from error


def use_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for a lock when it changes the mode, so of two processes that start at once one must."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """BEGIN IMMEDIATE: a transaction that reads first and writes later would fail where another process wrote."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some failures have ended it by themselves
            connection.execute("ROLLBACK")
        raise
