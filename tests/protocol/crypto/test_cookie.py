"""The cookie: fixed bytes, its lifetime, and what it is bound to."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.crypto.cookie import COOKIE_LIFETIME_S, CookieMaker
from tests.protocol.crypto.exchange import flip

KEY = bytes(range(32))
NONCE = bytes(range(32, 64))
ADDRESS = b"192.0.2.7:40001"
MADE_AT = 12.345
VECTOR = "0000000000003039acb4aef9d72a26dfb53cb8a9ba14be9140639131ad216ed8631f44d5747b6141"


def test_cookie_is_fixed_to_the_byte() -> None:
    """A known key, time, address and nonce make these 40 bytes."""
    assert CookieMaker(KEY).make(NONCE, ADDRESS, MADE_AT).hex() == VECTOR


def test_cookie_is_time_and_hmac_over_time_address_nonce() -> None:
    """The same bytes from another implementation of HMAC."""
    made = (12345).to_bytes(8)
    assert bytes.fromhex(VECTOR) == made + hmac.digest(KEY, made + ADDRESS + NONCE, hashlib.sha256)


@pytest.mark.parametrize(
    ("age_s", "good"),
    [
        (-1000.0, False),
        (-0.001, False),
        (0.0, True),
        (0.001, True),
        (1.0, True),
        (COOKIE_LIFETIME_S, True),
        (COOKIE_LIFETIME_S + 0.001, False),
        (1e9, False),
    ],
)
def test_cookie_is_good_for_its_lifetime(age_s: float, good: bool) -> None:
    """From the moment it was made, for 30 s, and never before."""
    maker = CookieMaker(KEY)
    made_at = 2000.0
    cookie = maker.make(NONCE, ADDRESS, made_at)
    assert maker.check(cookie, NONCE, ADDRESS, made_at + age_s) is good


def test_cookie_is_good_at_time_zero() -> None:
    """A virtual clock starts there."""
    maker = CookieMaker(KEY)
    assert maker.check(maker.make(NONCE, ADDRESS, 0.0), NONCE, ADDRESS, 0.0)


def test_cookie_is_bound_to_nonce_address_and_key() -> None:
    """It proves one nonce at one address to one server."""
    maker = CookieMaker(KEY)
    cookie = maker.make(NONCE, ADDRESS, MADE_AT)
    assert maker.check(cookie, NONCE, ADDRESS, MADE_AT)
    assert not maker.check(cookie, flip(NONCE, 31), ADDRESS, MADE_AT)
    assert not maker.check(cookie, NONCE, b"192.0.2.7:40002", MADE_AT)
    assert not maker.check(cookie, NONCE, b"", MADE_AT)
    assert not CookieMaker(bytes(32)).check(cookie, NONCE, ADDRESS, MADE_AT)


def test_changed_bit_anywhere_makes_a_cookie_bad() -> None:
    """Neither the time nor the MAC can be edited."""
    maker = CookieMaker(KEY)
    cookie = maker.make(NONCE, ADDRESS, MADE_AT)
    for bit in range(len(cookie) * 8):
        assert not maker.check(flip(cookie, bit // 8, bit % 8), NONCE, ADDRESS, MADE_AT)


def test_bytes_cannot_move_between_address_and_nonce() -> None:
    """The nonce has a fixed size, so an address that ends in nonce bytes is another address."""
    maker = CookieMaker(KEY)
    cookie = maker.make(NONCE, ADDRESS + b"\x01", MADE_AT)
    assert not maker.check(cookie, b"\x01" + NONCE[:31], ADDRESS, MADE_AT)


@given(st.one_of(st.binary(max_size=60), st.binary(min_size=40, max_size=40)), st.binary(max_size=40), st.binary())
def test_any_bytes_are_no_cookie(cookie: bytes, nonce: bytes, address: bytes) -> None:
    """Any length and any content is an answer of False, never an exception."""
    assert not CookieMaker(KEY).check(cookie, nonce, address, MADE_AT)
