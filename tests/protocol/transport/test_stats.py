"""What a connection tells about itself."""

import pytest

from tests.support.pair import Pair
from tests.support.simnet import Conditions


def test_a_quiet_pair_tells_of_a_clean_link() -> None:
    """After some messages nothing is owed, nothing was lost, and the round trip is the link's."""
    pair = Pair(conditions=Conditions(delay=0.04))
    for number in range(20):
        pair.send(pair.client, 1, b"%d" % number)
        pair.net.run_for(0.3)
    stats = pair.client.stats(pair.net.now)
    assert (stats.srtt_s, stats.min_rtt_s) == (pytest.approx(0.08), pytest.approx(0.08))
    assert (stats.loss_out, stats.loss_in, stats.packets_lost, stats.repair_datagrams) == (0, 0, 0, 0)
    assert (stats.in_flight_bytes, stats.backlog_bytes, stats.silence_s) == (0, 0, 0)
    assert stats.datagrams_sent == pair.up.counts["offered"]
    assert stats.datagrams_received == pair.down.counts["offered"]
    assert stats.bytes_sent == pair.up.counts["bytes"]
    assert stats.bytes_received == pair.down.counts["bytes"]


def test_what_is_queued_and_unanswered_is_told() -> None:
    """Behind a cut link the backlog, the bytes in flight and the silence grow."""
    pair = Pair()
    pair.net.run_for(1.0)
    pair.up.conditions.cut = True
    pair.send(pair.client, 1, bytes(1000))
    pair.net.run_for(2.0)
    stats = pair.client.stats(pair.net.now)
    assert stats.backlog_bytes == 1000
    assert stats.in_flight_bytes > 1000
    assert stats.repair_datagrams > 0
    assert stats.silence_s == pytest.approx(2.0, abs=0.1)


def test_loss_is_told_for_each_direction() -> None:
    """A link that loses one way only is seen so from both ends."""
    pair = Pair(3)
    pair.up.conditions.loss = 0.3
    for number in range(300):
        pair.send(pair.client, 1, b"%d" % number)
        pair.send(pair.server, 1, b"%d" % number)
        pair.net.run_for(0.05)
    client, server = pair.client.stats(pair.net.now), pair.server.stats(pair.net.now)
    assert client.loss_out == pytest.approx(0.3, abs=0.15)
    assert server.loss_in == pytest.approx(0.3, abs=0.15)
    assert client.loss_in < 0.05
    assert server.loss_out < 0.1
    assert client.packets_lost > 0
