"""Fetching a proof: a few questions to the server, its log held to what this home has seen. Judging is `proof`'s."""

from functools import partial
from typing import Final, NoReturn

from bisik.authors import Authors
from bisik.checkpoints import Checkpoints
from bisik.errors import LogMismatch, Nonsense
from bisik.history import Ask
from bisik.incoming import decode_entry_of_untrusted, learn_key_untrusted
from bisik.proof import Proof
from bisik.requests import refusal_untrusted
from bisik_protocol.chat.messages import (
    Consistency,
    GetConsistency,
    GetDevice,
    GetInclusion,
    Inclusion,
    MessageEntry,
    Refused,
    Reply,
)
from bisik_protocol.chat.statements import decode_any_statement_untrusted
from bisik_protocol.crypto.identity import VerifyKey
from bisik_protocol.errors import RemoteProtocolError

MAX_TRIES: Final = 5  # a log may grow between two questions


async def fetch_proof(ask: Ask, checkpoints: Checkpoints, authors: Authors, room: str, seq: int) -> Proof:
    """The proof that message `seq` of a room is in the log that goes on from the one that is held.

    Raises Refused where there is no such entry, LogMismatch where the log is another one, Nonsense.
    """
    try:
        for _ in range(MAX_TRIES):
            reply = await ask(partial(GetInclusion, room=room, seq=seq))
            if not isinstance(reply, Inclusion):
                _no(reply)
            if await _continues(ask, checkpoints, reply.note):
                return await _with_keys(ask, checkpoints, authors, room, reply)
    except RemoteProtocolError as error:
        raise Nonsense(error.reason) from None
    raise Nonsense("consistency")


async def _continues(ask: Ask, checkpoints: Checkpoints, note: bytes) -> bool:
    """Whether the log of this head is proved to go on from what is held. Raises LogMismatch where it does not."""
    asked = checkpoints.on_seen(note)
    newest = note
    if asked is not None:
        reply = await ask(partial(GetConsistency, size=asked))
        checkpoints.on_reply_untrusted(asked, reply)
        newest = reply.note if isinstance(reply, Consistency) else b""
    if checkpoints.alarm is not None:
        raise LogMismatch(checkpoints.alarm.sentence)
    return newest == note


async def _with_keys(ask: Ask, checkpoints: Checkpoints, authors: Authors, room: str, inclusion: Inclusion) -> Proof:
    entry = decode_entry_of_untrusted(inclusion.entry, room)
    if checkpoints.server is None or not isinstance(entry, MessageEntry):
        raise Nonsense("inclusion")
    author = await _author(ask, authors, entry)
    return Proof.of(inclusion, server=checkpoints.server, author=author)


async def _author(ask: Ask, authors: Authors, entry: MessageEntry) -> VerifyKey:
    key_hash = decode_any_statement_untrusted(entry.statement).author
    if authors.must_ask(key_hash, entry.author):
        learn_key_untrusted(authors, key_hash, entry.author, await ask(partial(GetDevice, key_hash=key_hash)))
    author = authors.get(key_hash)
    if author is None or author.key is None:
        raise Nonsense("device")
    return author.key


def _no(reply: Reply) -> NoReturn:
    if isinstance(reply, Refused):
        raise refusal_untrusted(reply)
    raise Nonsense("reply")
