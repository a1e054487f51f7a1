"""What goes into the next packet: the order of urgency, turns between lanes, and who may go beyond the window."""

import pytest

from bisik_protocol.transport.chunks import Chunk
from bisik_protocol.transport.congestion import CongestionWindow
from bisik_protocol.transport.inbound import CONNECTION_WINDOW, LANE_WINDOW
from bisik_protocol.transport.pacing import Pacer
from bisik_protocol.transport.repair import BUCKET_DATAGRAMS, LINEAR_S, MAX_THIN_BYTES, MAX_THIN_CHUNKS, Repair
from bisik_protocol.transport.rtt import RttEstimator
from bisik_protocol.transport.sending import SendQueue
from bisik_protocol.wire.packets import MIN_DATAGRAM_BYTES

ROOM = 1169  # for frames, in a datagram of 1200 bytes
NOW = 1000.0


class Sender:
    """A queue with its neighbours; `send` does to them what sending a packet does."""

    def __init__(self) -> None:
        self.window = CongestionWindow(MIN_DATAGRAM_BYTES)
        self.pacer = Pacer(self.window.window, NOW)
        self.rtt = RttEstimator()
        for _ in range(50):
            self.rtt.add_sample(0.1)
        self.repair = Repair(self.rtt, LINEAR_S, NOW)
        self.queue = SendQueue(self.window, self.pacer, self.rtt, self.repair)

    def choose(self, room: int = ROOM, now: float = NOW, loss: float = 0.0, unanswered: float = 0.0) -> list[Chunk]:
        return self.queue.choose(room, now, loss, unanswered)

    def send(self, now: float = NOW, loss: float = 0.0) -> list[Chunk]:
        chosen = self.choose(now=now, loss=loss)
        if chosen:
            size = sum(chunk.size for chunk in chosen) + MIN_DATAGRAM_BYTES - ROOM
            self.window.on_sent(size)
            self.pacer.on_sent(size)
        for chunk in chosen:
            chunk.copies += 1
            chunk.outstanding += 1
            chunk.first_sent = chunk.first_sent or now
            if chunk.thin:
                self.repair.on_copy_sent(chunk, now, loss, 0.0)
        return chosen

    def send_all(self, now: float = NOW) -> list[list[Chunk]]:
        packets = []
        while chosen := self.send(now):
            packets.append(chosen)
        return packets


def texts(chunks: list[Chunk]) -> list[bytes]:
    return [chunk.data[:8] for chunk in chunks]


def test_an_empty_queue_chooses_nothing() -> None:
    """And has nothing waiting, no backlog and no time to wait for."""
    sender = Sender()
    assert sender.choose() == []
    assert not sender.queue.is_waiting
    assert sender.queue.backlog == 0
    assert sender.queue.paced_until is None


def test_small_messages_go_together_in_the_order_of_their_lanes_turns() -> None:
    """As many as fit, one of each lane in turn."""
    sender = Sender()
    for lane in (1, 2):
        for number in range(3):
            sender.queue.push(lane, b"%d-%d" % (lane, number))
    assert texts(sender.send()) == [b"1-0", b"2-0", b"1-1", b"2-1", b"1-2", b"2-2"]
    assert not sender.queue.is_waiting


def test_what_does_not_fit_goes_in_the_next_packet() -> None:
    """A packet is filled up to its room and not beyond."""
    sender = Sender()
    for number in range(3):
        sender.queue.push(1, b"%d" % number * 500)
    assert [len(packet) for packet in sender.send_all()] == [2, 1]


def test_bulk_of_one_lane_does_not_keep_another_waiting() -> None:
    """A message on lane 2 behind a hundred packets of lane 1 is in the second packet."""
    sender = Sender()
    sender.queue.push(1, bytes(64 * 1024))
    sender.send()
    sender.queue.push(2, b"hello")
    assert b"hello" in [text for packet in (sender.send(), sender.send()) for text in texts(packet)]


