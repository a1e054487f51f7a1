"""From the log's entries to what a reader is shown, with everything checked that this client can check.

It decides what is believed. Keys come from `authors`; where entries come from, and in which order, is not its matter.
"""

from bisik.authors import Authors, objection
from bisik.events import ChatEvent, Join, Leave, Message, Moderated, Notice, TopicSet, rfc3339
from bisik.i18n import _
from bisik_protocol.chat.messages import Entry, JoinEntry, LeaveEntry, MessageEntry, ModerationEntry, TopicEntry
from bisik_protocol.chat.statements import decode_statement_untrusted, message_id


def missing_key_untrusted(entry: Entry, authors: Authors) -> bytes | None:
    """Hash of the key to ask the server about before `to_event`. Raises RemoteProtocolError("statement")."""
    if not isinstance(entry, MessageEntry):
        return None
    author = decode_statement_untrusted(entry.statement).author
    return author if authors.must_ask(author, entry.author) else None


def to_event_untrusted(entry: Entry, authors: Authors) -> ChatEvent | Notice:
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
    statement = decode_statement_untrusted(entry.statement)
    author = authors.get(statement.author)
    problem = _("is signed by an unknown key") if author is None else objection(entry, statement, author)
    if problem is not None:
        return Notice(
            room=entry.room,
            text=_("Message {seq} of {room} {problem}. It is not shown.").format(
                seq=entry.seq, room=entry.room, problem=problem
            ),
        )
    return Message(
        room=entry.room,
        author=entry.author,
        text=statement.text,
        seq=entry.seq,
        id=message_id(entry.statement),
        time=time,
        kind=statement.kind.value,
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
