"""The outbox: what was said here and is not known to be in the server's log yet, on disk, in order, already signed.

A message gets its number in this device's chain of statements, its signature and its row in one transaction, and only
then may it go out. Whatever happens after that, to this process or to several that share the home, the same bytes are
sent again until their entry comes back, and the server stores the same bytes once. So nothing is lost or doubled.

The one case where bytes must change is a contradiction: the server holds another statement under a number (a home
restored from a copy, or copied to a second machine), or holds less than it once confirmed (a log restored from a
copy). Then `renumber` signs again what the server has refused, and only that, behind the server's end of the chain;
it is on disk before anything is sent under a new number. What is sealed is then sealed anew as well, because a
sealed text belongs to its place in the chain; so it is when the devices that it is for are other ones now. For that
the outbox keeps what was said beside what was signed.

It knows nothing of connections. `posting` decides when to send and when to renumber.
"""

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from bisik.errors import NoRecipients
from bisik.events import Receipt, rfc3339
from bisik.recipients import recipients_of
from bisik.store import Store
from bisik_protocol.chat.direct_names import is_direct
from bisik_protocol.chat.messages import ZERO_DIGEST
from bisik_protocol.chat.sealed_text import seal_statement
from bisik_protocol.chat.statements import (
    STATEMENT_CONTEXT,
    Kind,
    SealedStatement,
    Statement,
    decode_any_statement_untrusted,
    encode_statement,
    statement_hash,
)
from bisik_protocol.crypto.identity import SigningKey
from bisik_protocol.randomness import RandomSource

KEPT_OUTCOMES: Final = 500  # stored and failed rows that other processes may still ask about


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A message that waits for its entry."""

    id: int
    seq: int
    hash: bytes
    statement: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a message in the outbox says."""

    room: str
    kind: Kind
    text: str = field(repr=False)
    time: int
    checkpoint: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A message is in the server's log."""

    id: int
    now: bool
    """Whether this is news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The server will never take this message."""

    room: str
    reason: str


Outcome = Receipt | Failed