def test_the_window_stops_bulk() -> None:
    """Ten datagrams go, and none is asked for by a timer: an acknowledgement has to come."""
    sender = Sender()
    sender.queue.push(1, bytes(64 * 1024))
    packets = sender.send_all()
    assert len(packets) == 10
    assert sender.queue.paced_until is None
    assert sender.queue.is_waiting


def test_pacing_tells_when_the_next_may_go() -> None:
    """With room in the window and an empty bucket, the time to wait is told, and then one goes."""
    sender = Sender()
    sender.window.window = 10 * sender.window.window
    sender.queue.push(1, bytes(64 * 1024))
    sender.send_all()
    until = sender.queue.paced_until
    assert until is not None
    assert until > NOW
    assert sender.choose(now=until)


def test_a_message_goes_beyond_a_full_window_while_the_bucket_pays() -> None:
    """Chat is not held up by bulk that filled the window; the bucket bounds how much of it."""
    sender = Sender()
    sender.window.on_sent(sender.window.window)
    sent = 0
    for _ in range(2 * BUCKET_DATAGRAMS):
        sender.queue.push(1, bytes(1000))
        for chunk in sender.send():
            sent += 1
            chunk.acknowledged = True
            sender.queue.on_acknowledged(chunk)
    assert sent == BUCKET_DATAGRAMS


def test_bulk_is_not_watched() -> None:
    """Only when what is left fits among the few small chunks that repair watches does it watch them."""
    sender = Sender()
    sender.queue.push(1, bytes(64 * 1024))
    packets = sender.send_all()
    assert not any(chunk.thin for packet in packets for chunk in packet)
    thin = Sender()
    thin.queue.push(1, bytes(1000))
    assert [chunk.thin for chunk in thin.send()] == [True]


def test_no_more_is_watched_than_allowed() -> None:
    """However many messages are sent one by one without an answer."""
    sender = Sender()
    for _ in range(100):
        sender.queue.push(1, bytes(500))
        sender.send()
    assert len(sender.repair.watched) <= MAX_THIN_CHUNKS
    assert sum(chunk.size for chunk in sender.repair.watched) <= MAX_THIN_BYTES


@pytest.mark.parametrize(("lanes", "window"), [(1, LANE_WINDOW), (4, CONNECTION_WINDOW)])
def test_credit_stops_what_is_sent_for_the_first_time(lanes: int, window: int) -> None:
    """A lane stops at its window, all together at the connection's; new credit lets exactly as much go."""
    sender = Sender()
    sender.window.window = 10**9
    for number in range(1200):
        sender.queue.push(number % lanes, bytes(1000))
    now = NOW
    for _ in range(2000):
        sender.send(now)
        now += 0.01
    assert window - 1064 < sender.queue.spent <= window
    assert sender.queue.paced_until is None
    sender.queue.limit += 3 * 1064
    sender.queue.lanes[0].limit += 3 * 1064
    before = sender.queue.spent
    while sender.send(now):
        now += 0.01
    assert sender.queue.spent - before in (2 * 1064, 3 * 1064)


def test_a_lane_without_credit_is_passed_over() -> None:
    """The others take their turns as if it were not there."""
    sender = Sender()
    sender.queue.push(1, b"stopped")
    sender.queue.lanes[1].limit = 0
    for lane in (2, 3):
        sender.queue.push(lane, b"lane %d" % lane)
    assert texts(sender.send()) == [b"lane 2", b"lane 3"]


def test_lost_bulk_goes_before_fresh_bulk() -> None:
    """What was sent before is what the receiver waits for."""
    sender = Sender()
    sender.queue.push(1, b"%08d" % 1 * 125 * 20)
    (first,) = sender.send()
    sender.queue.on_lost(first, NOW)
    assert sender.send()[0] is first


def test_lost_chunks_that_arrived_after_all_are_not_sent_again() -> None:
    """An acknowledgement that came late settles them."""
    sender = Sender()
    sender.queue.push(1, bytes(20_000))
    (first,) = sender.send()
    sender.queue.on_lost(first, NOW)
    first.acknowledged = True
    sender.queue.on_acknowledged(first)
    assert first not in sender.send()


