"""Two connections and a link between them: every message once, in its lane's order, whatever the link does."""

import pytest

from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.events import LaneDrained
from bisik_protocol.transport.inbound import CONNECTION_WINDOW, LANE_WINDOW
from bisik_protocol.transport.mtu import SIZES
from bisik_protocol.transport.outbound import LANE_LOW_WATER_BYTES, MAX_MESSAGE_BYTES
from tests.support.pair import Pair
from tests.support.simnet import Conditions

ROUGH = Conditions(loss=0.2, duplicate=0.1, reorder=0.2, corrupt=0.05, truncate=0.02, jitter=0.02)


def by_lane(deliveries: list[tuple[float, int, bytes]]) -> dict[int, list[bytes]]:
    lanes: dict[int, list[bytes]] = {}
    for _, lane, data in deliveries:
        lanes.setdefault(lane, []).append(data)
    return lanes


def settle(pair: Pair, limit: float = 60.0) -> None:
    """Run until both ends know that everything arrived, and nothing is in flight."""

    def is_settled() -> bool:
        return all(
            stats.backlog_bytes == 0 and stats.in_flight_bytes == 0
            for stats in (pair.client.stats(pair.net.now), pair.server.stats(pair.net.now))
        )

    pair.net.run(is_settled, limit)


def test_one_datagram_a_message_on_a_clean_link() -> None:
    """A message each 200 ms costs a datagram each, and an acknowledgement each, and nothing is repaired."""
    pair = Pair(conditions=Conditions(jitter=0.005))
    pair.send(pair.client, 1, b"the first")
    settle(pair)
    up, down = pair.up.counts["offered"], pair.down.counts["offered"]
    for number in range(100):
        pair.send(pair.client, 1, b"%d" % number)
        pair.net.run_for(0.2)
    assert pair.up.counts["offered"] - up == 100
    assert pair.down.counts["offered"] - down == 100
    assert pair.client.stats(pair.net.now).repair_datagrams == 0
    assert len(pair.to_server) == 101


def test_a_message_takes_half_a_round_trip() -> None:
    """On a clean link nothing waits for anything."""
    pair = Pair()
    for number in range(20):
        at = pair.net.now
        pair.send(pair.client, 1, b"%d" % number)
        pair.net.run_for(0.2)
        assert pair.to_server[-1][0] - at == pytest.approx(0.05)


def test_messages_sent_together_share_a_datagram() -> None:
    """Small ones that are queued at once go out at once."""
    pair = Pair()
    settle(pair)
    up = pair.up.counts["offered"]
    for number in range(8):
        pair.client.send(number % 3, b"%d" % number)
    pair.net.poke(pair.client)
    settle(pair)
    assert pair.up.counts["offered"] - up == 1
    assert len(pair.to_server) == 8


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_each_message_arrives_once_and_in_order(seed: int, loss: float) -> None:
    """Both ways, over three lanes, with duplication, reordering and damage as well."""
    pair = Pair(seed, Conditions(loss=loss, duplicate=0.05, reorder=0.1, corrupt=0.03, truncate=0.02))
    sent: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    for number in range(100):
        sent[number % 3].append(b"message %d" % number)
        for end in (pair.client, pair.server):
            pair.send(end, number % 3, b"message %d" % number)
        pair.net.run_for(0.02)
    pair.net.run(lambda: len(pair.to_server) >= 100 and len(pair.to_client) >= 100, 60.0)
    settle(pair)
    assert by_lane(pair.to_server) == by_lane(pair.to_client) == sent


@pytest.mark.parametrize("seed", range(10))
def test_a_loss_in_one_lane_never_delays_another(seed: int) -> None:
    """Lane 1's message is lost; lane 2's, sent right behind it, arrives as if nothing were."""
    pair = Pair(seed)
    settle(pair)
    pair.up.conditions.cut = True
    pair.send(pair.client, 1, b"lost")
    pair.net.run_for(0.02)
    pair.up.conditions.cut = False
    at = pair.net.now
    pair.send(pair.client, 2, b"next")
    pair.net.run(lambda: (2, b"next") in {(lane, data) for _, lane, data in pair.to_server})
    assert pair.net.now - at == pytest.approx(0.05)
    pair.net.run(lambda: len(pair.to_server) == 2, 5.0)
    assert by_lane(pair.to_server) == {1: [b"lost"], 2: [b"next"]}


def test_a_gap_in_a_lane_holds_back_that_lane_only() -> None:
    """Within the lane what comes behind the gap waits, and comes out with it, in order."""
    pair = Pair()
    settle(pair)
    pair.up.conditions.cut = True
    pair.send(pair.client, 1, b"first")
    pair.net.run_for(0.01)
    pair.up.conditions.cut = False
    pair.send(pair.client, 1, b"second")
    pair.net.run_for(0.06)
    assert pair.to_server == []
    settle(pair)
    assert by_lane(pair.to_server) == {1: [b"first", b"second"]}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [1, 1080, 1081, 5000, MAX_MESSAGE_BYTES])
def test_messages_of_any_size_arrive_whole(size: int, seed: int) -> None:
    """From one byte to 64 KiB over a rough link; no datagram is above what Ethernet carries."""
    pair = Pair(seed, ROUGH)
    largest = 0

    def tap(source: object, target: object, datagram: bytes) -> None:
        nonlocal largest
        largest = max(largest, len(datagram))

    pair.net.tap = tap
    message = bytes(i * 7 % 251 for i in range(size))
    pair.send(pair.client, 1, message)
    settle(pair, 120.0)
    assert [data for _, _, data in pair.to_server] == [message]
    assert largest <= SIZES[0]