class Outbox:
    """The outbox of one profile. Any number of processes may have one open."""

    def __init__(self, store: Store, device: SigningKey, *, random: RandomSource = os.urandom) -> None:
        self._random = random
        self._store = store
        self._device = device
        self._author = device.public.key_hash

    def enqueue(
        self, room: str, text: str, *, kind: Kind = Kind.SAY, time_ms: int, checkpoint: bytes | None = None
    ) -> int:
        """Number, sign and keep a message; its id. For worker threads too.

        It survives this process, and the machine once `sync` has returned. In a direct room it is sealed to the
        devices that are known. Raises NoRecipients where none are.
        """
        said = Said(room=room, kind=kind, text=text, time=time_ms, checkpoint=checkpoint)
        kept = (kind.value, text) if is_direct(room) else (None, None)
        with self._store.writing_in_worker() as connection:
            seq, previous = _chain(connection, room)
            encoded, signature = self._sign(connection, said, seq + 1, previous)
            digest = statement_hash(encoded)
            row = connection.execute(
                "INSERT INTO outbox (room, seq, hash, statement, signature, kind, text)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (room, seq + 1, digest, encoded, signature, *kept),
            ).fetchone()
            _set_chain(connection, room, seq + 1, digest)
        return int(row[0])

    def sync(self) -> None:
        """Return once everything that was enqueued is on the disk. Raises HomeError. For worker threads too."""
        self._store.sync()

    def queued(self, room: str, *, after_seq: int = 0, limit: int = -1) -> list[Queued]:
        """What waits in a room, in order."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT id, seq, hash, statement, signature FROM outbox"
                " WHERE room = ? AND state = 'queued' AND seq > ? ORDER BY seq LIMIT ?",
                (room, after_seq, limit),
            ).fetchall()
        return [Queued(id=row[0], seq=row[1], hash=row[2], statement=row[3], signature=row[4]) for row in rows]

    def waits(self, digest: bytes) -> bool:
        """Whether the statement with this hash waits, under the number that it was signed with."""
        with self._store.reading() as connection:
            row = connection.execute("SELECT 1 FROM outbox WHERE hash = ? AND state = 'queued'", (digest,)).fetchone()
        return row is not None

    def rooms(self) -> list[str]:
        """The rooms in which something waits."""
        with self._store.reading() as connection:
            rows = connection.execute("SELECT DISTINCT room FROM outbox WHERE state = 'queued' ORDER BY room")
            return [room for (room,) in rows]

    def count(self) -> int:
        """How many messages wait, in all rooms."""
        with self._store.reading() as connection:
            (count,) = connection.execute("SELECT count(*) FROM outbox WHERE state = 'queued'").fetchone()
        return int(count)

    def settle(self, digest: bytes, *, seq: int, time_ms: int) -> Settled | None:
        """The entry of the statement with this hash was seen; None where this home does not remember such a message.

        Asked for every own message that passes, so it writes only when there is something to write.
        """
        with self._store.reading() as connection:
            row = connection.execute("SELECT id, state FROM outbox WHERE hash = ?", (digest,)).fetchone()
        if row is None:
            return None
        waited = row[1] == "queued"
        if waited:
            with self._store.writing() as connection:
                connection.execute(
                    "UPDATE outbox SET state = 'stored', stored_seq = ?, stored_time = ? WHERE id = ? AND hash = ?",
                    (seq, time_ms, row[0], digest),
                )
                _prune(connection)
        return Settled(id=row[0], now=waited)

    def outcome(self, id_: int) -> Outcome | None:
        """What became of a message; None while it waits."""
        with self._store.reading() as connection:
            row = connection.execute(
                "SELECT room, state, hash, stored_seq, stored_time, reason FROM outbox WHERE id = ?", (id_,)
            ).fetchone()
        if row is None or row[1] == "queued":
            return None
        room, state, digest, seq, time_ms, reason = row
        if state == "failed":
            return Failed(room=room, reason=reason)
        return Receipt(room=room, seq=seq, id=digest[:16].hex(), time=rfc3339(time_ms))

    def stored_as(self, room: str, seq: int) -> int | None:
        """The id of the message that became this entry of the room, if it went out from here not long ago."""
        with self._store.reading() as connection:
            row = connection.execute(
                "SELECT id FROM outbox WHERE state = 'stored' AND room = ? AND stored_seq = ?", (room, seq)
            ).fetchone()
        return None if row is None else int(row[0])

    def newest_stored(self, room: str) -> int:
        """The room's number of the last message that went out from here, of those still remembered; 0 for none."""
        with self._store.reading() as connection:
            query = "SELECT coalesce(max(stored_seq), 0) FROM outbox WHERE state = 'stored' AND room = ?"
            (seq,) = connection.execute(query, (room,)).fetchone()
        return int(seq)

    def said(self, id_: int) -> Said | None:
        """What was said; None when it is no longer kept."""
        with self._store.reading() as connection:
            row = connection.execute("SELECT statement, kind, text FROM outbox WHERE id = ?", (id_,)).fetchone()
        return None if row is None else _said(*row)

    def text(self, id_: int) -> str:
        """What a message says; empty when it is no longer kept."""
        said = self.said(id_)
        return "" if said is None else said.text

    # Where the server's view of the chain differs from ours -----------------------------------------------------

    def knows(self, room: str, seq: int, digest: bytes) -> bool:
        """Whether this home remembers having signed that statement (or none at all, for the empty chain)."""
        if (seq, digest) == (0, ZERO_DIGEST):
            return True
        with self._store.reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM outbox WHERE room = ? AND hash = ? UNION SELECT 1 FROM chains"
                " WHERE room = ? AND seq = ? AND hash = ?",
                (room, digest, room, seq, digest),
            ).fetchone()
        return row is not None

    def continues(self, seq: int, digest: bytes, *, refused: bytes) -> bool:
        """Whether a chain that ends with (seq, digest) leads to the refused statement, holds it, or it is settled."""
        with self._store.reading() as connection:
            row = connection.execute(
                "SELECT room, seq FROM outbox WHERE hash = ? AND state = 'queued'", (refused,)
            ).fetchone()
            if row is None:
                return True  # another process has dealt with it
            room, refused_seq = row
            # What waits in a room is one chain, so one link of it tells of all the others.
            waiting = "SELECT hash, statement FROM outbox WHERE room = ? AND seq = ? AND state = 'queued'"
            if seq < refused_seq:
                following = connection.execute(waiting, (room, seq + 1)).fetchone()
                return following is not None and decode_any_statement_untrusted(following[1]).previous == digest
            # Another process had it stored: its entry is on the way here.
            last = connection.execute(waiting, (room, seq)).fetchone()
            return last is not None and last[0] == digest

    def adopt(self, room: str, seq: int, digest: bytes) -> None:
        """The server's chain is ahead of ours and nothing waits: go on behind its end."""
        with self._store.writing_to_disk() as connection:
            waiting = connection.execute(
                "SELECT 1 FROM outbox WHERE room = ? AND state = 'queued' LIMIT 1", (room,)
            ).fetchone()
            if waiting is None and seq > _chain(connection, room)[0]:
                _set_chain(connection, room, seq, digest)

    def renumber(self, *, refused: bytes, seq: int, digest: bytes) -> int:
        """Sign the refused statement and what waits behind it again, behind the chain that ends with (seq, digest).

        Statements are named by their hashes, because another process may have renumbered them already: then this
        does nothing. Returns how many were signed again.
        """
        with self._store.writing_to_disk() as connection:
            room, rows = _from_statement(connection, refused)
            self._chain_again(connection, room, rows, seq, digest)
        return len(rows)

    def seal_again(self, refused: bytes) -> int:
        """The refused statement keeps its number and is sealed to the devices that are known now; so is what follows.

        Returns how many statements that were; 0 where another process has dealt with it.
        """
        with self._store.writing_to_disk() as connection:
            room, rows = _from_statement(connection, refused)
            if rows:
                first = decode_any_statement_untrusted(rows[0][1])
                self._chain_again(connection, room, rows, first.seq - 1, first.previous)
        return len(rows)

    def fail(self, *, refused: bytes, reason: str) -> int | None:
        """The server will never take this statement: give it up and close the gap behind it. Its id, if it waited."""
        with self._store.writing_to_disk() as connection:
            room, rows = _from_statement(connection, refused)
            if not rows:
                return None
            (id_, encoded, _kind, _text), behind = rows[0], rows[1:]
            connection.execute("UPDATE outbox SET state = 'failed', reason = ? WHERE id = ?", (reason, id_))
            statement = decode_any_statement_untrusted(encoded)
            if behind:
                self._chain_again(connection, room, behind, statement.seq - 1, statement.previous)
            else:
                _set_chain(connection, room, statement.seq - 1, statement.previous)
            _prune(connection)
        return id_

    def _chain_again(
        self,
        connection: sqlite3.Connection,
        room: str,
        rows: Iterable["_Row"],
        seq: int,
        digest: bytes,
    ) -> None:
        """Number and sign the rows anew, in order, behind (seq, digest)."""
        signed: list[tuple[int, bytes, bytes, bytes, int]] = []
        for id_, encoded, kind, text in rows:
            seq += 1
            encoded_again, signature = self._sign(connection, _said(encoded, kind, text), seq, digest)
            digest = statement_hash(encoded_again)
            signed.append((seq, digest, encoded_again, signature, id_))
        # First out of each other's way: the index of waiting numbers is checked row by row.
        connection.executemany("UPDATE outbox SET seq = -id WHERE id = ?", [(row[4],) for row in signed])
        connection.executemany(
            "UPDATE outbox SET seq = ?, hash = ?, statement = ?, signature = ? WHERE id = ?", signed
        )
        if signed:
            _set_chain(connection, room, seq, digest)

    def _sign(self, connection: sqlite3.Connection, said: Said, seq: int, previous: bytes) -> tuple[bytes, bytes]:
        encoded = encode_statement(
            self._sealed(connection, said, seq, previous)
            if is_direct(said.room)
            else Statement(
                room=said.room,
                author=self._author,
                seq=seq,
                time=said.time,
                kind=said.kind,
                text=said.text,
                previous=previous,
                checkpoint=said.checkpoint,
            )
        )
        return encoded, self._device.sign(STATEMENT_CONTEXT, encoded)

    def _sealed(self, connection: sqlite3.Connection, said: Said, seq: int, previous: bytes) -> SealedStatement:
        recipients = recipients_of(connection, said.room)
        if not recipients:
            raise NoRecipients
        return seal_statement(
            room=said.room,
            author=self._author,
            seq=seq,
            time=said.time,
            kind=said.kind,
            text=said.text,
            previous=previous,
            checkpoint=said.checkpoint,
            recipients=recipients,
            random=self._random,
        )


