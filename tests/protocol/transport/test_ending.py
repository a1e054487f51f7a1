"""How connections end: goodbyes that are heard through loss, by either side, at once, with things left unsaid."""

import pytest

from bisik_protocol.transport.closing import MAX_GOODBYES
from bisik_protocol.transport.events import CloseCode, Closed
from tests.protocol.transport.test_silence import settled_pair
from tests.support.pair import Pair
from tests.support.simnet import Conditions


def close(pair: Pair, *ends: str, code: CloseCode = CloseCode.NORMAL, reason: str = "") -> None:
    for end in ends:
        getattr(pair, end).close(code, reason)
    for end in ends:
        pair.net.poke(getattr(pair, end))


@pytest.mark.parametrize("end", ["client", "server"])
def test_both_ends_are_told_once(end: str) -> None:
    """The end that closes at once, the other when the goodbye arrives; code and reason come across."""
    pair = settled_pair()
    close(pair, end, code=CloseCode.GOING_AWAY, reason="back in a minute")
    ours, theirs = pair.client_events, pair.server_events
    if end == "server":
        ours, theirs = theirs, ours
    pair.net.run_for(5.0)
    assert ours == [Closed(code=CloseCode.GOING_AWAY, reason="back in a minute", by_peer=False)]
    assert theirs == [Closed(code=CloseCode.GOING_AWAY, reason="back in a minute", by_peer=True)]
    assert pair.client.finished
    assert pair.server.finished


def test_a_goodbye_and_its_answer_are_two_datagrams() -> None:
    """On a clean link nothing is repeated."""
    pair = settled_pair()
    up, down = pair.up.counts["offered"], pair.down.counts["offered"]
    close(pair, "client")
    pair.net.run_for(60.0)
    assert (pair.up.counts["offered"] - up, pair.down.counts["offered"] - down) == (1, 1)


@pytest.mark.parametrize("loss", [0.3, 0.5])
def test_goodbyes_are_heard_through_loss(loss: float) -> None:
    """Over a hundred connections at heavy loss, nearly every goodbye is heard, and every closer comes to its end."""
    heard = 0
    for seed in range(100):
        pair = Pair(seed, Conditions(loss=loss))
        pair.send(pair.client, 1, b"hello")
        pair.net.run_for(2.0)
        close(pair, "client")
        pair.net.run_for(30.0)
        assert pair.client.finished, f"seed {seed}"
        heard += pair.server.closed
    assert heard >= 98


def test_nobody_left_to_hear_it_is_no_reason_to_go_on() -> None:
    """A bounded number of goodbyes into a dead link, then the connection is over and no timer is left."""
    pair = settled_pair()
    pair.up.conditions.cut = True
    before = pair.up.counts["offered"]
    close(pair, "client")
    pair.net.run_for(60.0)
    assert pair.up.counts["offered"] - before == MAX_GOODBYES
    assert pair.client.finished
    assert pair.client.next_timeout() is None


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_both_may_close_at_once(loss: float) -> None:
    """Goodbyes that cross are answers to each other."""
    for seed in range(20):
        pair = Pair(seed, Conditions(loss=loss))
        close(pair, "client", "server")
        pair.net.run_for(30.0)
        assert pair.client.finished
        assert pair.server.finished
        assert len(pair.client_events) == len(pair.server_events) == 1


def test_what_was_not_sent_is_dropped_and_what_arrived_is_kept() -> None:
    """Messages that came before the goodbye are delivered; those queued behind a closed window are not waited for."""
    pair = settled_pair()
    for number in range(100):
        pair.client.send(1, b"%04d" % number * 250)
    pair.net.poke(pair.client)
    pair.net.run_for(0.11)
    close(pair, "client")
    pair.net.run_for(5.0)
    assert 0 < len(pair.to_server) < 100
    assert [data[:4] for _, _, data in pair.to_server] == [b"%04d" % n for n in range(len(pair.to_server))]
    assert pair.server.closed


def test_a_closed_connection_takes_and_says_nothing() -> None:
    """Sending on it is ignored, closing it again is too, and what still arrives gives no event."""
    pair = settled_pair()
    pair.send(pair.server, 1, b"on its way")
    close(pair, "client")
    pair.client.send(1, b"too late")
    pair.client.close(CloseCode.INTERNAL, "again")
    pair.net.poke(pair.client)
    pair.net.run_for(5.0)
    assert [(event.code, event.reason) for event in pair.client_events if isinstance(event, Closed)] == [(0, "")]
    assert pair.to_client == []
    assert pair.to_server == []
