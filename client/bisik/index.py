"""Full text of what was said: an index on this device, over what it may read. SQLite FTS5, beside the store.

It is a cache: whoever deletes it loses nothing but time. Rooms are covered from their beginning up to an entry; what
is read live is added as it comes, and what lies before is fetched when somebody searches. It knows no network.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from bisik.errors import HomeError
from bisik.events import Message
from bisik.files import make_private_directory
from bisik.i18n import _
from bisik.store import BUSY_TIMEOUT_S, use_wal

MAX_WORDS: Final = 32  # of a query

_SCHEMA: Final = """
CREATE TABLE messages (
    number INTEGER PRIMARY KEY,
    room TEXT NOT NULL,
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    time TEXT NOT NULL,
    author TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (room, seq)
) STRICT;
CREATE INDEX messages_time ON messages (time);
CREATE VIRTUAL TABLE words USING fts5 (
    text, content = 'messages', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TABLE covered (              -- every message of the room up to here is in the index
    room TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""


_Row = tuple[str, int, str, str, str, Literal["say", "act"], str]


class SearchIndex:
    """Open it, use it, close it. Every method raises HomeError where the database cannot be used."""

    def __init__(self, path: Path | None) -> None:
        """With None it lives in memory, for tests."""
        self._path = path
        with self._problems():
            if path is not None:
                make_private_directory(path.parent)
            self._connection = sqlite3.connect(
                path or ":memory:", timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            use_wal(self._connection)
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._create()

    def close(self) -> None:
        with self._problems():
            self._connection.close()

    def add(self, messages: Iterable[Message]) -> None:
        """Messages, in any order; those that are there already are left as they are."""
        with self._problems(), self._transaction() as connection:
            for message in messages:
                row = connection.execute(
                    "INSERT OR IGNORE INTO messages (room, seq, id, time, author, kind, text)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING number",
                    (
                        *(message.room, message.seq, message.id, message.time),
                        *(message.author, message.kind, message.text),
                    ),
                ).fetchone()
                if row is not None:
                    connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (row[0], message.text))

    def covered(self, room: str) -> int:
        """Up to which entry everything is here."""
        with self._problems():
            row = self._connection.execute("SELECT seq FROM covered WHERE room = ?", (room,)).fetchone()
        return 0 if row is None else int(row[0])

    def cover(self, room: str, seq: int) -> None:
        """From now on everything up to this entry is here."""
        with self._problems():
            change = "INSERT INTO covered VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)"
            self._connection.execute(change, (room, seq))

    def search(
        self, query: str, *, room: str | None = None, author: str | None = None, count: int = 20
    ) -> list[Message]:
        """The newest messages that hold all words of the query, oldest first; the last word may be a beginning."""
        plain = query.encode("utf-8", "ignore").decode("utf-8")
        words = plain.replace('"', " ").replace("\0", " ").split()[:MAX_WORDS]
        if not words:
            return []
        phrase = " ".join(f'"{word}"' for word in words) + " *"
        with self._problems():
            rows = self._connection.execute(
                "SELECT room, seq, id, time, author, kind, m.text FROM words JOIN messages AS m ON m.number ="
                " words.rowid"
                " WHERE words MATCH ? AND (?2 IS NULL OR room = ?2) AND (?3 IS NULL OR author = ?3)"
                " ORDER BY time DESC, seq DESC LIMIT ?4",
                (phrase, room, author, count),
            ).fetchall()
        return _oldest_first(rows)

    def last(self, room: str, count: int | None = None, *, before: int | None = None) -> list[Message]:
        """The newest so many messages of a room that are here, oldest first; all without a count.

        With `before` only those whose number is less. There may have been others between two of them.
        """
        with self._problems():
            rows = self._connection.execute(
                "SELECT room, seq, id, time, author, kind, text FROM messages"
                " WHERE room = ?1 AND (?2 IS NULL OR seq < ?2) ORDER BY seq DESC LIMIT ?3",
                (room, before, -1 if count is None else count),
            ).fetchall()
        return _oldest_first(rows)

    def _create(self) -> None:
        with self._transaction() as connection:
            if connection.execute("PRAGMA user_version").fetchone() == (0,):
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute("PRAGMA user_version = 1")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            told = _("Cannot search with {path}: {error}. It can be deleted; it is made again.")
            raise HomeError(told.format(path=self._path, error=error)) from error


def _oldest_first(rows: Sequence[_Row]) -> list[Message]:
    return [
        Message(room=room, seq=seq, id=id_, time=time, author=author, kind=kind, text=text)
        for room, seq, id_, time, author, kind, text in reversed(rows)
    ]