_Row = tuple[int, bytes, str | None, str | None]  # id, statement; kind and text of what is sealed


def _said(encoded: bytes, kind: str | None, text: str | None) -> Said:
    statement = decode_any_statement_untrusted(encoded)
    if isinstance(statement, Statement):
        kind, text = statement.kind.value, statement.text
    return Said(
        room=statement.room,
        kind=Kind(kind),
        text=text or "",
        time=statement.time,
        checkpoint=statement.checkpoint,
    )


def _from_statement(connection: sqlite3.Connection, digest: bytes) -> tuple[str, list[_Row]]:
    """Room, and the rows of what waits there from this statement on; nothing if it waits no more."""
    first = connection.execute(
        "SELECT room, seq FROM outbox WHERE hash = ? AND state = 'queued'", (digest,)
    ).fetchone()
    if first is None:
        return "", []
    rows = connection.execute(
        "SELECT id, statement, kind, text FROM outbox WHERE room = ? AND state = 'queued' AND seq >= ? ORDER BY seq",
        first,
    ).fetchall()
    return first[0], rows


def _chain(connection: sqlite3.Connection, room: str) -> tuple[int, bytes]:
    row = connection.execute("SELECT seq, hash FROM chains WHERE room = ?", (room,)).fetchone()
    return (0, ZERO_DIGEST) if row is None else (row[0], row[1])


def _set_chain(connection: sqlite3.Connection, room: str, seq: int, digest: bytes) -> None:
    connection.execute(
        "INSERT INTO chains VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
        (room, seq, digest),
    )


def _prune(connection: sqlite3.Connection) -> None:
    connection.execute(
        "DELETE FROM outbox WHERE state != 'queued' AND id <= (SELECT max(id) FROM outbox) - ?", (KEPT_OUTCOMES,)
    )