@pytest.mark.parametrize("loss", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_large_messages_on_many_lanes_never_block_each_other(seed: int, loss: float) -> None:
    """More large messages at once than the credit pays for: all arrive, since what is begun is paid for."""
    pair = Pair(seed, Conditions(loss=loss, delay=0.01))
    for number in range(24):
        pair.client.send(number % 8, bytes((number,)) * MAX_MESSAGE_BYTES)
    pair.net.poke(pair.client)
    pair.net.run(lambda: len(pair.to_server) == 24, 300.0)
    settle(pair)
    assert all(
        [data[0] for data in messages] == [lane, lane + 8, lane + 16]
        for lane, messages in by_lane(pair.to_server).items()
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_long_transfer_with_losses_never_runs_out_of_credit(seed: int) -> None:
    """Lost and overtaken credit frames do not add up to a sender that waits for ever."""
    pair = Pair(seed, Conditions(loss=0.1, reorder=0.1, delay=0.005))
    for number in range(1500):
        pair.client.send(number % 2, b"%04d" % number * 250)
    pair.net.poke(pair.client)
    pair.net.run(lambda: len(pair.to_server) == 1500, 300.0)
    settle(pair)


def test_lanes_share_the_link_while_one_has_bulk() -> None:
    """A small message on another lane does not wait behind half a megabyte."""
    pair = Pair(conditions=Conditions(rate=125_000, queue=10.0))
    for _ in range(8):
        pair.client.send(1, bytes(MAX_MESSAGE_BYTES))
    pair.net.poke(pair.client)
    pair.net.run_for(1.0)
    at = pair.net.now
    pair.send(pair.client, 2, b"hello")
    pair.net.run(lambda: any(lane == 2 for _, lane, _ in pair.to_server))
    assert pair.net.now - at < 1.0
    assert len(pair.to_server) < 8


def fill(pair: Pair, lane: int, messages: int) -> None:
    """Messages of 1000 bytes and what they cost, until the far side's application stops taking."""
    for number in range(messages):
        pair.client.send(lane, b"%04d" % number * 250)
    pair.net.poke(pair.client)


def test_flow_control_stops_a_sender_whose_reader_does_not_take() -> None:
    """What is sent for the first time stays within the lane's window; then nothing goes but keepalives."""
    pair = Pair()
    pair.taking = False
    fill(pair, 1, 1000)
    pair.net.run_for(30.0)
    arrived = pair.up.counts["bytes"]
    assert LANE_WINDOW * 0.9 < arrived < LANE_WINDOW * 1.1
    assert pair.client.backlog(1) > 800_000
    pair.net.run_for(600.0)
    assert pair.up.counts["bytes"] - arrived < 2000


def test_a_stopped_sender_resumes_when_its_reader_takes() -> None:
    """Nothing is lost by the stop, and the far side is not asked to find out by itself."""
    pair = Pair()
    pair.taking = False
    fill(pair, 1, 1000)
    pair.net.run_for(300.0)
    pair.taking = True
    pair.take()
    at = pair.net.now
    pair.net.run(lambda: len(pair.to_server) == 1000, 60.0)
    assert pair.net.now - at < 10.0
    assert [data[:4] for _, _, data in pair.to_server] == [b"%04d" % number for number in range(1000)]


def test_a_lane_whose_credit_is_used_up_does_not_stop_the_others() -> None:
    """Its sender's bulk waits; another lane's messages go, as far as the connection's credit pays."""
    pair = Pair()
    pair.taking = False
    fill(pair, 1, 1000)
    pair.net.run_for(10.0)
    pair.send(pair.client, 2, b"hello")
    pair.net.run_for(1.0)
    pair.taking = True
    pair.take()
    assert 2 in by_lane(pair.to_server)


def test_all_lanes_together_stay_within_the_connections_credit() -> None:
    """A reader that takes nothing holds no more than the connection's window."""
    pair = Pair()
    pair.taking = False
    for lane in range(6):
        fill(pair, lane, 200)
    pair.net.run_for(60.0)
    pair.taking = True
    at_once = pair.to_server
    pair.take()
    assert CONNECTION_WINDOW * 0.9 < sum(len(data) + 64 for _, _, data in at_once) <= CONNECTION_WINDOW


@pytest.mark.parametrize("end", ["client", "server"])
def test_a_drained_lane_is_told(end: str) -> None:
    """Backlog counts what is queued and unacknowledged; when it is down to the low water mark, the sender is told."""
    pair = Pair()
    sender: Connection = getattr(pair, end)
    events = pair.client_events if end == "client" else pair.server_events
    for _ in range(100):
        sender.send(3, bytes(1000))
    assert sender.backlog(3) == 100_000
    assert sender.backlog(4) == 0
    pair.net.poke(sender)
    pair.net.run(lambda: bool(events))
    assert events == [LaneDrained(lane=3)]
    assert sender.backlog(3) <= LANE_LOW_WATER_BYTES
    settle(pair)
    assert sender.backlog(3) == 0
    assert len(events) == 1


def test_a_lane_that_never_filled_does_not_drain() -> None:
    """Below the mark there is nothing to tell."""
    pair = Pair()
    for _ in range(30):
        pair.send(pair.client, 3, bytes(1000))
    settle(pair)
    assert pair.client_events == []
