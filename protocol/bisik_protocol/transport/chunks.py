"""A chunk: the unit of reliability, one MESSAGE or FRAGMENT frame's worth. Packets carry chunks and are forgotten;
a chunk is carried again, in new packets, until one of them is acknowledged (RFC 9000 section 13.3)."""

from typing import Final

# What a frame costs in flow control beyond its data. It makes floods of tiny messages pay for the memory they take.
CHUNK_OVERHEAD_COST: Final = 64


class Chunk:
    """`head + data` is the frame. `data` may be shared by the chunks of many connections and is never changed."""

    __slots__ = (
        "acknowledged",
        "copies",
        "cost",
        "data",
        "due",
        "first_sent",
        "head",
        "lane",
        "last_sent",
        "outstanding",
        "size",
        "thin",
    )

    def __init__(self, lane: int, head: bytes, data: bytes, cost: int) -> None:
        """`cost` is what sending it for the first time takes from the flow-control windows."""
        self.lane = lane
        self.head = head
        self.data = data
        self.cost = cost
        self.size = len(head) + len(data)
        self.acknowledged = False
        self.outstanding = 0  # packets in flight that carry it
        self.copies = 0  # times sent
        self.first_sent = 0.0
        self.last_sent = 0.0
        self.thin = False  # whether `repair` watches it
        self.due = 0.0  # when repair sends the next copy
