"""The MAC that ends every handshake datagram."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.crypto.mac import check_mac_untrusted, has_right_mac, hello_key, nonce_key, with_mac
from bisik_protocol.errors import RemoteProtocolError
from tests.protocol.crypto.exchange import Exchange, flip

KEY = bytes(range(32))


@pytest.mark.parametrize("make_key", [hello_key, nonce_key])
def test_mac_is_the_first_half_of_hmac_sha256(make_key: type) -> None:
    """From another implementation of HMAC; a fingerprint and a nonce are keys as they are."""
    assert with_mac(make_key(KEY), b"halo") == b"halo" + hmac.digest(KEY, b"halo", hashlib.sha256)[:16]


def test_every_datagram_after_the_hello_is_keyed_by_its_nonce() -> None:
    """RETRY, both parts of KEX and both of SKEX."""
    exchange = Exchange()
    for datagram in (exchange.retry, *exchange.kex, *exchange.skex):
        assert datagram[-16:] == hmac.digest(exchange.nonce, datagram[:-16], hashlib.sha256)[:16]


def test_changed_bit_anywhere_is_noticed() -> None:
    """In what is covered and in the MAC."""
    key = nonce_key(KEY)
    good = with_mac(key, b"halo")
    assert has_right_mac(key, good)
    for bit in range(len(good) * 8):
        assert not has_right_mac(key, flip(good, bit // 8, bit % 8))
    assert not has_right_mac(nonce_key(bytes(32)), good)


@given(st.binary(max_size=80))
def test_any_bytes_have_no_right_mac(data: bytes) -> None:
    """Also those shorter than a MAC: one answer, one error."""
    assert not has_right_mac(nonce_key(KEY), data)
    with pytest.raises(RemoteProtocolError, match=r"^mac$"):
        check_mac_untrusted(nonce_key(KEY), data)
