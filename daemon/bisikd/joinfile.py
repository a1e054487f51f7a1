"""The join password on disk: hashed for verifying it, and sealed to the server's own key for showing it again.

    fingerprint = "aaaq..."     # of the identity beside it: keys from two backups are noticed
    hash = "$argon2id$..."
    sealed = "base64 of RSA-OAEP(password)"

Sealing keeps it out of backups and screens; it is no secret from whoever has the server's keys as well.
"""

import tomllib
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

import tomli_w

from bisik_protocol.crypto.identity import ServerIdentity, fingerprint_text
from bisikd.passwords import is_stored_form


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinSecret:
    """The join password of now."""

    password: str = field(repr=False)
    hash: str = field(repr=False)


def encode_join(secret: JoinSecret, identity: ServerIdentity) -> bytes:
    sealed = identity.decryption.public.encrypt(secret.password.encode())
    content = {
        "fingerprint": fingerprint_text(identity.fingerprint),
        "hash": secret.hash,
        "sealed": b64encode(sealed).decode(),
    }
    return tomli_w.dumps(content).encode()


def decode_join(content: bytes, identity: ServerIdentity) -> JoinSecret:
    """Raises ValueError with a clause that says what is wrong."""
    try:
        table = tomllib.loads(content.decode())
    except (ValueError, RecursionError):  # UnicodeDecodeError and TOMLDecodeError are ValueErrors
        raise ValueError("it is not TOML") from None
    if table.get("fingerprint") != fingerprint_text(identity.fingerprint):
        raise ValueError("the keys beside it are not those it was written for")
    stored = table.get("hash")
    if not isinstance(stored, str) or not is_stored_form(stored):
        raise ValueError("the hash in it is not an Argon2id hash")
    try:
        opened = identity.decryption.decrypt(b64decode(table.get("sealed", ""), validate=True))
    except (TypeError, ValueError):
        opened = None
    if opened is None:
        raise ValueError("the sealed password in it cannot be opened")
    return JoinSecret(password=opened.decode(), hash=stored)
