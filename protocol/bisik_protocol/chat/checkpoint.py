"""Signed tree heads as text: a C2SP tlog-checkpoint in a C2SP signed note, signed with RSA-PSS.

    bisik/<fingerprint of the server>
    <number of leaves, decimal>
    <root hash, base64>

    — bisik/<fingerprint of the server> <base64 of key ID and signature>

The key ID is the first four bytes of SHA-256(key name || 0x0A || 0xff || "bisik rsa-pss-sha256 v1" || modulus);
0xff is signed-note's type for algorithms without a number of their own. It owns this text and its signature, and
knows nothing of files or of how the root came about.
"""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from bisik_protocol.crypto.identity import SIGNATURE_BYTES, SigningKey, VerifyKey, fingerprint_text
from bisik_protocol.errors import RemoteProtocolError

CHECKPOINT_CONTEXT: Final = b"bisik log checkpoint v1"
SIGNATURE_TYPE: Final = b"\xffbisik rsa-pss-sha256 v1"
KEY_ID_BYTES: Final = 4
MAX_NOTE_BYTES: Final = 32 * 1024  # ours is 0.8 KiB; room for the sixteen signatures that signed-note asks for

_TEXT = re.compile(r"([!-*,-~]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n")
_SIGNATURE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A tree head: the log `origin` had `size` leaves, and `root` over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed: three lines, each ended by a newline."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def origin_of(fingerprint: bytes) -> str:
    """The name of the log that the server with this fingerprint writes, and of the key that signs its heads."""
    return f"bisik/{fingerprint_text(fingerprint)}"


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """The note, UTF-8."""
    text = checkpoint.text
    signature = _key_id(checkpoint.origin, key.public) + key.sign(CHECKPOINT_CONTEXT, text.encode())
    return f"{text}\n— {checkpoint.origin} {b64encode(signature).decode()}\n".encode()


def read_checkpoint_untrusted(note: bytes) -> Checkpoint:
    """What a note says, whoever signed it. Raises RemoteProtocolError("checkpoint") when it is none."""
    return _split(note)[0]


def verify_checkpoint_untrusted(note: bytes, origin: str, key: VerifyKey) -> Checkpoint:
    """What a note says, once `key` is known to have signed it for the log `origin`.

    Raises RemoteProtocolError: "checkpoint" for what is no checkpoint, "checkpoint-origin" for another log's,
    "checkpoint-signature" for one that this key has not signed. Signatures by others (witnesses) are ignored, as
    signed-note demands.
    """
    checkpoint, signatures = _split(note)
    if checkpoint.origin != origin:
        raise RemoteProtocolError("checkpoint-origin")
    expected = _key_id(origin, key)
    for name, signature in signatures:
        if name != origin or signature[:KEY_ID_BYTES] != expected:
            continue
        if len(signature) == KEY_ID_BYTES + SIGNATURE_BYTES and key.verify(
            CHECKPOINT_CONTEXT, checkpoint.text.encode(), signature[KEY_ID_BYTES:]
        ):
            return checkpoint
        break
    raise RemoteProtocolError("checkpoint-signature")


def _split(note: bytes) -> tuple[Checkpoint, list[tuple[str, bytes]]]:
    if len(note) > MAX_NOTE_BYTES:
        raise RemoteProtocolError("checkpoint")
    try:
        text, separator, tail = note.decode().rpartition("\n\n")
    except UnicodeDecodeError:
        raise RemoteProtocolError("checkpoint") from None
    match = _TEXT.fullmatch(text + "\n")
    if not separator or match is None or not tail.endswith("\n"):
        raise RemoteProtocolError("checkpoint")
    signatures = []
    for line in tail[:-1].split("\n"):
        signature = _SIGNATURE.fullmatch(line)
        if signature is None:
            raise RemoteProtocolError("checkpoint")
        signatures.append((signature[1], _decode(signature[2])))
    return Checkpoint(origin=match[1], size=int(match[2]), root=_decode(match[3])), signatures


def _decode(text: str) -> bytes:
    """Base64 in its one spelling."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        raise RemoteProtocolError("checkpoint") from None
    if b64encode(data).decode() != text:
        raise RemoteProtocolError("checkpoint")
    return data


def _key_id(name: str, key: VerifyKey) -> bytes:
    return sha256(name.encode() + b"\n" + SIGNATURE_TYPE + key.modulus).digest()[:KEY_ID_BYTES]
