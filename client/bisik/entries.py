"""From the log's entries to what a reader is shown, with everything checked that this client can check.

It decides what is believed. Keys come from `authors`; where entries come from, and in which order, is not its matter.
"""

from bisik.authors import Authors, objection
from bisik.events import ChatEvent, Join, Leave, Message, Moderated, Notice, TopicSet, rfc3339
from bisik.i18n import _
from bisik.opener import Opener
from bisik_protocol.chat.direct_names import is_direct
from bisik_protocol.chat.messages import Entry, JoinEntry, LeaveEntry, MessageEntry, ModerationEntry, TopicEntry
from bisik_protocol.chat.sealed_text import SealedText
from bisik_protocol.chat.statements import (
    AnyStatement,
    SealedStatement,
    Statement,
    decode_any_statement_untrusted,
    message_id,
    statement_hash,
)
from bisik_protocol.errors import RemoteProtocolError


def missing_key_untrusted(entry: Entry, authors: Authors) -> bytes | None:
    """Hash of the key to ask the server about before `to_event`. Raises RemoteProtocolError("statement")."""
    if not isinstance(entry, MessageEntry):
        return None
    author = decode_any_statement_untrusted(entry.statement).author
    return author if authors.must_ask(author, entry.author) else None


def to_event_untrusted(entry: Entry, authors: Authors, opener: Opener) -> ChatEvent | Notice:
    """What the entry says, or a sentence on why it is not shown. Raises RemoteProtocolError("statement")."""
    time = rfc3339(entry.time)
    if isinstance(entry, JoinEntry):
        return Join(room=entry.room, author=entry.author, seq=entry.seq, time=time)
    if isinstance(entry, LeaveEntry):
        return Leave(room=entry.room, author=entry.author, seq=entry.seq, time=time)
    if isinstance(entry, TopicEntry):
        return TopicSet(room=entry.room, author=entry.author, text=entry.topic, seq=entry.seq, time=time)
    if isinstance(entry, ModerationEntry):
        return _moderated(entry, time)
    return _message_untrusted(entry, time, authors, opener)


def _message_untrusted(entry: MessageEntry, time: str, authors: Authors, opener: Opener) -> Message | Notice:
    statement = decode_any_statement_untrusted(entry.statement)
    problem = _objection(entry, statement, authors)
    if problem is not None:
        return _not_shown(entry, problem)
    try:
        said: Statement | SealedText = (
            opener.open_untrusted(statement, statement_hash(entry.statement))
            if isinstance(statement, SealedStatement)
            else statement
        )
    except RemoteProtocolError as error:
        return _not_shown(entry, _not_opened(error))
    return Message(
        room=entry.room,
        author=entry.author,
        text=said.text,
        seq=entry.seq,
        id=message_id(entry.statement),
        time=time,
        kind=said.kind.value,
    )


def is_genuine_untrusted(entry: MessageEntry, authors: Authors) -> bool:
    """Whether its author signed it, whatever is inside. Raises RemoteProtocolError("statement")."""
    return _objection(entry, decode_any_statement_untrusted(entry.statement), authors) is None


def _objection(entry: MessageEntry, statement: AnyStatement, authors: Authors) -> str | None:
    author = authors.get(statement.author)
    if author is None:
        return _("is signed by an unknown key")
    if is_direct(entry.room) is not isinstance(statement, SealedStatement):
        return _("is not sealed, and should be") if is_direct(entry.room) else _("is sealed, and should not be")
    return objection(entry, statement, author)


def _not_opened(error: RemoteProtocolError) -> str:
    if error.reason == "sealed-elsewhere":
        return _("was sealed before this device was there, or for other devices")
    return _("was damaged, or sealed wrongly, and cannot be opened")


def _not_shown(entry: MessageEntry, problem: str) -> Notice:
    sentence = (
        _("Message {seq} of {author} {problem}. It is not shown.")
        if is_direct(entry.room)
        else _("Message {seq} of {room} {problem}. It is not shown.")
    )
    return Notice(
        room=entry.room,
        text=sentence.format(seq=entry.seq, room=entry.room, author=entry.author, problem=problem),
    )


def _moderated(entry: ModerationEntry, time: str) -> Moderated:
    return Moderated(
        room=entry.room,
        author=entry.author,
        act=entry.act.value,
        target=entry.target,
        text=entry.reason,
        until=None if entry.until is None else rfc3339(entry.until),
        seq=entry.seq,
        time=time,
    )
