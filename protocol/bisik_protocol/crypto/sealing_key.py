"""What can be sealed to: a device's RSA-3072 and ML-KEM-768 keys, which open only what was sealed to both.

It owns which pairs are good enough and how the private one is kept as text. What is sealed to them, and how, is in
`sealed`.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey

from bisik_protocol.crypto.identity import DecryptionKey, EncryptionKey
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError

MLKEM_KEY_BYTES: Final = 1184
MLKEM_CIPHERTEXT_BYTES: Final = 1088

_BLOCK: Final = re.compile(rb"-----BEGIN [^-]+-----\n.+?\n-----END [^-]+-----\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SealingPublic:
    """A device's public half. Two are equal when their bytes are."""

    rsa: EncryptionKey
    mlkem: bytes  # the encapsulation key, FIPS 203
    _mlkem: MLKEM768PublicKey = field(repr=False, compare=False)

    @classmethod
    def from_keys_untrusted(cls, modulus: bytes, mlkem: bytes) -> Self:
        """The pair of these keys. Raises RemoteProtocolError("key")."""
        rsa = EncryptionKey.from_modulus_untrusted(modulus)
        try:
            return cls(rsa, bytes(mlkem), MLKEM768PublicKey.from_public_bytes(mlkem))
        except (ValueError, UnsupportedAlgorithm):  # the checks of FIPS 203 section 7.2
            raise RemoteProtocolError("key") from None

    def encapsulate(self) -> tuple[bytes, bytes]:
        """A fresh ML-KEM shared secret and its ciphertext."""
        return self._mlkem.encapsulate()


@dataclass(frozen=True, slots=True, eq=False)
class SealingKey:
    """A device's private half."""

    _rsa: DecryptionKey = field(repr=False)
    _mlkem: MLKEM768PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """A new pair. Takes 0.1 to 0.5 s of computing: call it in a worker thread."""
        return cls(DecryptionKey.generate(), MLKEM768PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Load what `to_pem` wrote. Raises LocalProtocolError, with a sentence, for anything else."""
        blocks = _BLOCK.findall(pem)
        if len(blocks) != 2 or b"".join(blocks) != pem:  # RSA and ML-KEM
            raise LocalProtocolError("this is not a sealing key: two private keys in PEM form")
        rsa = DecryptionKey.from_pem(blocks[0])
        try:
            mlkem = serialization.load_pem_private_key(blocks[1], password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            mlkem = None
        if not isinstance(mlkem, MLKEM768PrivateKey):
            raise LocalProtocolError("the second key of this sealing key is not one of ML-KEM-768")
        return cls(rsa, mlkem)

    def to_pem(self) -> bytes:
        """Both keys as PKCS #8 PEM, not encrypted: whoever stores it must keep it from others."""
        mlkem = self._mlkem.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._rsa.to_pem() + mlkem

    @property
    def public(self) -> SealingPublic:
        mlkem = self._mlkem.public_key()
        return SealingPublic(self._rsa.public, mlkem.public_bytes_raw(), mlkem)

    def decrypt(self, oaep: bytes) -> bytes | None:
        """What was encrypted to the RSA key, or None."""
        return self._rsa.decrypt(oaep)

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The ML-KEM shared secret; for a ciphertext that was made for another key, one that nobody has."""
        return self._mlkem.decapsulate(ciphertext)
