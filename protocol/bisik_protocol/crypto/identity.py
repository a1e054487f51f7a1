"""Long-term identity: the RSA-3072 keys of servers and devices, what they sign and decrypt, and fingerprints.

It owns which RSA keys are good enough and how messages are framed for signing. It knows nothing of the handshake,
of files, or of who a key belongs to.

`cryptography` loads a 1024-bit key, an even modulus or e = 3 without complaint, so every key that is loaded or
received is held to the one shape of this protocol: exactly 3072 bits, odd modulus, e = 65537.
"""

from base64 import b32decode, b32encode
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from bisik_protocol.crypto.primitives import SHA256, sha256
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError

RSA_BITS: Final = 3072
MODULUS_BYTES: Final = 384
SIGNATURE_BYTES: Final = 384
OAEP_BYTES: Final = 384
MAX_OAEP_PLAINTEXT_BYTES: Final = 318  # 384 - 2 * 32 - 2, RFC 8017 section 7.1.1
PUBLIC_EXPONENT: Final = 65537
FINGERPRINT_BYTES: Final = 32
FINGERPRINT_CHARACTERS: Final = 52

_PSS: Final = padding.PSS(mgf=padding.MGF1(SHA256), salt_length=32)
_OAEP: Final = padding.OAEP(mgf=padding.MGF1(SHA256), algorithm=SHA256, label=None)


