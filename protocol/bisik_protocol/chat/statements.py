"""Signed statements: what an author says, encoded once, signed once, stored and relayed byte for byte.

The identity of a message is (author's device, room, sequence number), so that a retry after any crash is stored
once. Each statement names the hash of the author's previous one in the same room: a gap in what a device said in
a room can be seen by everyone who reads that room, without trusting the daemon.
"""

from enum import Enum
from hashlib import sha256
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bisik_protocol.chat.messages import MAX_TEXT_BYTES, Digest, Milliseconds, RoomName
from bisik_protocol.crypto.sealed import Sealed
from bisik_protocol.errors import RemoteProtocolError

STATEMENT_CONTEXT: Final = b"bisik statement v1"
LOGIN_CONTEXT: Final = b"bisik login v1"


class Kind(Enum):
    """How the text is meant."""

    SAY = "say"
    ACT = "act"  # /me


class Statement(Struct, frozen=True, array_like=True, tag="v1", forbid_unknown_fields=True):
    """What is signed. Its bytes, not this object, are what a signature covers."""

    room: RoomName
    author: Digest  # SHA-256 of the device key's modulus
    seq: Annotated[int, Meta(ge=1, lt=1 << 53)]  # this device's own count in this room, from 1, without gaps
    time: Milliseconds  # the author's clock
    kind: Kind
    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_BYTES)]
    previous: Digest  # statement_hash of this device's previous statement in this room, or ZERO_DIGEST
    checkpoint: Digest | None = None  # root hash of the newest log checkpoint that the author has seen


class SealedStatement(Struct, frozen=True, array_like=True, tag="s1", forbid_unknown_fields=True):
    """What is said in a direct room: kind and text are in `sealed`, for some devices only (see `sealed_text`)."""

    room: RoomName
    author: Digest
    seq: Annotated[int, Meta(ge=1, lt=1 << 53)]
    time: Milliseconds
    sealed: Sealed
    previous: Digest
    checkpoint: Digest | None = None


AnyStatement = Statement | SealedStatement
"""What a post and a message entry carry: the first in rooms, the second in direct rooms."""

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyStatement] = msgspec.msgpack.Decoder(AnyStatement)


def encode_statement(statement: AnyStatement) -> bytes:
    return _encoder.encode(statement)


def decode_statement_untrusted(data: bytes) -> Statement:
    """One that everybody can read. Raises RemoteProtocolError("statement"), for a sealed one too."""
    statement = decode_any_statement_untrusted(data)
    if not isinstance(statement, Statement):
        raise RemoteProtocolError("statement")
    return statement


def decode_any_statement_untrusted(data: bytes) -> AnyStatement:
    """Raises RemoteProtocolError("statement")."""
    try:
        statement = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise RemoteProtocolError("statement") from None
    if isinstance(statement, SealedStatement):
        if not statement.sealed.in_order:
            raise RemoteProtocolError("statement")
    elif len(statement.text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        raise RemoteProtocolError("statement")
    return statement


def statement_hash(encoded: bytes) -> bytes:
    """SHA-256 of a statement's bytes: the link of an author's chain."""
    return sha256(encoded).digest()


def message_id(encoded: bytes) -> str:
    """The name of a message for people and programs: the first 16 bytes of its hash, in hexadecimal."""
    return statement_hash(encoded)[:16].hex()
