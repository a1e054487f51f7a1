"""Cutting messages into chunks, what they cost, and how much of a lane is still owed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.errors import LocalProtocolError
from bisik_protocol.transport.chunks import CHUNK_OVERHEAD_COST
from bisik_protocol.transport.inbound import CONNECTION_WINDOW, LANE_WINDOW, ReceiveLane
from bisik_protocol.transport.outbound import (
    LANE_LOW_WATER_BYTES,
    MAX_CHUNK_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_MESSAGE_COST,
    SendLane,
)
from bisik_protocol.wire.frames import MAX_FRAGMENTS, Message, parse_frames_untrusted
from bisik_protocol.wire.packets import HEADER_BYTES, MIN_DATAGRAM_BYTES, TAG_BYTES


def frames_of(lane: SendLane) -> list[Message]:
    """The frames of everything queued, as the far side reads them."""
    parsed = [parse_frames_untrusted(chunk.head + chunk.data) for chunk in lane.queue]
    frames = [frame for (frame,) in parsed if isinstance(frame, Message)]
    assert len(frames) == len(lane.queue)
    return frames


@pytest.mark.parametrize(
    ("size", "count"),
    [
        (1, 1),
        (MAX_CHUNK_BYTES, 1),
        (MAX_CHUNK_BYTES + 1, 2),
        (2 * MAX_CHUNK_BYTES, 2),
        (2 * MAX_CHUNK_BYTES + 1, 3),
        (MAX_MESSAGE_BYTES, 61),
    ],
)
def test_messages_are_cut_into_chunks(size: int, count: int) -> None:
    """As few fragments as fit into a datagram each, and a whole message is not marked as a fragment."""
    lane = SendLane(3)
    lane.push(bytes(size))
    frames = frames_of(lane)
    assert [(frame.lane, frame.sequence, frame.index, frame.count) for frame in frames] == [
        (3, 0, index, count) for index in range(count)
    ]
    assert sum(len(frame.data) for frame in frames) == size
    assert count <= MAX_FRAGMENTS


@pytest.mark.parametrize("size", [0, MAX_MESSAGE_BYTES + 1])
def test_messages_of_no_size_or_too_much_are_our_own_mistake(size: int) -> None:
    """An empty message and one above 64 KiB raise, and leave nothing queued."""
    lane = SendLane(0)
    with pytest.raises(LocalProtocolError):
        lane.push(bytes(size))
    assert (len(lane.queue), lane.backlog, lane.sequence) == (0, 0, 0)


def test_every_chunk_fits_into_a_datagram_with_room_for_an_acknowledgement() -> None:
    """Even on a lane and with a sequence of eight bytes each."""
    lane = SendLane(2**40)
    lane.sequence = 2**40
    lane.push(bytes(MAX_MESSAGE_BYTES))
    for chunk in lane.queue:
        assert chunk.size + HEADER_BYTES + TAG_BYTES + 50 <= MIN_DATAGRAM_BYTES


def test_messages_of_a_lane_are_numbered_in_order() -> None:
    """Sequence numbers count messages and not fragments."""
    lane = SendLane(0)
    for size in (10, 3000, 10):
        lane.push(bytes(size))
    assert [frame.sequence for frame in frames_of(lane)] == [0, 1, 1, 1, 2]


def test_the_first_fragment_pays_for_the_message() -> None:
    """What is begun can be finished: the windows pay for all of it when its first fragment goes."""
    lane = SendLane(0)
    lane.push(bytes(3 * MAX_CHUNK_BYTES))
    assert [chunk.cost for chunk in lane.queue] == [3 * (MAX_CHUNK_BYTES + CHUNK_OVERHEAD_COST), 0, 0]


@given(st.integers(1, MAX_MESSAGE_BYTES))
def test_both_ends_count_the_same_cost(size: int) -> None:
    """What the sender spends on a message is what the receiver counts when it has all of it."""
    sender, receiver = SendLane(0), ReceiveLane()
    sender.push(bytes(size))
    messages: list[tuple[bytes, int]] = []
    for frame in frames_of(sender):
        messages += receiver.receive_untrusted(frame)[1]
    ((data, cost),) = messages
    assert len(data) == size
    assert sum(chunk.cost for chunk in sender.queue) == cost == receiver.credit.buffered <= MAX_MESSAGE_COST


@pytest.mark.parametrize("window", [LANE_WINDOW, CONNECTION_WINDOW])
def test_credit_is_told_before_a_message_could_wait_for_it(window: int) -> None:
    """New credit is told at half a window, so half a window has to pay for the largest message."""
    assert window // 2 >= MAX_MESSAGE_COST


def test_backlog_counts_until_it_is_acknowledged() -> None:
    """Queued and sent bytes count alike; only an acknowledgement takes them off."""
    lane = SendLane(0)
    assert lane.push(bytes(2000)) == 2000
    first, second = lane.queue
    lane.queue.clear()
    assert lane.backlog == 2000
    lane.on_acknowledged(first)
    assert lane.backlog == 2000 - MAX_CHUNK_BYTES
    lane.on_acknowledged(second)
    assert lane.backlog == 0


def test_draining_is_told_once_each_time_the_backlog_falls_to_the_low_water_mark() -> None:
    """A lane that was never above the mark has not drained; one that was is told once until it is above again."""
    lane = SendLane(0)
    lane.push(bytes(LANE_LOW_WATER_BYTES))
    assert not any(list(map(lane.on_acknowledged, lane.queue)))
    for _ in range(2):
        lane.queue.clear()
        lane.push(bytes(LANE_LOW_WATER_BYTES + 1))
        told = [lane.on_acknowledged(chunk) for chunk in lane.queue]
        assert told == [True] + [False] * (len(told) - 1)
