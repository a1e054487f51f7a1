"""Packet protection: fixed bytes, nonces that never repeat, keys that ratchet under loss and reordering."""

import random

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.crypto import protection
from bisik_protocol.crypto.primitives import hkdf_expand
from bisik_protocol.crypto.protection import MAX_NUMBERS_PER_KEY, MAX_PACKET_NUMBER, PacketOpener, PacketSealer
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError

SECRET = bytes(range(32))
HEADER = bytes.fromhex("40 0001020304050607 000000000005")


def pair() -> tuple[PacketSealer, PacketOpener]:
    return PacketSealer(SECRET), PacketOpener(SECRET)


def refusal(opener: PacketOpener, phase: int, number: int, sealed: bytes, header: bytes = HEADER) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        opener.open_untrusted(phase, number, header, sealed)
    return caught.value.reason


# Fixed bytes ---------------------------------------------------------------------------------------------------

# (phase, packet number, plaintext, ciphertext and tag), all under SECRET and HEADER. docs/protocol.md has them too.
VECTORS = [
    (0, 5, b"halo", "f3bf4d938692928fbef2e0f3ea033272a05f00cb"),
    (0, MAX_NUMBERS_PER_KEY - 1, b"", "dd4402743244936486029a654cb19000"),
    (1, MAX_NUMBERS_PER_KEY, b"halo", "bad231e70bac947cc84a42093c03cb5d30152265"),
    (0, MAX_NUMBERS_PER_KEY + 1, b"halo", "cf2b26582782cd85fe2769a46379b086a080e4e5"),
]


def test_packets_are_fixed_to_the_byte() -> None:
    """Known packets under a known secret, over two ratchets, as another implementation must make them."""
    sealer = PacketSealer(SECRET)
    for phase, number, plaintext, expected in VECTORS:
        if sealer.phase != phase:
            sealer.ratchet()
        assert sealer.seal(number, HEADER, plaintext).hex() == expected


def test_known_packets_open() -> None:
    """The same packets open on the other side."""
    opener = PacketOpener(SECRET)
    for phase, number, plaintext, sealed in VECTORS:
        assert opener.open_untrusted(phase, number, HEADER, bytes.fromhex(sealed)) == plaintext


def test_nonce_is_the_iv_xor_the_packet_number() -> None:
    """The construction spelled out, with the library's primitives only."""
    key = hkdf_expand(SECRET, b"bisik v1 key", 32)
    iv = hkdf_expand(SECRET, b"bisik v1 iv", 12)
    nonce = bytes(a ^ b for a, b in zip(iv, (1_000_001).to_bytes(12), strict=True))
    assert PacketSealer(SECRET).seal(1_000_001, HEADER, b"halo") == AESGCM(key).encrypt(nonce, b"halo", HEADER)


# Nonces --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [7, 6, 0, -1])
def test_number_that_does_not_rise_is_refused(number: int) -> None:
    """Sealing twice under one number, or going back, is a bug on this side and never reaches the cipher."""
    sealer = PacketSealer(SECRET)
    sealer.seal(7, HEADER, b"first")
    with pytest.raises(LocalProtocolError):
        sealer.seal(number, HEADER, b"second")
    assert sealer.sealed == 1


def test_numbers_do_not_start_over_after_a_ratchet() -> None:
    """Packet numbers rise through all phases, so that the replay window needs to know nothing of phases."""
    sealer = PacketSealer(SECRET)
    sealer.seal(7, HEADER, b"first")
    sealer.ratchet()
    with pytest.raises(LocalProtocolError):
        sealer.seal(7, HEADER, b"second")
    sealer.seal(8, HEADER, b"third")


def test_key_past_its_limit_seals_no_more_until_the_ratchet() -> None:
    """The confidentiality limit of AES-GCM holds even if the transport forgets to ratchet."""
    sealer = PacketSealer(SECRET)
    sealer.seal(MAX_NUMBERS_PER_KEY - 1, HEADER, b"the last one")
    with pytest.raises(LocalProtocolError):
        sealer.seal(MAX_NUMBERS_PER_KEY, HEADER, b"one too many")
    sealer.ratchet()
    sealer.seal(MAX_NUMBERS_PER_KEY, HEADER, b"under the next key")


def test_numbers_end_at_48_bits() -> None:
    """What the header cannot carry is not sealed."""
    sealer = PacketSealer(SECRET)
    sealer._last = MAX_PACKET_NUMBER - 2
    sealer.ratchet()
    sealer.seal(MAX_PACKET_NUMBER, HEADER, b"the last of all")
    with pytest.raises(LocalProtocolError):
        sealer.seal(MAX_PACKET_NUMBER + 1, HEADER, b"one too many")


