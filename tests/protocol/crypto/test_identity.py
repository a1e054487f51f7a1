"""RSA keys: which are accepted, what they sign and decrypt, and the text of fingerprints."""

from base64 import b64encode
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.crypto.identity import (
    MAX_OAEP_PLAINTEXT_BYTES,
    DecryptionKey,
    EncryptionKey,
    ServerPublic,
    SigningKey,
    VerifyKey,
    fingerprint_groups,
    fingerprint_text,
    parse_fingerprint,
)
from bisik_protocol.crypto.primitives import sha256
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError
from tests.support.keys import decryption_key, device_key, server_identity

CONTEXT = b"bisik test v1"


def pem_of(key: rsa.RSAPrivateKey | x25519.X25519PrivateKey, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


# Which keys are accepted ---------------------------------------------------------------------------------------


def modulus_bits(bits: int) -> bytes:
    return ((1 << (bits - 1)) | 1).to_bytes((bits + 7) // 8)


BAD_MODULI = {
    "empty": b"",
    "1024 bits": modulus_bits(1024),
    "2048 bits": modulus_bits(2048),
    "3064 bits": modulus_bits(3064),
    "3071 bits": modulus_bits(3071),
    "3071 bits in 384 bytes": b"\x7f" + b"\xff" * 383,
    "1024 bits padded to 384 bytes": modulus_bits(1024).rjust(384, b"\0"),
    "3073 bits": modulus_bits(3073),
    "4096 bits": modulus_bits(4096),
    "3072 bits with a zero byte before them": b"\0" + modulus_bits(3072),
    "even": b"\xc0" + bytes(383),
    "even but large": b"\xff" * 383 + b"\xfe",
    "zero": bytes(384),
    "one": bytes(383) + b"\x01",
}


@pytest.mark.parametrize("kind", [VerifyKey, EncryptionKey])
@pytest.mark.parametrize("modulus", BAD_MODULI.values(), ids=BAD_MODULI.keys())
def test_received_modulus_of_another_shape_is_refused(kind: type[VerifyKey], modulus: bytes) -> None:
    """Only 384 bytes with the highest and the lowest bit set make a key."""
    with pytest.raises(RemoteProtocolError, match=r"^key$"):
        kind.from_modulus_untrusted(modulus)


@pytest.mark.parametrize("bad_first", [True, False])
def test_server_with_one_bad_key_is_refused(bad_first: bool) -> None:
    """Both of a server's moduli are held to the same shape."""
    moduli = [server_identity().public.signing.modulus, BAD_MODULI["even"]]
    if bad_first:
        moduli.reverse()
    with pytest.raises(RemoteProtocolError, match=r"^key$"):
        ServerPublic.from_moduli_untrusted(*moduli)


@given(st.one_of(st.binary(max_size=400), st.binary(min_size=384, max_size=384)))
def test_any_bytes_as_a_modulus_make_a_key_or_the_one_error(data: bytes) -> None:
    """No byte string makes the parser raise anything but RemoteProtocolError."""
    try:
        key = VerifyKey.from_modulus_untrusted(data)
    except RemoteProtocolError:
        return
    assert key.modulus == data
    assert not key.verify(CONTEXT, b"message", bytes(384))


BAD_PRIVATE_KEYS: dict[str, Callable[[], bytes]] = {
    "1024 bits": lambda: pem_of(rsa.generate_private_key(65537, 1024)),  # noqa: S505
    "2048 bits": lambda: pem_of(rsa.generate_private_key(65537, 2048)),
    "4096 bits": lambda: pem_of(rsa.generate_private_key(65537, 4096)),
    "exponent 3": lambda: pem_of(rsa.generate_private_key(3, 3072)),
    "encrypted": lambda: pem_of(rsa.generate_private_key(65537, 2048), b"password"),
    "another algorithm": lambda: pem_of(x25519.X25519PrivateKey.from_private_bytes(bytes(range(32)))),
    "a public key": lambda: (
        device_key()
        ._key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    ),
    "nothing": lambda: b"",
    "not PEM": lambda: b"\x00\xffkey",
    "cut short": lambda: device_key().to_pem()[:700],
}


@pytest.mark.parametrize("kind", [SigningKey, DecryptionKey])
@pytest.mark.parametrize("make", BAD_PRIVATE_KEYS.values(), ids=BAD_PRIVATE_KEYS.keys())
def test_private_key_file_of_another_shape_is_refused(kind: type[SigningKey], make: Callable[[], bytes]) -> None:
    """Only an unencrypted RSA-3072 key with e = 65537 loads; the refusal is a sentence."""
    with pytest.raises(LocalProtocolError, match="this "):
        kind.from_pem(make())


def test_private_key_with_damaged_numbers_is_refused() -> None:
    """A key file whose PEM still reads but whose d belongs to other primes does not load."""
    numbers = device_key()._key.private_numbers()
    wrong = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d ^ 2, numbers.dmp1, numbers.dmq1, numbers.iqmp, numbers.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    with pytest.raises(LocalProtocolError):
        SigningKey.from_pem(pem_of(wrong))


@pytest.mark.parametrize("which", ["p", "q", "d", "dmp1", "dmq1", "iqmp", "n"])
def test_private_key_with_one_changed_number_is_refused(which: str) -> None:
    """Whichever number of a key file was damaged, the others show it."""
    key = device_key()._key
    numbers = key.private_numbers()
    value = numbers.public_numbers.n if which == "n" else getattr(numbers, which)
    size = (value.bit_length() + 7) // 8
    der = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    damaged = der.replace(value.to_bytes(size), (value ^ 1 << 700).to_bytes(size))
    assert damaged != der
    with pytest.raises(LocalProtocolError):
        SigningKey.from_pem(b"-----BEGIN PRIVATE KEY-----\n" + b64encode(damaged) + b"\n-----END PRIVATE KEY-----\n")


def test_key_survives_its_file_form() -> None:
    """A key written and read again is the same key, in the same bytes."""
    pem = device_key().to_pem()
    again = SigningKey.from_pem(pem)
    assert again.public == device_key().public
    assert again.to_pem() == pem


def test_decryption_key_survives_its_file_form() -> None:
    """What was encrypted before the restart decrypts after it."""
    sealed = decryption_key().public.encrypt(b"secret")
    assert DecryptionKey.from_pem(decryption_key().to_pem()).decrypt(sealed) == b"secret"


def test_generated_keys_have_the_one_shape() -> None:
    """What we make ourselves passes what we ask of others."""
    public = server_identity().public
    assert ServerPublic.from_moduli_untrusted(public.signing.modulus, public.encryption.modulus) == public
    assert public.signing._key.public_numbers().e == 65537


def test_public_keys_are_equal_by_modulus_and_kind() -> None:
    """Equality is about the modulus, and a signing key is never equal to an encryption key."""
    modulus = device_key().public.modulus
    assert VerifyKey.from_modulus_untrusted(modulus) == device_key().public
    as_encryption_key: object = EncryptionKey.from_modulus_untrusted(modulus)
    assert as_encryption_key != VerifyKey.from_modulus_untrusted(modulus)
    assert len({VerifyKey.from_modulus_untrusted(modulus), device_key().public}) == 1
    assert device_key(0).public != device_key(1).public


def test_repr_of_private_keys_shows_nothing() -> None:
    """A key in a log line or a traceback gives nothing away."""
    assert repr(device_key()) == "SigningKey()"
    assert "_key" not in repr(server_identity())


# Signing -------------------------------------------------------------------------------------------------------


def test_signature_verifies_for_its_context_and_message_only() -> None:
    """Another message, another context, another key or a changed bit: not verified."""
    signature = device_key().sign(CONTEXT, b"message")
    public = device_key().public
    assert len(signature) == 384
    assert public.verify(CONTEXT, b"message", signature)
    assert not public.verify(CONTEXT, b"messagE", signature)
    assert not public.verify(b"bisik test v2", b"message", signature)
    assert not device_key(1).public.verify(CONTEXT, b"message", signature)
    assert not public.verify(CONTEXT, b"message", signature[:-1] + bytes([signature[-1] ^ 1]))


@pytest.mark.parametrize("signature", [b"", b"\0", bytes(383), bytes(384), bytes(385), b"\xff" * 384, b"\xff" * 4000])
def test_bytes_that_are_no_signature_do_not_verify(signature: bytes) -> None:
    """Any length and any content is an answer of False, never an exception."""
    assert not device_key().public.verify(CONTEXT, b"message", signature)


def test_context_and_message_cannot_be_shifted_against_each_other() -> None:
    """(ab, c) and (a, bc) are different statements, and a context cannot hold the byte that divides them."""
    signature = device_key().sign(b"ab", b"c")
    assert not device_key().public.verify(b"a", b"bc", signature)
    with pytest.raises(LocalProtocolError):
        device_key().sign(b"a\0b", b"c")


def test_signature_is_pss_over_context_zero_message() -> None:
    """Another implementation with the parameters in the documents verifies ours, and those of another salt fail."""
    signature = device_key().sign(CONTEXT, b"message")
    key = rsa.RSAPublicNumbers(65537, int.from_bytes(device_key().public.modulus)).public_key()
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    key.verify(signature, CONTEXT + b"\0message", pss, hashes.SHA256())
    other_salt = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=20)
    signed = device_key()._key.sign(CONTEXT + b"\0message", other_salt, hashes.SHA256())
    assert not device_key().public.verify(CONTEXT, b"message", signed)


# Encryption ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 32, MAX_OAEP_PLAINTEXT_BYTES])
def test_encrypted_bytes_decrypt(length: int) -> None:
    """Up to the limit of OAEP, what goes in comes out, under a new ciphertext each time."""
    plaintext = bytes(range(256))[:length] * (length <= 256) or bytes(length)
    first, second = (decryption_key().public.encrypt(plaintext) for _ in range(2))
    assert len(first) == 384
    assert first != second
    assert decryption_key().decrypt(first) == decryption_key().decrypt(second) == plaintext


def test_too_long_a_plaintext_is_our_own_mistake() -> None:
    """One byte above the limit raises LocalProtocolError."""
    with pytest.raises(LocalProtocolError):
        decryption_key().public.encrypt(bytes(MAX_OAEP_PLAINTEXT_BYTES + 1))


@pytest.mark.parametrize("ciphertext", [b"", b"\0", bytes(383), bytes(384), bytes(385), b"\xff" * 384, b"\x01" * 384])
def test_bytes_that_are_no_ciphertext_decrypt_to_none(ciphertext: bytes) -> None:
    """Any length and any content is an answer of None, never an exception."""
    assert decryption_key().decrypt(ciphertext) is None


def test_ciphertext_for_another_key_or_with_another_padding_decrypts_to_none() -> None:
    """Neither somebody else's ciphertext nor PKCS #1 v1.5 nor OAEP with SHA-1 opens."""
    assert decryption_key().decrypt(decryption_key(1).public.encrypt(b"secret")) is None
    key = decryption_key().public._key
    sha1 = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303
    assert decryption_key().decrypt(key.encrypt(b"secret", sha1)) is None


# Fingerprints --------------------------------------------------------------------------------------------------


def test_fingerprint_covers_both_keys_in_order() -> None:
    """It is SHA-256 of the signing modulus and then the encryption modulus."""
    identity = server_identity()
    expected = sha256(identity.public.signing.modulus + identity.public.encryption.modulus)
    assert identity.fingerprint == identity.public.fingerprint == expected
    swapped = ServerPublic.from_moduli_untrusted(identity.public.encryption.modulus, identity.public.signing.modulus)
    assert swapped.fingerprint != expected


def test_key_hash_is_sha256_of_the_modulus() -> None:
    """Statements name their author by this hash."""
    assert device_key().public.key_hash == sha256(device_key().public.modulus)


def test_fingerprint_text_is_fixed() -> None:
    """The text form of a known fingerprint, which invites and files hold, does not change between versions."""
    assert fingerprint_text(bytes(32)) == "a" * 52
    assert fingerprint_text(bytes(range(32))) == "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq"
    assert fingerprint_groups(bytes(range(32))) == (
        "aaaq eaye auda ocaj bifq ydio b4ib ceqt cqkr mfyy denb wha5 dypq"
    )


@given(st.binary(min_size=32, max_size=32))
def test_fingerprint_text_reads_back(fingerprint: bytes) -> None:
    """Both forms read back, also in capitals and with spaces around."""
    text = fingerprint_text(fingerprint)
    assert len(text) == 52
    assert parse_fingerprint(text) == fingerprint
    assert parse_fingerprint(f"  {fingerprint_groups(fingerprint).upper()}\n") == fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a" * 51,
        "a" * 53,
        "a" * 51 + "b",
        "a" * 51 + "1",
        "a" * 51 + "=",
        "a" * 56,
        "\u212a" * 52,
        "a" * 51 + "\0",
    ],
    ids=repr,
)
def test_text_that_is_no_fingerprint_is_refused_in_words(text: str) -> None:
    """Too short, too long, bits beyond the 256th, padding, other alphabets: one sentence says what it looks like."""
    with pytest.raises(ValueError, match="52 letters"):
        parse_fingerprint(text)


@given(st.text(max_size=80))
def test_any_text_is_a_fingerprint_or_a_value_error(text: str) -> None:
    """A text is read only if it is the text of what it reads as, but for case and spaces."""
    try:
        fingerprint = parse_fingerprint(text)
    except ValueError:
        return
    assert fingerprint_text(fingerprint) == "".join(text.split()).lower()
