"""What a connection does when little or nothing comes: keepalives, outages, partitions, sleep, and giving up."""

import pytest

from bisik_protocol.transport.config import TransportConfig
from bisik_protocol.transport.events import CloseCode
from bisik_protocol.transport.repair import LINEAR_S, MAX_INTERVAL_S
from tests.protocol.transport.test_delivery import by_lane, settle
from tests.support.pair import Pair
from tests.support.simnet import Conditions

HOUR_S = 3600.0


def cut(pair: Pair, *, up: bool, down: bool) -> None:
    pair.up.conditions.cut = up
    pair.down.conditions.cut = down


def settled_pair(seed: int = 0, conditions: Conditions | None = None, **configs: TransportConfig) -> Pair:
    """A pair that has talked a little: both ends know the round trip and owe each other nothing."""
    pair = Pair(seed, conditions, **configs)
    for number in range(5):
        pair.send(pair.client, 1, b"%d" % number)
        pair.send(pair.server, 1, b"%d" % number)
        pair.net.run_for(0.3)
    settle(pair)
    pair.to_client.clear()
    pair.to_server.clear()
    return pair


def offered(pair: Pair) -> tuple[int, int]:
    return pair.up.counts["offered"], pair.down.counts["offered"]


@pytest.mark.parametrize("loss", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_when_all_is_said_the_link_falls_silent(seed: int, loss: float) -> None:
    """All is acknowledged, nothing is in flight, and nobody acknowledges acknowledgements."""
    pair = Pair(seed, Conditions(loss=loss, duplicate=0.1, reorder=0.1))
    for number in range(50):
        pair.send(pair.client, number % 3, b"%d" % number)
        pair.send(pair.server, number % 3, b"%d" % number)
        pair.net.run_for(0.05)
    settle(pair)
    pair.net.run_for(1.0)  # what is still on its way
    settle(pair)
    before = offered(pair)
    pair.net.run_for(20.0)
    assert offered(pair) == before


@pytest.mark.parametrize("seed", range(10))
def test_a_lost_keepalive_that_was_made_up_for_is_no_silence(seed: int) -> None:
    """Once its repeat was answered nothing is owed to us, although the first one never arrives."""
    pair = settled_pair(seed, Conditions(jitter=0.02))
    cut(pair, up=True, down=False)
    before = pair.up.counts["lost"]
    pair.net.run(lambda: pair.up.counts["lost"] > before, 30.0)
    cut(pair, up=False, down=False)
    pair.net.run_for(15.0)
    stats = pair.client.stats(pair.net.now)
    assert stats.in_flight_bytes == 0
    assert stats.silence_s == 0


def test_keepalives_hold_the_way_open() -> None:
    """An idle hour costs a small packet and its answer each 25 seconds, and nothing more."""
    pair = settled_pair()
    before, size = offered(pair), pair.up.counts["bytes"]
    pair.net.run_for(HOUR_S)
    up, down = offered(pair)
    assert up - before[0] == down - before[1] == HOUR_S // 25
    assert (pair.up.counts["bytes"] - size) / (up - before[0]) < 50


def test_on_a_link_of_seconds_an_unanswered_question_is_asked_again() -> None:
    """Its probe is due after what is in flight has been given up; the next keepalive would be a long time to wait."""
    pair = settled_pair(conditions=Conditions(delay=5.0))
    assert pair.client.stats(pair.net.now).srtt_s > LINEAR_S * 0.9
    cut(pair, up=True, down=True)
    before = offered(pair)[0]
    pair.net.run(lambda: offered(pair)[0] > before, 30.0)
    asked_at = pair.net.now
    pair.net.run(lambda: offered(pair)[0] > before + 1, 60.0)
    assert pair.net.now - asked_at < 20.0
    assert pair.client.stats(pair.net.now).in_flight_bytes > 0


def test_without_a_keepalive_an_idle_connection_is_silent() -> None:
    """A server waits for its clients to speak."""
    pair = settled_pair(client_config=TransportConfig())
    before = offered(pair)
    pair.net.run_for(HOUR_S)
    assert offered(pair) == before


def test_talk_makes_keepalives_unnecessary() -> None:
    """Who sends something each 20 seconds sends no keepalive between."""
    pair = settled_pair()
    before = offered(pair)
    for number in range(30):
        pair.send(pair.client, 1, b"%d" % number)
        pair.net.run_for(20.0)
    assert offered(pair)[0] - before[0] == 30


@pytest.mark.parametrize("outage", [1.0, 5.0, 60.0])
@pytest.mark.parametrize("seed", range(3))
def test_after_an_outage_what_waited_arrives_at_once(seed: int, outage: float) -> None:
    """Both ends spoke into a dead link; when it is back, all is there within a round trip and a bit."""
    pair = settled_pair(seed)
    cut(pair, up=True, down=True)
    for number in range(5):
        pair.send(pair.client, 1, b"up %d" % number)
        pair.send(pair.server, 1, b"down %d" % number)
        pair.net.run_for(outage / 5)
    cut(pair, up=False, down=False)
    back = pair.net.now
    pair.net.run(lambda: len(pair.to_server) == len(pair.to_client) == 5, 5.0)
    assert pair.net.now - back <= 0.1 + 0.11
    assert by_lane(pair.to_server) == {1: [b"up %d" % number for number in range(5)]}
    settle(pair)


def test_bulk_goes_on_after_an_outage() -> None:
    """A transfer that was cut in the middle for a minute is complete soon after."""
    pair = settled_pair()
    for number in range(400):
        pair.client.send(1, b"%04d" % number * 250)
    pair.net.poke(pair.client)
    pair.net.run_for(0.5)
    cut(pair, up=True, down=True)
    pair.net.run_for(60.0)
    cut(pair, up=False, down=False)
    back = pair.net.now
    pair.net.run(lambda: len(pair.to_server) == 400, 60.0)
    assert pair.net.now - back < 15.0
    settle(pair)


@pytest.mark.parametrize("end", ["client", "server"])
def test_a_day_of_silence_costs_a_bounded_trickle_and_no_memory(end: str) -> None:
    """One message that nobody answers: at most a datagram in three seconds, and nothing piles up in flight."""
    pair = settled_pair(server_config=TransportConfig())
    cut(pair, up=True, down=True)
    sender = getattr(pair, end)
    link = pair.up if end == "client" else pair.down
    pair.send(sender, 1, b"anybody?")
    pair.net.run_for(HOUR_S)
    before = link.counts["offered"]
    pair.net.run_for(6 * HOUR_S)
    assert link.counts["offered"] - before <= 6 * HOUR_S / MAX_INTERVAL_S * 1.01
    assert sender.stats(pair.net.now).in_flight_bytes < 64 * 1024
    cut(pair, up=False, down=False)
    pair.net.run(lambda: bool(pair.to_server or pair.to_client), 2 * MAX_INTERVAL_S)
    settle(pair)


@pytest.mark.parametrize("dead", ["up", "down"])
def test_a_link_that_works_one_way_only_is_no_reason_to_flood_it(dead: str) -> None:
    """Who hears the far side but gets no answer goes on trying, ever more rarely, and nothing piles up."""
    pair = settled_pair()
    cut(pair, up=dead == "up", down=dead == "down")
    pair.send(pair.client, 1, b"from the client")
    pair.send(pair.server, 1, b"from the server")
    pair.net.run_for(HOUR_S)
    before = offered(pair)
    pair.net.run_for(HOUR_S)
    for count, earlier in zip(offered(pair), before, strict=True):
        assert count - earlier <= 2 * HOUR_S / MAX_INTERVAL_S
    for end in (pair.client, pair.server):
        assert end.stats(pair.net.now).in_flight_bytes < 64 * 1024
    cut(pair, up=False, down=False)
    back = pair.net.now
    pair.net.run(lambda: len(pair.to_server) == len(pair.to_client) == 1, 4 * MAX_INTERVAL_S)
    assert pair.net.now - back < 2 * MAX_INTERVAL_S
    settle(pair)


@pytest.mark.parametrize("dead", ["up", "down"])
def test_after_a_minute_of_one_way_outage_both_ends_recover(dead: str) -> None:
    """Whichever way was dead, what waited arrives soon after it is back."""
    pair = settled_pair()
    cut(pair, up=dead == "up", down=dead == "down")
    pair.send(pair.client, 1, b"from the client")
    pair.send(pair.server, 1, b"from the server")
    pair.net.run_for(60.0)
    cut(pair, up=False, down=False)
    back = pair.net.now
    pair.net.run(lambda: len(pair.to_server) == len(pair.to_client) == 1, 5.0)
    assert pair.net.now - back < 0.5
    settle(pair)


def test_a_sleeper_that_wakes_up_is_heard_at_once() -> None:
    """The client's machine sleeps for an hour; what was left unsent needs half a round trip after it wakes."""
    pair = settled_pair()
    pair.client.send(1, b"typed before the lid closed")
    asleep = pair.net.now
    pair.net.detach(("client", 1))
    pair.net.run_for(HOUR_S)
    pair.net.attach(pair.client, ("client", 1))
    pair.client.network_changed(pair.net.now)
    pair.net.poke(pair.client)
    pair.net.run(lambda: bool(pair.to_server), 5.0)
    assert pair.net.now - asleep - HOUR_S == pytest.approx(0.05)
    settle(pair)


@pytest.mark.parametrize("seed", range(10))
def test_a_sleeper_that_wakes_up_on_a_bad_link_tries_often(seed: int) -> None:
    """The hour slept through is no silence of the new link: lost first packets are repeated as in any talk."""
    pair = settled_pair(seed)
    pair.client.send(1, b"typed before the lid closed")
    pair.net.detach(("client", 1))
    pair.net.run_for(HOUR_S)
    pair.net.attach(pair.client, ("client", 1))
    cut(pair, up=True, down=True)
    pair.client.network_changed(pair.net.now)
    pair.net.poke(pair.client)
    pair.net.run_for(0.5)
    cut(pair, up=False, down=False)
    back = pair.net.now
    pair.net.run(lambda: bool(pair.to_server), 5.0)
    assert pair.net.now - back < 0.3


@pytest.mark.parametrize("jump", [1.0, 60.0, HOUR_S, 20 * HOUR_S])
def test_a_clock_that_jumps_ahead_loses_nothing(jump: float) -> None:
    """Messages on their way while time leaps: nothing spins, nothing is lost, and the talk goes on."""
    pair = settled_pair(conditions=Conditions(loss=0.2))
    for number in range(20):
        pair.send(pair.client, 1, b"%d" % number)
        pair.send(pair.server, 1, b"%d" % number)
        if number == 10:
            pair.net.now += jump
        pair.net.run_for(0.1)
    pair.net.run(lambda: len(pair.to_server) == len(pair.to_client) == 20, 30.0)
    settle(pair)


@pytest.mark.parametrize("end", ["client", "server"])
@pytest.mark.parametrize("length", [30.0, 600.0])
def test_an_outage_is_not_taken_for_a_round_trip(end: str, length: float) -> None:
    """A message arrived, its acknowledgement came minutes later: the link is no slower for it."""
    pair = settled_pair()
    sender = getattr(pair, end)
    pair.send(sender, 1, b"answered late")
    pair.net.run_for(0.06)
    pair.net.now += length
    pair.net.run_for(2.0)
    settle(pair)
    assert sender.stats(pair.net.now).srtt_s < 0.2
    at = pair.net.now
    pair.send(sender, 1, b"next")
    settle(pair)
    assert pair.net.now - at < 0.2


def test_a_first_round_trip_may_be_a_long_one() -> None:
    """Four seconds there and back from the beginning is a slow link and no outage: it is measured and believed."""
    pair = Pair(conditions=Conditions(delay=2.0))
    for number in range(10):
        pair.send(pair.client, 1, b"%d" % number)
        pair.net.run_for(5.0)
    assert pair.client.stats(pair.net.now).srtt_s == pytest.approx(4.0, abs=0.1)
    assert pair.client.stats(pair.net.now).min_rtt_s == pytest.approx(4.0, abs=0.1)
    before = pair.up.counts["offered"]
    pair.send(pair.client, 1, b"one datagram")
    pair.net.run_for(5.0)
    assert pair.up.counts["offered"] - before <= 2


def test_nobody_heard_for_the_idle_time_is_the_end() -> None:
    """The server gives up after its idle timeout, to the second, tells its program, and says nothing more."""
    pair = settled_pair(server_config=TransportConfig(idle_timeout_s=300.0))
    heard = pair.server.last_heard
    cut(pair, up=True, down=True)
    pair.net.run(lambda: pair.server.closed, 400.0)
    assert pair.net.now == pytest.approx(heard + 300.0)
    (closed,) = pair.server_events
    assert closed == pair.closed(pair.server_events)
    assert (closed.code, closed.by_peer) == (CloseCode.IDLE, False)
    before = offered(pair)[1]
    assert pair.server.finished
    pair.net.run_for(60.0)
    assert offered(pair)[1] == before
    assert pair.server.next_timeout() is None


def test_keepalives_keep_the_server_from_giving_up() -> None:
    """Idle for a day, with a keepalive each 25 seconds, over a link that loses a third."""
    pair = settled_pair(1, Conditions(loss=0.3), server_config=TransportConfig(idle_timeout_s=300.0))
    pair.net.run_for(12 * HOUR_S)
    assert not pair.server.closed
    pair.send(pair.server, 1, b"still there")
    pair.net.run(lambda: bool(pair.to_client), 10.0)
