"""The keys by which a log is read away from its daemon: the auditor's, and the server's public ones beside the log.

    log/server.pem    the server's two public keys: the one that verifies first, the one that encrypts second

A log that is copied to another machine has to be checked against its server's keys, and only their fingerprint is in
the segments. The file is no secret and no authority: what is in it is held to that fingerprint.
"""

import re
from pathlib import Path
from typing import Final

from bisik_protocol.crypto.identity import DecryptionKey, EncryptionKey, ServerPublic, VerifyKey
from bisik_protocol.errors import LocalProtocolError
from bisikd.errors import BisikdError, UsageProblem
from bisikd.replace import replace_file

SERVER_KEYS_NAME: Final = "server.pem"
_BLOCK = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----\s*", re.DOTALL)
_MAX_FILE_BYTES: Final = 64 * 1024


def load_auditor(path: Path) -> EncryptionKey:
    """The public half of an auditor's key. Raises UsageProblem."""
    pem = _read(path)
    if b"PRIVATE KEY" in pem:
        raise UsageProblem(
            f"{path} is a private key, and log.auditor is the public half. Keep the private one on another machine: "
            "openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem"
        )
    try:
        return EncryptionKey.from_pem(pem)
    except LocalProtocolError as error:
        raise UsageProblem(f"{path} cannot be the auditor's key: {error}.") from None


def load_private_key(path: Path) -> DecryptionKey:
    """The key that opens segments: an auditor's, or the server's `decryption.pem`. Raises UsageProblem."""
    try:
        return DecryptionKey.from_pem(_read(path))
    except LocalProtocolError as error:
        raise UsageProblem(f"{path} opens no log: {error}.") from None


def keep_server_keys(directory: Path, server: ServerPublic) -> None:
    """Have the server's public keys lie beside the log. Raises OSError."""
    path, content = directory / SERVER_KEYS_NAME, server.signing.to_pem() + server.encryption.to_pem()
    if not path.exists() or path.read_bytes() != content:
        replace_file(path, content)


def read_server_keys(directory: Path) -> ServerPublic:
    """What `keep_server_keys` left beside a log. Raises BisikdError."""
    path = directory / SERVER_KEYS_NAME
    try:
        blocks = _BLOCK.findall(_read(path))
        verifying, encrypting = (*blocks, b"", b"")[:2]
        return ServerPublic(VerifyKey.from_pem(verifying), EncryptionKey.from_pem(encrypting))
    except LocalProtocolError as error:
        raise BisikdError(f"{path} does not hold the server's public keys: {error}. Copy it again.") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise UsageProblem(f"Cannot read {path}: {error.strerror or error}.") from None