# Public keys ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _PublicKey:
    """An RSA key of the one accepted shape. Two are equal when their moduli are."""

    modulus: bytes  # big-endian, 384 bytes
    _key: rsa.RSAPublicKey = field(repr=False, compare=False)

    @classmethod
    def from_modulus_untrusted(cls, modulus: bytes) -> Self:
        """The key with this modulus and e = 65537. Raises RemoteProtocolError("key")."""
        if len(modulus) != MODULUS_BYTES or modulus[0] < 0x80 or not modulus[-1] & 1:
            raise RemoteProtocolError("key")
        try:
            key = rsa.RSAPublicNumbers(PUBLIC_EXPONENT, int.from_bytes(modulus)).public_key()
        except (ValueError, UnsupportedAlgorithm):  # the library's own ideas of a bad key
            raise RemoteProtocolError("key") from None
        return cls(bytes(modulus), key)

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Load what `to_pem` wrote. Raises LocalProtocolError, with a sentence, for anything else."""
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise LocalProtocolError("this is not a public key in PEM form") from None
        if not isinstance(key, rsa.RSAPublicKey):
            raise LocalProtocolError("this is not an RSA key")
        numbers = key.public_numbers()
        if key.key_size != RSA_BITS or numbers.e != PUBLIC_EXPONENT or not numbers.n & 1:
            raise LocalProtocolError("this RSA key is not 3072 bits with exponent 65537")
        return cls(numbers.n.to_bytes(MODULUS_BYTES), key)

    def to_pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM, as OpenSSL writes public keys."""
        return self._key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class VerifyKey(_PublicKey):
    """Verifies what a server or a device signed."""

    __slots__ = ()

    @property
    def key_hash(self) -> bytes:
        """SHA-256 of the modulus, 32 bytes: the short name of a device's key."""
        return sha256(self.modulus)

    def verify(self, context: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` was made by `SigningKey.sign` with the same context and message."""
        try:
            self._key.verify(signature, _framed(context, message), _PSS, SHA256)
        except InvalidSignature:
            return False
        return True


class EncryptionKey(_PublicKey):
    """Encrypts to the holder of a `DecryptionKey`."""

    __slots__ = ()

    def encrypt(self, plaintext: bytes) -> bytes:
        """RSAES-OAEP, SHA-256, 384 bytes, different each time. At most MAX_OAEP_PLAINTEXT_BYTES go in."""
        if len(plaintext) > MAX_OAEP_PLAINTEXT_BYTES:
            raise LocalProtocolError("too long for RSA-OAEP")
        return self._key.encrypt(plaintext, _OAEP)


# Private keys --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _PrivateKey:
    _key: rsa.RSAPrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """A new key. Takes 0.1 to 0.5 s of computing: call it in a worker thread."""
        return cls(rsa.generate_private_key(PUBLIC_EXPONENT, RSA_BITS))

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Load what `to_pem` wrote. Raises LocalProtocolError, with a sentence, for anything else.

        That p and q are prime is not proved again: it costs 0.1 s a key, most of a start, and a damaged file is found
        by its numbers, which no longer fit together.
        """
        try:
            key = serialization.load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise LocalProtocolError("this is not an unencrypted private key in PEM form") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise LocalProtocolError("this is not an RSA key")
        public = key.public_key().public_numbers()
        if key.key_size != RSA_BITS or public.e != PUBLIC_EXPONENT or not public.n & 1:
            raise LocalProtocolError("this RSA key is not 3072 bits with exponent 65537")
        if not _fits_together(key.private_numbers()):
            raise LocalProtocolError("the numbers of this RSA key do not fit together")
        return cls(key)

    def to_pem(self) -> bytes:
        """PKCS #8 PEM, not encrypted: whoever stores it must keep it from others."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def _modulus(self) -> bytes:
        return self._key.public_key().public_numbers().n.to_bytes(MODULUS_BYTES)


def _fits_together(numbers: rsa.RSAPrivateNumbers) -> bool:
    """Whether every number of a key is what the others say it is (RFC 8017 section 3.2)."""
    p, q, d = numbers.p, numbers.q, numbers.d
    return (
        p.bit_length() == q.bit_length() == RSA_BITS // 2
        and p != q
        and p * q == numbers.public_numbers.n
        and PUBLIC_EXPONENT * d % (p - 1) == 1
        and PUBLIC_EXPONENT * d % (q - 1) == 1
        and numbers.dmp1 == d % (p - 1)
        and numbers.dmq1 == d % (q - 1)
        and numbers.iqmp < p
        and numbers.iqmp * q % p == 1
    )


class SigningKey(_PrivateKey):
    """Signs as a server or as a device: RSASSA-PSS with SHA-256, MGF1 over SHA-256 and 32 bytes of salt."""

    __slots__ = ()

    @property
    def public(self) -> VerifyKey:
        return VerifyKey(self._modulus(), self._key.public_key())

    def sign(self, context: bytes, message: bytes) -> bytes:
        """384 bytes over context, a zero byte, message. The context says what kind of statement is being signed."""
        return self._key.sign(_framed(context, message), _PSS, SHA256)


class DecryptionKey(_PrivateKey):
    """Decrypts what was encrypted to its public half: RSAES-OAEP with SHA-256."""

    __slots__ = ()

    @property
    def public(self) -> EncryptionKey:
        return EncryptionKey(self._modulus(), self._key.public_key())

    def decrypt(self, ciphertext: bytes) -> bytes | None:
        """The plaintext, or None for whatever was not encrypted to this key.

        The caller must treat None as it treats any other bad packet; OpenSSL takes the same time for both.
        """
        try:
            return self._key.decrypt(ciphertext, _OAEP)
        except ValueError:
            return None


# A server's pair of keys ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServerPublic:
    """What a client must know of a server."""

    signing: VerifyKey
    encryption: EncryptionKey

    @classmethod
    def from_moduli_untrusted(cls, n_sign: bytes, n_encrypt: bytes) -> Self:
        """Raises RemoteProtocolError("key")."""
        return cls(VerifyKey.from_modulus_untrusted(n_sign), EncryptionKey.from_modulus_untrusted(n_encrypt))

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 over both moduli, 32 bytes: what invites carry and clients pin."""
        return sha256(self.signing.modulus + self.encryption.modulus)


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Two keys, because a key that both signs and decrypts lends each use to attacks on the other."""

    signing: SigningKey
    decryption: DecryptionKey

    @classmethod
    def generate(cls) -> Self:
        """A new identity. Takes up to a second of computing: call it in a worker thread."""
        return cls(SigningKey.generate(), DecryptionKey.generate())

    @property
    def public(self) -> ServerPublic:
        return ServerPublic(self.signing.public, self.decryption.public)

    @property
    def fingerprint(self) -> bytes:
        return self.public.fingerprint


# Fingerprints as text ------------------------------------------------------------------------------------------


def fingerprint_text(fingerprint: bytes) -> str:
    """Lowercase base32 (RFC 4648) without padding, 52 characters: the one form in invites, files and JSON."""
    return b32encode(fingerprint).decode("ascii").rstrip("=").lower()


def fingerprint_groups(fingerprint: bytes) -> str:
    """The same text in groups of four, for people who compare it by eye or by voice."""
    text = fingerprint_text(fingerprint)
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def parse_fingerprint(text: str) -> bytes:
    """The fingerprint in either form above, in either case. Raises ValueError with a sentence for people."""
    compact = "".join(text.split()).lower() if text.isascii() else ""
    try:
        fingerprint = b32decode((compact + "====").upper())
    except ValueError:  # binascii.Error is one
        fingerprint = b""
    if len(fingerprint) != FINGERPRINT_BYTES or fingerprint_text(fingerprint) != compact:
        raise ValueError(f"A fingerprint is {FINGERPRINT_CHARACTERS} letters a-z and digits 2-7.")
    return fingerprint


def _framed(context: bytes, message: bytes) -> bytes:
    if b"\0" in context:  # it would make (context, message) ambiguous
        raise LocalProtocolError("a signature context has no zero byte")
    return context + b"\0" + message
