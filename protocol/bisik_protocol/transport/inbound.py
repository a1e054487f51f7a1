"""Messages in: reassembly, order within a lane, exactly once, and the credit that bounds all of it."""

from typing import Final

from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.transport.chunks import CHUNK_OVERHEAD_COST
from bisik_protocol.transport.control import ControlFrames
from bisik_protocol.transport.events import MessageReceived
from bisik_protocol.wire.frames import MAX_DATA, MAX_LANE_DATA, Message, encode_max_data, encode_max_lane_data

LANE_WINDOW: Final = 160 * 1024  # cost, see CHUNK_OVERHEAD_COST, beyond what the application has taken
CONNECTION_WINDOW: Final = 256 * 1024
MAX_LANES: Final = 128


class Credit:
    """What the far side may spend: everything the application has taken, and a window beyond."""

    __slots__ = ("_window", "buffered", "limit", "taken")

    def __init__(self, window: int) -> None:
        self._window = window
        self.buffered = 0  # received, not yet taken by the application
        self.taken = 0
        self.limit = window  # as last told

    def on_received(self, cost: int) -> None:
        self.buffered += cost
        if self.buffered > self._window:
            raise RemoteProtocolError("flow-control")

    def on_taken(self, cost: int) -> bool:
        """Returns whether a new limit should be told: at half a window, so that nobody waits for it."""
        self.buffered -= cost
        self.taken += cost
        if self.limit - self.taken > self._window // 2:
            return False
        self.limit = self.taken + self._window
        return True


class ReceiveLane:
    """One lane in. Messages leave it in order, several at once where a gap was filled."""

    __slots__ = ("_ahead", "_next", "credit")

    def __init__(self) -> None:
        self._next = 0
        self._ahead: dict[int, list[bytes | None]] = {}
        self.credit = Credit(LANE_WINDOW)

    def receive_untrusted(self, frame: Message) -> tuple[int, list[tuple[bytes, int]]]:
        """Take a frame: the cost of what was new (0: a duplicate), and the (message, cost) pairs now in order.

        Raises RemoteProtocolError for a message cut in two ways or beyond its credit.
        """
        if frame.sequence < self._next:
            return 0, []
        cost = len(frame.data) + CHUNK_OVERHEAD_COST
        if frame.sequence == self._next and frame.count == 1 and not self._ahead:  # nearly every message
            self.credit.on_received(cost)
            self._next += 1
            return cost, [(frame.data, cost)]
        parts = self._ahead.get(frame.sequence)
        if parts is None:
            parts = [None] * frame.count
        elif len(parts) != frame.count:
            raise RemoteProtocolError("fragment")
        if parts[frame.index] is not None:
            return 0, []
        self.credit.on_received(cost)
        parts[frame.index] = frame.data
        self._ahead[frame.sequence] = parts
        return cost, self._in_order()

    def _in_order(self) -> list[tuple[bytes, int]]:
        ready: list[tuple[bytes, int]] = []
        while (parts := self._ahead.get(self._next)) is not None:
            if None in parts:
                break
            whole = [part for part in parts if part is not None]
            data = b"".join(whole)
            ready.append((data, len(data) + CHUNK_OVERHEAD_COST * len(whole)))
            del self._ahead[self._next]
            self._next += 1
        return ready


class Inbound:
    """All lanes in, and the credit over all of them."""

    __slots__ = ("_controls", "_credit", "_lanes")

    def __init__(self, controls: ControlFrames) -> None:
        """New credit is put into `controls`."""
        self._controls = controls
        self._credit = Credit(CONNECTION_WINDOW)
        self._lanes: dict[int, ReceiveLane] = {}

    def receive_untrusted(self, frame: Message) -> list[MessageReceived]:
        """The messages that are now in order."""
        number = frame.lane
        lane = self._lanes.get(number)
        if lane is None:
            if len(self._lanes) >= MAX_LANES:
                raise RemoteProtocolError("lanes")
            lane = self._lanes[number] = ReceiveLane()
        cost, messages = lane.receive_untrusted(frame)
        if cost:
            self._credit.on_received(cost)
        return [MessageReceived(lane=number, data=data, cost=cost) for data, cost in messages]

    def on_taken(self, message: MessageReceived) -> bool:
        """The application took a message; returns whether there is new credit to tell."""
        tell = False
        if self._credit.on_taken(message.cost):
            self._controls.put((MAX_DATA, 0), encode_max_data(self._credit.limit))
            tell = True
        credit = self._lanes[message.lane].credit
        if credit.on_taken(message.cost):
            self._controls.put((MAX_LANE_DATA, message.lane), encode_max_lane_data(message.lane, credit.limit))
            tell = True
        return tell
