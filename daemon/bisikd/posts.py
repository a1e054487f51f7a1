"""What a session says in a room: checked against its author's key and chain, stored, and answered with the entry.

The same statement twice is stored once, whatever crashed in between: a number that is in the log is answered with
the entry that has it, a number that is on its way gets its entry when that is stored.
"""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from bisik_protocol.chat.messages import (
    CONTROL_LANE,
    Code,
    MessageEntry,
    Post,
    PostRefused,
    decode_entry_untrusted,
    encode,
)
from bisik_protocol.chat.statements import (
    STATEMENT_CONTEXT,
    AnyStatement,
    SealedStatement,
    Statement,
    decode_any_statement_untrusted,
    statement_hash,
)
from bisik_protocol.errors import RemoteProtocolError
from bisikd.chains import Place
from bisikd.log.facts import entry_record
from bisikd.log.format import Record
from bisikd.permissions import Objection

if TYPE_CHECKING:
    from bisik_protocol.crypto.identity import VerifyKey
    from bisikd.blocking import Workers
    from bisikd.log.store import Log
    from bisikd.rooms import Hub, Membership, Room

POST_OVERHEAD_BYTES: Final = 512  # what an entry adds to the statement and its signature, about


class PostDesk:
    """Takes posts of all sessions. Why one was not taken is announced to its session on the control lane."""

    def __init__(
        self,
        *,
        hub: "Hub",
        log: "Log",
        reading: "Workers",
        refusals: Counter[str],
        objection: Callable[[str, str, int], Objection | None],
        recipients: Callable[[str], list[bytes]],
        on_direct: Callable[["Room"], None],
    ) -> None:
        """Each refusal is counted in `refusals` by its code. `objection` is asked for NAME, ROOM and size.

        `recipients` says for which devices something in a direct room must be sealed, in order; `on_direct` is told
        of each direct room in which something was stored.
        """
        self.closed: Objection | None = None
        """Why nothing is taken from anybody now."""
        self._objection = objection
        self._recipients = recipients
        self._on_direct = on_direct
        self._hub = hub
        self._log = log
        self._reading = reading
        self._refusals = refusals

    async def take(self, member: "Membership", device: "VerifyKey", post: Post) -> None:
        """Check a post and send it on its way."""
        try:
            statement = decode_any_statement_untrusted(post.statement)
        except RemoteProtocolError:
            self._refuse_post(member, 0, Code.STATEMENT_INVALID, "The message could not be read.")
            return
        if statement.author != member.device or statement.room != member.room.name:
            self._refuse_post(
                member, statement.seq, Code.STATEMENT_INVALID, "The message is signed for another room or device."
            )
            return
        if isinstance(statement, SealedStatement) is not member.room.direct:
            text = (
                "A direct message is sealed; this one everybody could read."
                if member.room.direct
                else "A sealed message is for a direct conversation, not for a room."
            )
            self._refuse_post(member, statement.seq, Code.STATEMENT_INVALID, text)
            return
        if not device.verify(STATEMENT_CONTEXT, post.statement, post.signature):
            self._refuse_post(
                member, statement.seq, Code.STATEMENT_INVALID, "The message's signature does not fit its text."
            )
            return
        await self._place(member, post, statement)

    async def _place(self, member: "Membership", post: Post, statement: AnyStatement) -> None:
        if member.connection.closed:
            return  # the session was put out while this waited, and may have no name any more
        tip = member.tip
        digest = statement_hash(post.statement)
        match tip.place(statement.seq, statement.previous, digest):
            case Place.NEXT:
                objection = (
                    self.closed
                    or self._wrong_recipients(statement)
                    or self._objection(member.name, member.room.name, len(post.statement))
                )
                if objection is not None:
                    self._refuse_post(
                        member, statement.seq, objection.code, objection.text, wait_ms=objection.wait_ms
                    )
                    return
                submission = MessagePost(self, member, post, statement, digest)
                tip.on_taken(statement.seq, digest, submission)
                self._hub.submit(member.room, submission)
            case Place.PENDING:
                tip.pending[statement.seq][1].add_poster(member)
            case Place.STORED:
                await self._answer_stored(member, statement.seq, digest)
            case Place.WRONG:
                self._refuse_chain(member, statement.seq)

    def _wrong_recipients(self, statement: AnyStatement) -> Objection | None:
        """A sealed statement is for all devices that could read it now, and for no other: its author did not know."""
        if not isinstance(statement, SealedStatement):
            return None
        recipients = self._recipients(statement.room)
        if not recipients:
            return Objection(Code.RECIPIENTS, "The other person has no device yet that can open sealed messages.")
        if statement.sealed.devices != recipients:
            return Objection(Code.RECIPIENTS, "The devices of one of you have changed; it is to be sealed again.")
        return None

    async def _answer_stored(self, member: "Membership", seq: int, digest: bytes) -> None:
        stored = await self._reading(self._log.find, member.room.name, member.device, seq)
        if not member.open:
            return
        entry = None if stored is None else decode_entry_untrusted(stored)
        if stored is not None and isinstance(entry, MessageEntry) and statement_hash(entry.statement) == digest:
            member.send(stored)
        else:
            self._refuse_chain(member, seq)

    def _refuse_chain(self, member: "Membership", seq: int) -> None:
        self._refuse_post(
            member, seq, Code.CHAIN, "The message does not continue what this device said before in this room."
        )

    def _refuse_post(self, member: "Membership", seq: int, code: Code, text: str, wait_ms: int = 0) -> None:
        self._refusals[code.value] += 1
        refused = PostRefused(room=member.room.name, seq=seq, code=code, text=text, wait_ms=wait_ms)
        member.connection.send(CONTROL_LANE, encode(refused))

    def on_stored(self, post: "MessagePost") -> None:
        room = post.poster.room
        room.chains.on_stored(post.poster.device, post.statement.seq)
        room.confirmations.on_posted(post.poster.name, post.entry.seq)
        room.newest_ms = post.entry.time
        room.deliver(post.entry.seq, post.encoded, post.posters)
        if isinstance(post.statement, Statement):
            self._hub.on_entry(post.entry, post.statement)
        else:
            self._on_direct(room)

    def on_refused(self, post: "MessagePost") -> None:
        for poster in post.posters:
            if poster.open:
                self._refuse_post(
                    poster,
                    post.statement.seq,
                    Code.STORAGE,
                    "The server has no room left to store messages; this one was not stored.",
                )
        self._hub.on_refused(post.poster.room)


class MessagePost:
    """A checked post on its way to the log, and the sessions that posted it."""

    def __init__(
        self, desk: PostDesk, poster: "Membership", post: Post, statement: AnyStatement, digest: bytes
    ) -> None:
        self.size = len(post.statement) + len(post.signature) + POST_OVERHEAD_BYTES
        self.poster = poster
        self.posters = [poster]
        self.statement = statement
        self.digest = digest
        self._desk = desk
        self._post = post

    def add_poster(self, member: "Membership") -> None:
        """The same statement came again, from this session."""
        if member not in self.posters:
            self.posters.append(member)

    def record(self, now_ms: int) -> Record:
        self.entry = MessageEntry(
            room=self.poster.room.name,
            seq=self.poster.room.next_seq(),
            time=now_ms,
            author=self.poster.name,
            statement=self._post.statement,
            signature=self._post.signature,
        )
        record = entry_record(self.entry)
        self.encoded = record.payload
        return record

    def on_stored(self) -> None:
        self._desk.on_stored(self)

    def on_refused(self) -> None:
        self._desk.on_refused(self)
