"""Messages in: order, exactly once, fragments in any order, and the credit that bounds what is kept."""

import random
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.transport.chunks import CHUNK_OVERHEAD_COST
from bisik_protocol.transport.control import ControlFrames
from bisik_protocol.transport.events import MessageReceived
from bisik_protocol.transport.inbound import CONNECTION_WINDOW, LANE_WINDOW, MAX_LANES, Inbound
from bisik_protocol.wire.frames import MAX_FRAGMENTS, MaxData, MaxLaneData, Message, parse_frames_untrusted


def whole(sequence: int, data: bytes = b"x", lane: int = 0) -> Message:
    return Message(lane, sequence, 0, 1, data)


def part(sequence: int, index: int, count: int, data: bytes) -> Message:
    return Message(0, sequence, index, count, data)


def arrive(inbound: Inbound, *frames: Message) -> list[bytes]:
    """The messages that came out, in their order."""
    return [message.data for frame in frames for message in inbound.receive_untrusted(frame)]


A, B, C = whole(0, b"a"), whole(1, b"b"), whole(2, b"c")
P0, P1, P2 = part(0, 0, 3, b"x"), part(0, 1, 3, b"y"), part(0, 2, 3, b"z")

# (what the row shows, frames in the order of arrival, messages in the order of delivery)
TABLE: list[tuple[str, list[Message], list[bytes]]] = [
    ("in order", [A, B, C], [b"a", b"b", b"c"]),
    ("a repeat of the newest", [A, A, B, B], [b"a", b"b"]),
    ("an old repeat", [A, B, C, A], [b"a", b"b", b"c"]),
    ("a gap holds back what is behind it", [B, C], []),
    ("a filled gap lets out all behind it", [C, B, A], [b"a", b"b", b"c"]),
    ("a repeat of what waits", [B, B, A, B], [b"a", b"b"]),
    ("fragments in order", [P0, P1, P2], [b"xyz"]),
    ("fragments backwards", [P2, P1, P0], [b"xyz"]),
    ("fragments repeated", [P1, P1, P0, P1, P2, P2, P0], [b"xyz"]),
    ("a fragment missing", [P0, P2, B], []),
    ("a message behind fragments", [B, P2, P0, P1], [b"xyz", b"b"]),
    ("fragments behind a message", [A, part(1, 1, 2, b"w"), part(1, 0, 2, b"v"), C], [b"a", b"vw", b"c"]),
]


