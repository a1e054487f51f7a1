"""A message with everything that proves it, as one file that anybody can check without the server, for good.

    {"type": "bisik-proof", "version": 1,
     "server": {"signing": "<RSA modulus, base64>", "encryption": "<RSA modulus, base64>"},
     "checkpoint": "<signed head of the log, its text>",
     "leaf": 12, "salt": "<base64>", "entry": "<base64>", "path": ["<base64>", ...],
     "author": "<the device key's RSA modulus, base64>"}

It proves two things that do not depend on one another: the author's device signed the message, and the server has
signed that it is in its log. Which person the device belongs to, and which server has those keys, it cannot prove:
the name is the server's word, and the keys are named by fingerprints that a reader compares with what they know.
Pure: bytes in, judgement out.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bisik.errors import NotProved
from bisik.i18n import _
from bisik_protocol.chat.checkpoint import Checkpoint, origin_of, verify_checkpoint_untrusted
from bisik_protocol.chat.messages import Inclusion, MessageEntry, decode_entry_untrusted
from bisik_protocol.chat.statements import (
    STATEMENT_CONTEXT,
    AnyStatement,
    decode_any_statement_untrusted,
    message_id,
)
from bisik_protocol.chat.tree import entry_leaf, verify_inclusion
from bisik_protocol.crypto.identity import ServerPublic, VerifyKey
from bisik_protocol.errors import RemoteProtocolError

MAX_FILE_BYTES: Final = 512 * 1024  # the longest message, its proof and the keys have 150 KiB

_Base64 = Annotated[str, Meta(max_length=MAX_FILE_BYTES)]


class _Server(Struct, frozen=True, forbid_unknown_fields=True):
    signing: _Base64
    encryption: _Base64


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["bisik-proof"]
    version: Literal[1]
    server: _Server
    checkpoint: str
    leaf: Annotated[int, Meta(ge=0)]
    salt: _Base64
    entry: _Base64
    path: Annotated[list[_Base64], Meta(max_length=128)]
    author: _Base64


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What a proof proves."""

    entry: MessageEntry
    statement: AnyStatement
    """What was said is in it, unless it is sealed."""
    id: str
    device: VerifyKey
    server: ServerPublic
    checkpoint: Checkpoint
    leaf: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Not judged yet: `verify` does."""

    server: ServerPublic
    note: bytes
    leaf: int
    salt: bytes
    entry: bytes = field(repr=False)
    path: tuple[bytes, ...] = field(repr=False)
    author: VerifyKey

    @classmethod
    def of(cls, inclusion: Inclusion, *, server: ServerPublic, author: VerifyKey) -> "Proof":
        """What the server has answered, with the keys that it is checked by."""
        return cls(
            server=server,
            note=inclusion.note,
            leaf=inclusion.leaf,
            salt=inclusion.salt,
            entry=inclusion.entry,
            path=tuple(inclusion.proof),
            author=author,
        )

    def verify(self) -> Proved:
        """Raises NotProved with the first thing that is not as it should be."""
        try:
            checkpoint = verify_checkpoint_untrusted(
                self.note, origin_of(self.server.fingerprint), self.server.signing
            )
        except RemoteProtocolError:
            raise NotProved(_("The head of the log is not signed with the server's key.")) from None
        leaf = entry_leaf(self.salt, self.entry)
        if not verify_inclusion(leaf, self.leaf, checkpoint.size, self.path, checkpoint.root):
            raise NotProved(_("The server's log, as it has signed it, does not hold this message."))
        try:
            entry = decode_entry_untrusted(self.entry)
            if not isinstance(entry, MessageEntry):
                raise NotProved(_("This is in the server's log, and it is no message that anybody signed."))
            statement = decode_any_statement_untrusted(entry.statement)
        except RemoteProtocolError:
            raise NotProved(_("What is in the server's log cannot be read.")) from None
        if statement.room != entry.room:
            raise NotProved(_("The message was written for another room."))
        if statement.author != self.author.key_hash:
            raise NotProved(_("The message names another key as its author's."))
        if not self.author.verify(STATEMENT_CONTEXT, entry.statement, entry.signature):
            raise NotProved(_("The message does not carry its author's signature."))
        return Proved(
            entry=entry,
            statement=statement,
            id=message_id(entry.statement),
            device=self.author,
            server=self.server,
            checkpoint=checkpoint,
            leaf=self.leaf,
        )

    def encode(self) -> bytes:
        """The file."""
        content = _File(
            type="bisik-proof",
            version=1,
            server=_Server(_text(self.server.signing.modulus), _text(self.server.encryption.modulus)),
            checkpoint=self.note.decode(),
            leaf=self.leaf,
            salt=_text(self.salt),
            entry=_text(self.entry),
            path=[_text(each) for each in self.path],
            author=_text(self.author.modulus),
        )
        return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def decode_proof(content: bytes) -> Proof:
    """Raises NotProved where it is no such file."""
    try:
        file = msgspec.json.decode(content, type=_File)
        return Proof(
            server=ServerPublic.from_moduli_untrusted(_bytes(file.server.signing), _bytes(file.server.encryption)),
            note=file.checkpoint.encode(),
            leaf=file.leaf,
            salt=_bytes(file.salt),
            entry=_bytes(file.entry),
            path=tuple(map(_bytes, file.path)),
            author=VerifyKey.from_modulus_untrusted(_bytes(file.author)),
        )
    except (msgspec.MsgspecError, RemoteProtocolError, ValueError, RecursionError):
        raise NotProved(_("This is no proof that bisik has written, or it was damaged.")) from None


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)