def test_sealer_counts_by_phase() -> None:
    """`sealed`, `phase` and `first_number` are what the transport decides about a ratchet by."""
    sealer = PacketSealer(SECRET)
    assert (sealer.phase, sealer.sealed, sealer.first_number) == (0, 0, 0)
    for number in (0, 1, 5):
        sealer.seal(number, HEADER, b"")
    assert (sealer.phase, sealer.sealed, sealer.first_number) == (0, 3, 0)
    sealer.ratchet()
    assert (sealer.phase, sealer.sealed, sealer.first_number) == (1, 0, 6)
    sealer.ratchet()
    assert (sealer.phase, sealer.sealed, sealer.first_number) == (0, 0, 6)


# Opening -------------------------------------------------------------------------------------------------------


def test_changed_bit_anywhere_is_refused() -> None:
    """A flipped bit in ciphertext, tag or header, another number or the other phase: counted, and nothing opens."""
    sealer, opener = pair()
    sealed = sealer.seal(5, HEADER, b"halo")
    for bit in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        assert refusal(opener, 0, 5, bytes(damaged)) == "decrypt"
    for bit in range(len(HEADER) * 8):
        header = bytearray(HEADER)
        header[bit // 8] ^= 1 << bit % 8
        assert refusal(opener, 0, 5, sealed, bytes(header)) == "decrypt"
    assert refusal(opener, 0, 4, sealed) == "decrypt"
    assert refusal(opener, 1, 5, sealed) == "decrypt"
    assert opener.failures == (len(sealed) + len(HEADER)) * 8 + 2
    assert opener.open_untrusted(0, 5, HEADER, sealed) == b"halo"


def test_directions_do_not_open_each_other() -> None:
    """A packet reflected to its sender is a forgery there, because each direction has its own secret."""
    sealed = PacketSealer(SECRET).seal(0, HEADER, b"halo")
    assert refusal(PacketOpener(bytes(32)), 0, 0, sealed) == "decrypt"


@given(
    st.integers(0, 1),
    st.one_of(st.integers(0, MAX_PACKET_NUMBER), st.integers()),
    st.binary(max_size=40),
    st.binary(),
)
def test_any_bytes_are_refused_by_the_one_error(phase: int, number: int, header: bytes, data: bytes) -> None:
    """No phase, number, header or body makes the opener raise anything but RemoteProtocolError."""
    opener = PacketOpener(SECRET)
    assert refusal(opener, phase, number, data, header) == "decrypt"
    assert opener.failures == 1


def test_failures_up_to_the_limit_change_nothing_and_one_more_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit of the AEAD nothing opens in any phase, not even what is genuine."""
    monkeypatch.setattr(protection, "MAX_FAILURES", 3)
    sealer, opener = pair()
    oldest = sealer.seal(0, HEADER, b"")
    sealer.ratchet()
    opener.open_untrusted(1, 1, HEADER, sealer.seal(1, HEADER, b""))
    for phase in (0, 1, 0):
        assert refusal(opener, phase, 9, bytes(20)) == "decrypt"
    assert opener.open_untrusted(1, 2, HEADER, sealer.seal(2, HEADER, b"halo")) == b"halo"
    assert refusal(opener, 1, 9, bytes(20)) == "exhausted"
    genuine = sealer.seal(3, HEADER, b"halo")
    assert refusal(opener, 1, 3, genuine) == "exhausted"
    assert refusal(opener, 0, 0, oldest) == "exhausted"
    sealer.ratchet()
    assert refusal(opener, 0, 4, sealer.seal(4, HEADER, b"halo")) == "exhausted"


# The ratchet ---------------------------------------------------------------------------------------------------


def run_of_packets(sealer: PacketSealer, count: int, every: int) -> list[tuple[int, int, bytes]]:
    """(phase, number, sealed) for `count` packets, with a ratchet after each `every` of them."""
    packets = []
    for number in range(count):
        if number and number % every == 0:
            sealer.ratchet()
        packets.append((sealer.phase, number, sealer.seal(number, HEADER, b"%d" % number)))
    return packets


def test_packets_in_order_open_through_many_ratchets() -> None:
    """Both sides move on together, one phase flip after another."""
    sealer, opener = pair()
    for phase, number, sealed in run_of_packets(sealer, 100, every=7):
        assert opener.open_untrusted(phase, number, HEADER, sealed) == b"%d" % number
    assert opener.failures == 0


@pytest.mark.parametrize("seed", range(20))
def test_packets_open_through_ratchets_under_loss_and_reordering(seed: int) -> None:
    """With 30% lost and the rest up to a phase late, everything that arrives opens."""
    rng = random.Random(seed)
    sealer, opener = pair()
    every = 16
    packets = [packet for packet in run_of_packets(sealer, 400, every) if rng.random() > 0.3]
    late = sorted(packets, key=lambda packet: packet[1] + rng.uniform(0, every - 1))
    for phase, number, sealed in late:
        assert opener.open_untrusted(phase, number, HEADER, sealed) == b"%d" % number
    assert opener.failures == 0


def test_first_packet_to_arrive_may_be_of_the_next_phase() -> None:
    """A whole phase may be lost: one key ahead is always at hand."""
    sealer, opener = pair()
    early = sealer.seal(0, HEADER, b"late")
    sealer.ratchet()
    assert opener.open_untrusted(1, 1, HEADER, sealer.seal(1, HEADER, b"first")) == b"first"
    assert opener.open_untrusted(0, 0, HEADER, early) == b"late"


def test_forged_phase_bit_moves_nothing() -> None:
    """Only a packet that opens under the next key makes it the current one."""
    sealer, opener = pair()
    sealed = sealer.seal(0, HEADER, b"halo")
    for _ in range(3):
        assert refusal(opener, 1, 1 << 40, sealed) == "decrypt"
    assert opener.open_untrusted(0, 0, HEADER, sealed) == b"halo"
    sealer.ratchet()
    assert opener.open_untrusted(1, 1, HEADER, sealer.seal(1, HEADER, b"halo")) == b"halo"


def test_forged_phase_bits_cost_one_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next key is computed at the first packet that claims to be sealed with it, and not for each of them."""
    sealer, opener = pair()
    sealed = sealer.seal(0, HEADER, b"halo")
    computed: list[bytes] = []

    def counted(secret: bytes, label: bytes, length: int) -> bytes:
        computed.append(label)
        return hkdf_expand(secret, label, length)

    monkeypatch.setattr(protection, "hkdf_expand", counted)
    for number in range(1, 100):
        assert refusal(opener, 1, number, sealed) == "decrypt"
    assert computed == [protection.RATCHET_LABEL, protection.KEY_LABEL, protection.IV_LABEL]


def test_old_packet_with_its_phase_flipped_moves_nothing() -> None:
    """A recorded packet replayed under the other phase bit is a forgery like any other."""
    sealer, opener = pair()
    first = sealer.seal(0, HEADER, b"first")
    opener.open_untrusted(0, 0, HEADER, first)
    sealer.ratchet()
    second = sealer.seal(1, HEADER, b"second")
    opener.open_untrusted(1, 1, HEADER, second)
    assert refusal(opener, 0, 1, second) == "decrypt"
    assert refusal(opener, 1, 0, first) == "decrypt"
    assert opener.open_untrusted(1, 1, HEADER, second) == b"second"


def test_key_before_the_previous_one_is_gone() -> None:
    """A packet two ratchets old no longer opens: what it was sealed with cannot be computed any more."""
    sealer, opener = pair()
    oldest = sealer.seal(0, HEADER, b"oldest")
    for number in (1, 2):
        sealer.ratchet()
        opener.open_untrusted(sealer.phase, number, HEADER, sealer.seal(number, HEADER, b""))
    assert refusal(opener, 0, 0, oldest) == "decrypt"


def test_ratchet_is_one_way() -> None:
    """Nothing in a sealer or an opener after a ratchet opens what was sealed before it."""
    sealer = PacketSealer(SECRET)
    before = sealer.seal(0, HEADER, b"before")
    sealer.ratchet()
    assert sealer._secret != SECRET
    assert refusal(PacketOpener(sealer._secret), 0, 0, before) == "decrypt"
    assert refusal(PacketOpener(sealer._secret), 1, 0, before) == "decrypt"


def test_sealer_that_ratchets_twice_unheard_is_not_followed() -> None:
    """Why `first_number` exists: the sealer must hear an acknowledgement between two ratchets."""
    sealer, opener = pair()
    opener.open_untrusted(0, 0, HEADER, sealer.seal(0, HEADER, b""))
    sealer.ratchet()
    sealer.ratchet()
    assert refusal(opener, sealer.phase, 1, sealer.seal(1, HEADER, b"halo")) == "decrypt"
