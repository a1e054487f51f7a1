"""The key schedule: from three shared secrets and two transcript hashes to everything a session is keyed with.

It owns the labels. A session is secret if any one of X25519, ML-KEM-768 or the server's RSA key still is, because
all three secrets go into one HKDF (RFC 5869) extraction. Each output is bound to a label and to a transcript, so a
side that saw another transcript holds other keys.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bisik_protocol.crypto.primitives import hkdf_expand, hkdf_extract
from bisik_protocol.crypto.session import CONNECTION_ID_BYTES, TRAFFIC_SECRET_BYTES, SessionSecrets

EXTRACT_SALT: Final = b"bisik v1 handshake"
HANDSHAKE_KEY_LABEL: Final = b"bisik v1 server handshake key"
HANDSHAKE_IV_LABEL: Final = b"bisik v1 server handshake iv"
CLIENT_TRAFFIC_LABEL: Final = b"bisik v1 client traffic"
SERVER_TRAFFIC_LABEL: Final = b"bisik v1 server traffic"
CLIENT_CONNECTION_ID_LABEL: Final = b"bisik v1 client connection id"
SERVER_CONNECTION_ID_LABEL: Final = b"bisik v1 server connection id"


class KeySchedule:
    """One handshake's keys. Forget it when the handshake is done."""

    __slots__ = ("_secret",)

    def __init__(self, x25519: bytes, mlkem: bytes, rsa: bytes) -> None:
        """The three shared secrets, 32 bytes each, which is what makes their concatenation unambiguous."""
        self._secret = hkdf_extract(EXTRACT_SALT, x25519 + mlkem + rsa)

    def seal_signature(self, th2: bytes, signature: bytes) -> bytes:
        """The server's signature under the handshake key, which this one message uses up."""
        return self._handshake_cipher(th2).encrypt(self._handshake_nonce(th2), signature, th2)

    def open_signature(self, th2: bytes, sealed: bytes) -> bytes | None:
        """The signature, still to be verified, or None if the peer does not hold these secrets."""
        try:
            return self._handshake_cipher(th2).decrypt(self._handshake_nonce(th2), sealed, th2)
        except InvalidTag:
            return None

    def session_secrets(self, th3: bytes) -> SessionSecrets:
        return SessionSecrets(
            client_traffic=self._derive(CLIENT_TRAFFIC_LABEL, th3, TRAFFIC_SECRET_BYTES),
            server_traffic=self._derive(SERVER_TRAFFIC_LABEL, th3, TRAFFIC_SECRET_BYTES),
            channel_binding=th3,
            client_connection_id=self._derive(CLIENT_CONNECTION_ID_LABEL, th3, CONNECTION_ID_BYTES),
            server_connection_id=self._derive(SERVER_CONNECTION_ID_LABEL, th3, CONNECTION_ID_BYTES),
        )

    def _handshake_cipher(self, th2: bytes) -> AESGCM:
        return AESGCM(self._derive(HANDSHAKE_KEY_LABEL, th2, 32))

    def _handshake_nonce(self, th2: bytes) -> bytes:
        return self._derive(HANDSHAKE_IV_LABEL, th2, 12)

    def _derive(self, label: bytes, transcript: bytes, length: int) -> bytes:
        """The model's kdf(sec, (label, th)). Labels hold no zero byte, so the two parts of `info` stay apart."""
        return hkdf_expand(self._secret, label + b"\0" + transcript, length)