@pytest.mark.parametrize(("frames", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_arrivals_become_messages(frames: list[Message], expected: list[bytes]) -> None:
    """The frames of the row, in their order, give these messages, in this order and once each."""
    assert arrive(Inbound(ControlFrames()), *frames) == expected


def test_every_order_of_arrival_gives_the_same_messages() -> None:
    """Five frames, one message of them fragmented, in all 120 orders."""
    frames = [A, part(1, 0, 2, b"v"), part(1, 1, 2, b"w"), C, whole(3, b"d")]
    for order in permutations(frames):
        assert arrive(Inbound(ControlFrames()), *order) == [b"a", b"vw", b"c", b"d"]


def test_lanes_do_not_wait_for_each_other() -> None:
    """A message missing in one lane holds back nothing of another."""
    inbound = Inbound(ControlFrames())
    assert arrive(inbound, whole(1, b"late", lane=1)) == []
    assert arrive(inbound, whole(0, b"other", lane=2), whole(1, b"lane", lane=2)) == [b"other", b"lane"]
    assert arrive(inbound, whole(0, b"gap", lane=1)) == [b"gap", b"late"]


@pytest.mark.parametrize("second", [part(0, 0, 2, b"x"), part(0, 1, 4, b"x"), whole(0, b"x")])
def test_a_message_cut_in_two_ways_is_refused(second: Message) -> None:
    """Two fragments of one message that tell different counts are a violation."""
    inbound = Inbound(ControlFrames())
    arrive(inbound, P1)
    with pytest.raises(RemoteProtocolError, match="fragment"):
        inbound.receive_untrusted(second)


def test_more_lanes_than_allowed_are_refused() -> None:
    """Each lane costs memory for ever, so their number is bounded; the lanes that are there go on."""
    inbound = Inbound(ControlFrames())
    for lane in range(MAX_LANES):
        arrive(inbound, whole(0, lane=lane))
    with pytest.raises(RemoteProtocolError, match="lanes"):
        inbound.receive_untrusted(whole(0, lane=MAX_LANES))
    assert arrive(inbound, whole(1, b"on", lane=0)) == [b"on"]


def test_a_lane_beyond_its_credit_is_refused() -> None:
    """A sender that goes on though nothing is taken breaks the protocol, in order or not."""
    for first in (0, 1):
        inbound = Inbound(ControlFrames())
        data = bytes(1000)
        fitting = LANE_WINDOW // (1000 + CHUNK_OVERHEAD_COST)
        for sequence in range(first, first + fitting):
            inbound.receive_untrusted(whole(sequence, data))
        with pytest.raises(RemoteProtocolError, match="flow-control"):
            inbound.receive_untrusted(whole(first + fitting, data))


def test_all_lanes_together_beyond_the_connections_credit_are_refused() -> None:
    """Many lanes, each within its own credit, do not add up to more than the connection's."""
    inbound = Inbound(ControlFrames())
    data = bytes(1000)
    for number in range(CONNECTION_WINDOW // (1000 + CHUNK_OVERHEAD_COST)):
        inbound.receive_untrusted(whole(number // 4, data, lane=number % 4))
    with pytest.raises(RemoteProtocolError, match="flow-control"):
        inbound.receive_untrusted(whole(0, data, lane=5))


def test_tiny_messages_pay_for_the_memory_they_take() -> None:
    """A flood of one-byte messages is stopped after some thousands and not after a quarter of a million."""
    inbound = Inbound(ControlFrames())
    with pytest.raises(RemoteProtocolError, match="flow-control"):  # noqa: PT012 # which of them breaks it is the point
        for sequence in range(1, 5000):
            inbound.receive_untrusted(whole(sequence))
    assert sequence == LANE_WINDOW // (1 + CHUNK_OVERHEAD_COST) + 1


def test_repeats_cost_nothing() -> None:
    """A network that repeats every datagram a thousand times breaks no credit."""
    inbound = Inbound(ControlFrames())
    for _ in range(1000):
        assert arrive(inbound, whole(1, bytes(1000))) == []
        assert arrive(inbound, part(2, 1, 3, bytes(1000))) == []


def take(inbound: Inbound, message: MessageReceived, controls: ControlFrames) -> list[MaxData | MaxLaneData]:
    """Take a message, and the credit that is told for it."""
    assert inbound.on_taken(message) == bool(controls.waiting)
    told = [frame for _, encoded in controls.take(1000) for frame in parse_frames_untrusted(encoded)]
    return [frame for frame in told if isinstance(frame, MaxData | MaxLaneData)]


def test_credit_is_told_at_half_a_window() -> None:
    """Nothing is told while more than half is left; then a whole window beyond what was taken."""
    controls = ControlFrames()
    inbound = Inbound(controls)
    data = bytes(1000)
    cost = 1000 + CHUNK_OVERHEAD_COST
    told: list[tuple[int, MaxData | MaxLaneData]] = []
    for sequence in range(400):
        (message,) = inbound.receive_untrusted(whole(sequence, data))
        told += [((sequence + 1) * cost, credit) for credit in take(inbound, message, controls)]
    lane = [(taken, credit.limit) for taken, credit in told if isinstance(credit, MaxLaneData)]
    connection = [(taken, credit.limit) for taken, credit in told if isinstance(credit, MaxData)]
    for window, limits in ((LANE_WINDOW, lane), (CONNECTION_WINDOW, connection)):
        assert len(limits) == 400 * cost // (window // 2 + cost - (window // 2) % cost)
        before = window
        for taken, limit in limits:
            assert limit == taken + window
            assert before - taken <= window // 2 < before - taken + cost
            before = limit


def test_a_reader_that_takes_is_never_in_the_way() -> None:
    """Ten times the connection's window goes through in one lane when each message is taken at once."""
    inbound = Inbound(ControlFrames())
    for sequence in range(10 * CONNECTION_WINDOW // 1000):
        for message in inbound.receive_untrusted(whole(sequence, bytes(1000))):
            inbound.on_taken(message)


def test_a_fragmented_message_costs_what_its_fragments_cost() -> None:
    """Taking it gives back exactly what its fragments took: the credit never drifts."""
    inbound = Inbound(ControlFrames())
    for sequence in range(50):
        messages = [m for index in range(3) for m in inbound.receive_untrusted(part(sequence, index, 3, bytes(900)))]
        assert [message.cost for message in messages] == [3 * (900 + CHUNK_OVERHEAD_COST)]
        inbound.on_taken(messages[0])
    for sequence in range(50, 50 + LANE_WINDOW // (1000 + CHUNK_OVERHEAD_COST)):
        inbound.receive_untrusted(whole(sequence, bytes(1000)))  # a whole window fits again


@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), min_size=1, max_size=20))
def test_shuffled_and_repeated_frames_give_each_lane_its_messages(seed: int, shape: list[tuple[int, int]]) -> None:
    """Messages of any number of fragments over three lanes, shuffled, every frame twice: each once and in order."""
    frames: list[Message] = []
    expected: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    for number, (lane, count) in enumerate(shape):
        sequence = len(expected[lane])
        parts = [bytes((number, index)) for index in range(count)]
        frames += [Message(lane, sequence, index, count, data) for index, data in enumerate(parts)] * 2
        expected[lane].append(b"".join(parts))
    random.Random(seed).shuffle(frames)
    inbound = Inbound(ControlFrames())
    received: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    for frame in frames:
        for message in inbound.receive_untrusted(frame):
            received[message.lane].append(message.data)
    assert received == expected


any_frame = st.integers(1, MAX_FRAGMENTS).flatmap(
    lambda count: st.builds(
        Message,
        st.integers(0, 200),
        st.integers(0, 10),
        st.integers(0, count - 1),
        st.just(count),
        st.integers(1, 1150).map(bytes),
    )
)


@given(st.lists(any_frame, max_size=100))
def test_any_frames_give_messages_or_one_error(frames: list[Message]) -> None:
    """A hostile sender's frames raise nothing but RemoteProtocolError."""
    inbound = Inbound(ControlFrames())
    for frame in frames:
        try:
            messages = inbound.receive_untrusted(frame)
        except RemoteProtocolError:
            return
        assert all(message.lane == frame.lane for message in messages)
