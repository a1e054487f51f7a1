"""The sending side of lanes: cutting messages into chunks, and how much is still owed."""

from collections import deque
from typing import Final

from bisik_protocol.errors import LocalProtocolError
from bisik_protocol.transport.chunks import CHUNK_OVERHEAD_COST, Chunk
from bisik_protocol.transport.inbound import CONNECTION_WINDOW, LANE_WINDOW
from bisik_protocol.wire.frames import MAX_FRAGMENTS, message_head

MAX_MESSAGE_BYTES: Final = 64 * 1024
MAX_CHUNK_BYTES: Final = 1080  # with packet header, tag, frame head and a long ACK, under 1200 bytes
LANE_LOW_WATER_BYTES: Final = 32 * 1024

assert MAX_CHUNK_BYTES * MAX_FRAGMENTS >= MAX_MESSAGE_BYTES  # noqa: S101 # two constants of one design

# New credit is told when half a window is left. Were a message's cost above that, its sender could wait for credit
# that nobody is going to tell.
MAX_MESSAGE_COST: Final = MAX_MESSAGE_BYTES + MAX_FRAGMENTS * CHUNK_OVERHEAD_COST
assert min(LANE_WINDOW, CONNECTION_WINDOW) // 2 >= MAX_MESSAGE_COST  # noqa: S101


class SendLane:
    """One lane out. `backlog` is the bytes of messages that are queued or not yet acknowledged."""

    __slots__ = ("backlog", "limit", "number", "queue", "sequence", "spent", "was_high")

    def __init__(self, number: int) -> None:
        self.number = number
        self.sequence = 0
        self.queue: deque[Chunk] = deque()
        self.backlog = 0
        self.was_high = False
        self.spent = 0  # cost of everything sent for the first time
        self.limit = LANE_WINDOW  # what the far side lets us spend

    def push(self, data: bytes) -> int:
        """Queue a message and return how many bytes wait more for it. Raises LocalProtocolError for a bad size."""
        if not 0 < len(data) <= MAX_MESSAGE_BYTES:
            raise LocalProtocolError(f"a message has 1 to {MAX_MESSAGE_BYTES} bytes, not {len(data)}")
        sequence = self.sequence
        self.sequence += 1
        count = -(-len(data) // MAX_CHUNK_BYTES)
        # The first fragment pays for all. What was begun can then always be finished: fragments of many lanes would
        # otherwise use up the connection's credit between them, with no message whole and none to be taken.
        cost = len(data) + count * CHUNK_OVERHEAD_COST
        if count == 1:
            head = message_head(self.number, sequence, 0, 1, len(data))
            self.queue.append(Chunk(self.number, head, data, cost, len(head) + len(data)))
        else:
            for index in range(count):
                part = data[index * MAX_CHUNK_BYTES : (index + 1) * MAX_CHUNK_BYTES]
                head = message_head(self.number, sequence, index, count, len(part))
                self.queue.append(Chunk(self.number, head, part, 0 if index else cost, len(head) + len(part)))
        self.backlog += len(data)
        if self.backlog > LANE_LOW_WATER_BYTES:
            self.was_high = True
        return len(data)

    def on_acknowledged(self, chunk: Chunk) -> bool:
        """Returns whether the backlog has just fallen to the low water mark."""
        self.backlog -= len(chunk.data)
        if self.was_high and self.backlog <= LANE_LOW_WATER_BYTES:
            self.was_high = False
            return True
        return False
