"""What is inside a sealed statement: kind and text, padded, bound to the statement that carries it.

Sealing and opening are of `crypto.sealed`; this says what is bound: room, author, number and the statement before, so
that a payload opens nowhere but in the statement that it was made for.
"""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bisik_protocol.chat.statements import Kind, SealedStatement
from bisik_protocol.crypto.sealed import open_sealed_untrusted, seal
from bisik_protocol.crypto.sealing_key import SealingKey, SealingPublic
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError
from bisik_protocol.randomness import RandomSource

MAX_SEALED_TEXT_BYTES: Final = 16 * 1024  # with MAX_RECIPIENTS wraps the entry is still one message
PADDED_TO_BYTES: Final = 128


class SealedText(Struct, frozen=True, array_like=True, tag="c1", forbid_unknown_fields=True):
    """Encoded, a multiple of PADDED_TO_BYTES."""

    kind: Kind
    text: Annotated[str, Meta(min_length=1, max_length=MAX_SEALED_TEXT_BYTES)]
    padding: Annotated[bytes, Meta(max_length=PADDED_TO_BYTES - 1)] = b""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SealedText)


def seal_statement(
    *,
    room: str,
    author: bytes,
    seq: int,
    time: int,
    kind: Kind,
    text: str,
    previous: bytes,
    checkpoint: bytes | None = None,
    recipients: Mapping[bytes, SealingPublic],
    random: RandomSource,
) -> SealedStatement:
    """A statement whose text only the devices of `recipients` can read, by the hashes of their signing keys.

    Raises LocalProtocolError for a text above MAX_SEALED_TEXT_BYTES, and for no or too many recipients.
    """
    if len(text.encode()) > MAX_SEALED_TEXT_BYTES:
        raise LocalProtocolError("too long to be sealed")
    content = encode_sealed_text(kind, text)
    sealed = seal(content, recipients, _bound(room, author, seq, previous), random)
    return SealedStatement(room, author, seq, time, sealed, previous, checkpoint)


def open_statement_untrusted(statement: SealedStatement, device: bytes, key: SealingKey) -> SealedText:
    """What was said, for the device with this sealing key and signing key's hash.

    Signature and chain are checked elsewhere, as those of any statement. Raises RemoteProtocolError:
    "sealed-elsewhere" when it was not sealed to this device, "sealed" when it does not open or holds no text.
    """
    bound = _bound(statement.room, statement.author, statement.seq, statement.previous)
    content = open_sealed_untrusted(statement.sealed, device, key, bound)
    try:
        said = _decoder.decode(content)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise RemoteProtocolError("sealed") from None
    if len(said.text.encode("utf-8", "surrogatepass")) > MAX_SEALED_TEXT_BYTES or len(content) % PADDED_TO_BYTES:
        raise RemoteProtocolError("sealed")
    return said


def encode_sealed_text(kind: Kind, text: str) -> bytes:
    """The content, padded: its length says little of the text's."""
    bare = len(_encoder.encode(SealedText(kind, text)))
    return _encoder.encode(SealedText(kind, text, bytes(-bare % PADDED_TO_BYTES)))


def _bound(room: str, author: bytes, seq: int, previous: bytes) -> list[bytes]:
    return [room.encode("utf-8", "surrogatepass"), author, seq.to_bytes(8), previous]
