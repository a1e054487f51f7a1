"""Layouts of the handshake's datagrams, by offset, and that no answer is larger than its cause."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError
from bisik_protocol.wire import handshake as wire
from tests.protocol.crypto.exchange import refusal

NONCE = bytes(range(32))
COOKIE = bytes(range(40, 80))
OFFER = wire.encode_offer([(1, 1)])
N_SIGN = b"\x81" * 384
N_ENCRYPT = b"\x83" * 384
X25519 = b"\x19" * 32
MLKEM_KEY = b"\x2a" * 1184
MLKEM_CIPHERTEXT = b"\x2b" * 1088
SEALED_SECRET = b"\x3c" * 384
SEALED_SIGNATURE = b"\x4d" * 400
PAIR_COUNTS = range(1, 9)


def offer_of(count: int) -> bytes:
    return wire.encode_offer([(n, 0x100 + n) for n in range(count)])


MAC = b"m" * 16


def hello_of(offer: bytes) -> bytes:
    return wire.encode_hello(NONCE, offer) + MAC


def retry() -> bytes:
    return wire.encode_retry(COOKIE, N_SIGN, N_ENCRYPT) + MAC


def kex_of(offer: bytes) -> tuple[bytes, bytes]:
    first, second = wire.encode_kex(NONCE, COOKIE, X25519, MLKEM_KEY, SEALED_SECRET, offer)
    return first + MAC, second + MAC


def skex() -> tuple[bytes, bytes]:
    first, second = wire.encode_skex(X25519, MLKEM_CIPHERTEXT, SEALED_SIGNATURE)
    return first + MAC, second + MAC


# Layouts -------------------------------------------------------------------------------------------------------


def test_hello_layout() -> None:
    """Type, nonce, offer, zeros, MAC."""
    hello = hello_of(OFFER)
    assert hello == b"\x01" + NONCE + bytes.fromhex("01 0001 0001") + bytes(1184 - 38) + MAC
    assert len(hello) == wire.HELLO_BYTES == 1200
    assert wire.parse_hello_untrusted(hello) == wire.Hello(NONCE, OFFER, ((1, 1),))


def test_retry_layout() -> None:
    """Type, cookie, two moduli, MAC."""
    assert retry() == b"\x02" + COOKIE + N_SIGN + N_ENCRYPT + MAC
    assert wire.parse_retry_untrusted(retry()) == wire.Retry(COOKIE, N_SIGN, N_ENCRYPT)


def test_kex_layout() -> None:
    """Each part: type, nonce, cookie, index, chunk, MAC; the chunks are the content cut at 800."""
    first, second = kex_of(OFFER)
    content = X25519 + MLKEM_KEY + SEALED_SECRET + OFFER
    assert first == b"\x03" + NONCE + COOKIE + b"\0" + content[:800] + MAC
    assert second == b"\x03" + NONCE + COOKIE + b"\1" + content[800:] + MAC
    assert (len(first), len(second)) == (890, 895)
    assert wire.parse_kex_part_untrusted(first) == wire.KexPart(NONCE, COOKIE, 0, content[:800])
    assert wire.parse_kex_part_untrusted(second) == wire.KexPart(NONCE, COOKIE, 1, content[800:])
    assert wire.parse_kex_content_untrusted(content) == wire.KexContent(
        X25519, MLKEM_KEY, SEALED_SECRET, OFFER, ((1, 1),)
    )


def test_skex_layout() -> None:
    """Each part: type, index, half the content, MAC."""
    first, second = skex()
    content = X25519 + MLKEM_CIPHERTEXT + SEALED_SIGNATURE
    assert first == b"\x04\0" + content[:760] + MAC
    assert second == b"\x04\1" + content[760:] + MAC
    assert wire.parse_skex_part_untrusted(first) == wire.SkexPart(0, content[:760])
    assert wire.parse_skex_part_untrusted(second) == wire.SkexPart(1, content[760:])
    assert wire.split_skex_content(content) == wire.SkexContent(X25519, MLKEM_CIPHERTEXT, SEALED_SIGNATURE)


@pytest.mark.parametrize("count", PAIR_COUNTS)
def test_offer_of_every_allowed_size_reads_back(count: int) -> None:
    """One to eight pairs, in HELLO and in KEX alike."""
    offer = offer_of(count)
    pairs = tuple((n, 0x100 + n) for n in range(count))
    assert wire.read_offer_untrusted(b"xx" + offer, 2) == (pairs, 2 + len(offer))
    assert wire.parse_hello_untrusted(hello_of(offer)).pairs == pairs
    content = b"".join(wire.parse_kex_part_untrusted(part).chunk for part in kex_of(offer))
    assert wire.parse_kex_content_untrusted(content).pairs == pairs


# Sizes ---------------------------------------------------------------------------------------------------------


def test_retry_is_at_most_seven_tenths_of_a_hello() -> None:
    """Whoever forges a sender address gets less sent there than it spends itself."""
    assert len(retry()) == wire.RETRY_BYTES == 825
    assert wire.RETRY_BYTES <= 0.7 * wire.HELLO_BYTES


@pytest.mark.parametrize("count", PAIR_COUNTS)
def test_each_skex_part_is_smaller_than_the_kex_part_of_its_index(count: int) -> None:
    """So a repeated KEX part can be answered by the SKEX part of the same index without amplifying."""
    for cause, answer in zip(kex_of(offer_of(count)), skex(), strict=True):
        assert len(answer) == wire.SKEX_PART_BYTES == 778
        assert len(answer) < len(cause)


@pytest.mark.parametrize("count", PAIR_COUNTS)
def test_every_datagram_fits_the_smallest_path(count: int) -> None:
    """Nothing is above 1200 bytes."""
    assert max(map(len, [*kex_of(offer_of(count)), *skex()])) <= 1200


# Refusals ------------------------------------------------------------------------------------------------------

PARSERS = {
    "hello": (wire.parse_hello_untrusted, hello_of(OFFER)),
    "retry": (wire.parse_retry_untrusted, retry()),
    "kex 0": (wire.parse_kex_part_untrusted, kex_of(OFFER)[0]),
    "kex 1": (wire.parse_kex_part_untrusted, kex_of(OFFER)[1]),
    "skex 0": (wire.parse_skex_part_untrusted, skex()[0]),
    "skex 1": (wire.parse_skex_part_untrusted, skex()[1]),
}


@pytest.mark.parametrize("name", PARSERS)
def test_datagram_of_another_size_is_refused(name: str) -> None:
    """One byte less, one byte more, nothing at all: no parser takes it."""
    parse, good = PARSERS[name]
    parse(good)
    for bad in (b"", good[:1], good[:-1], good + b"\0", good[:73], good[:74], good[:89], good[:90]):
        with pytest.raises(RemoteProtocolError, match=r"^size$"):
            parse(bad)


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("kind", [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x40, 0x41, 0xFF])
def test_datagram_of_another_type_is_refused(name: str, kind: int) -> None:
    """A parser reads its own type and no other."""
    parse, good = PARSERS[name]
    if kind == good[0]:
        return
    with pytest.raises(RemoteProtocolError, match=r"^type$"):
        parse(bytes([kind]) + good[1:])


@pytest.mark.parametrize(("name", "at"), [("kex 0", 73), ("kex 1", 73), ("skex 0", 1), ("skex 1", 1)])
@pytest.mark.parametrize("index", [2, 3, 0x80, 0xFF])
def test_part_index_above_one_is_refused(name: str, at: int, index: int) -> None:
    """There are two parts."""
    parse, good = PARSERS[name]
    with pytest.raises(RemoteProtocolError, match=r"^size$"):
        parse(good[:at] + bytes([index]) + good[at + 1 :])


def test_kex_parts_cannot_trade_places() -> None:
    """Each index has its own sizes."""
    for part, index in zip(kex_of(OFFER), (1, 0), strict=True):
        with pytest.raises(RemoteProtocolError, match=r"^size$"):
            wire.parse_kex_part_untrusted(part[:73] + bytes([index]) + part[74:])


@pytest.mark.parametrize("count", [0, 9, 255])
def test_offer_of_no_pair_or_too_many_is_refused(count: int) -> None:
    """On both sides of the wire."""
    with pytest.raises(RemoteProtocolError, match=r"^offer$"):
        wire.read_offer_untrusted(bytes([count]) + bytes(4 * count), 0)
    with pytest.raises(LocalProtocolError):
        wire.encode_offer([(1, 1)] * count)


def test_offer_cut_short_or_missing_is_refused() -> None:
    """The count may not promise more than there is."""
    for data, offset in [(b"", 0), (OFFER, 5), (OFFER, 99), (OFFER[:-1], 0), (b"\x02" + bytes(7), 0)]:
        with pytest.raises(RemoteProtocolError, match=r"^offer$"):
            wire.read_offer_untrusted(data, offset)


def test_kex_content_ends_with_its_offer() -> None:
    """No byte follows the offer, and none of it is missing."""
    content = X25519 + MLKEM_KEY + SEALED_SECRET + OFFER
    for bad in (b"", content[:1600], content[:-1], content + b"\0", content + bytes(4)):
        with pytest.raises(RemoteProtocolError, match=r"^offer$"):
            wire.parse_kex_content_untrusted(bad)


@pytest.mark.parametrize("at", [38, 39, 700, 1183])
def test_hello_padding_other_than_zero_is_refused(at: int) -> None:
    """What the transcript does not bind cannot carry anything."""
    hello = bytearray(hello_of(OFFER))
    hello[at] = 1
    with pytest.raises(RemoteProtocolError, match=r"^padding$"):
        wire.parse_hello_untrusted(bytes(hello))


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
def test_any_bytes_parse_or_raise_the_one_error(name: str, data: st.DataObject) -> None:
    """Random bytes, and good datagrams with some bytes overwritten: RemoteProtocolError or a value."""
    parse, good = PARSERS[name]
    at = data.draw(st.integers(0, len(good)))
    patch = data.draw(st.binary(max_size=64))
    for candidate in (patch, good[:at] + patch, (good[:at] + patch + good[at + len(patch) :])[: len(good)]):
        assert refusal(partial(parse, candidate)) in {None, "size", "type", "offer", "padding"}


@given(st.one_of(st.binary(max_size=64), st.binary(min_size=1600, max_size=1640)), st.integers(0, 1700))
def test_any_bytes_as_an_offer_or_a_content_parse_or_raise_the_one_error(data: bytes, offset: int) -> None:
    """The inner parsers hold by themselves, whatever their callers checked."""
    for parse in (
        lambda: wire.read_offer_untrusted(data, offset),
        lambda: wire.parse_kex_content_untrusted(data),
    ):
        assert refusal(parse) in {None, "offer"}
