"""A chunk: the unit of reliability, one MESSAGE or FRAGMENT frame's worth. Packets carry chunks and are forgotten;
a chunk is carried again, in new packets, until one of them is acknowledged (RFC 9000 section 13.3)."""

from typing import Final

from msgspec import Struct

# What a frame costs in flow control beyond its data. It makes floods of tiny messages pay for the memory they take.
CHUNK_OVERHEAD_COST: Final = 64


class Chunk(Struct, eq=False, gc=False):
    """`head + data` is the frame. `data` may be shared by the chunks of many connections and is never changed."""

    lane: int
    head: bytes
    data: bytes
    cost: int
    """What sending it for the first time takes from the flow-control windows."""
    size: int
    """Of the whole frame."""
    acknowledged: bool = False
    outstanding: int = 0
    """Packets in flight that carry it."""
    copies: int = 0
    """Times sent."""
    first_sent: float = 0.0
    last_sent: float = 0.0
    thin: bool = False
    """Whether `repair` watches it."""
    due: float = 0.0
    """When repair sends the next copy."""
