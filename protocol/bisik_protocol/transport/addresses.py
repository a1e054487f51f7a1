"""Addresses as `recvfrom` gives them: (host, port) or (host, port, flow, scope). The core only compares them."""

from typing import Any

Address = tuple[Any, ...]


def same_host(a: Address, b: Address) -> bool:
    """Whether only the port differs, which is what a NAT does when it forgets a mapping."""
    return bool(a[0] == b[0])


def address_bytes(address: Address) -> bytes:
    """What a cookie binds: the host as text and the port."""
    return f"{address[0]} {address[1]}".encode()


def host_bytes(address: Address) -> bytes:
    """What limits count by."""
    return f"{address[0]}".encode()