def test_a_lost_message_is_due_at_once() -> None:
    """What repair watches is repaired when it is known to be lost, not when its time comes."""
    sender = Sender()
    sender.queue.push(1, b"chat")
    (chunk,) = sender.send()
    assert chunk.due > NOW
    sender.queue.on_lost(chunk, NOW + 0.01)
    assert sender.choose(now=NOW + 0.01) == [chunk]


def test_a_probe_goes_whatever_the_window_says() -> None:
    """Once, and not if it was acknowledged meanwhile."""
    sender = Sender()
    sender.queue.push(1, bytes(64 * 1024))
    packets = sender.send_all()
    probe = packets[0][0]
    sender.queue.probe = probe
    assert sender.choose() == [probe]
    assert sender.choose() == []
    sender.queue.probe = probe
    probe.acknowledged = True
    assert sender.choose() == []


def test_a_due_copy_goes_whatever_the_window_says_while_the_bucket_pays() -> None:
    """When the bucket is empty, its time is put off, never to a moment that has come."""
    sender = Sender()
    sender.queue.push(1, bytes(1000))
    (chunk,) = sender.send()
    sender.window.on_sent(sender.window.window)
    now = chunk.due
    copies = 0
    while sender.choose(now=now) == [chunk]:
        copies += 1
    assert copies == BUCKET_DATAGRAMS
    assert chunk.due > now


@pytest.mark.parametrize(("size", "datagrams"), [(100, 1), (1000, 4)])
def test_the_bucket_pays_for_datagrams_and_not_for_what_shares_one(size: int, datagrams: int) -> None:
    """Of four copies that are due at once, those that fit into the datagram of another cost nothing."""
    sender = Sender()
    for _ in range(4):
        sender.queue.push(1, bytes(size))
    sender.send_all()
    for _ in range(BUCKET_DATAGRAMS - datagrams):
        sender.repair.bucket.take(NOW)
    sender.repair.hurry(NOW)
    assert sum(len(packet) for packet in sender.send_all()) == 4
    assert not sender.repair.bucket.take(NOW)


def test_on_a_clean_link_nothing_is_carried_twice() -> None:
    """A packet that goes holds what is new and nothing else."""
    sender = Sender()
    sender.queue.push(1, b"first")
    sender.send()
    sender.queue.push(1, b"second")
    assert texts(sender.send()) == [b"second"]


def test_on_a_link_that_loses_a_packet_carries_what_is_unacknowledged() -> None:
    """As much of it as fits, the oldest first, behind what the packet is for."""
    sender = Sender()
    for text in (b"first", b"second"):
        sender.queue.push(1, text)
        sender.send(loss=0.3)
    sender.queue.push(1, b"third")
    assert texts(sender.send(loss=0.3)) == [b"third", b"first", b"second"]


def test_an_answer_carries_what_is_overdue() -> None:
    """The far side is heard and acknowledges nothing: what is sent to it anyway brings what it may have missed."""
    sender = Sender()
    sender.queue.push(1, b"unheard")
    (chunk,) = sender.send()
    chunk.due = NOW + 3600.0
    assert sender.queue.choose(ROOM, NOW, 0.0, 0.05, answering=True) == []
    assert sender.queue.choose(ROOM, NOW, 0.0, 1.0, answering=True) == [chunk]
    assert sender.queue.choose(ROOM, NOW, 0.0, 1.0) == []


def test_an_acknowledged_message_is_watched_no_more() -> None:
    """Nor does it count against what may be watched, or in the backlog."""
    sender = Sender()
    sender.queue.push(1, b"chat")
    (chunk,) = sender.send()
    assert sender.queue.backlog == 4
    chunk.acknowledged = True
    assert sender.queue.on_acknowledged(chunk) is None
    assert sender.repair.watched == []
    assert sender.queue.backlog == 0
