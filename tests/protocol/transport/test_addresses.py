"""Addresses as sockets give them: compared, and never looked into further than host and port."""

import pytest

from bisik_protocol.transport.addresses import Address, address_bytes, host_bytes, same_host

V4 = ("192.0.2.7", 4242)
V6 = ("2001:db8::7", 4242, 0, 0)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (V4, ("192.0.2.7", 1), True),
        (V4, ("192.0.2.8", 4242), False),
        (V6, ("2001:db8::7", 1, 0, 3), True),
        (V6, V4, False),
    ],
)
def test_a_nat_that_forgot_changes_the_port_only(a: Address, b: Address, expected: bool) -> None:
    """Hosts are compared as text, ports and scopes are not."""
    assert same_host(a, b) is expected
    assert same_host(b, a) is expected


def test_a_cookie_binds_host_and_port() -> None:
    """Another port or host gives other bytes, and no two addresses run into each other."""
    addresses: list[Address] = [V4, ("192.0.2.7", 424), ("192.0.2.74", 242), V6, ("2001:db8::7:4242", 0)]
    assert len(set(map(address_bytes, addresses))) == len(addresses)


def test_limits_count_by_host() -> None:
    """All ports of a host are one, and two hosts are two."""
    assert host_bytes(V4) == host_bytes(("192.0.2.7", 1))
    assert host_bytes(V4) != host_bytes(("192.0.2.8", 4242))
