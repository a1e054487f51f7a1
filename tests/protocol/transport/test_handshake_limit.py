"""Bounds for completed handshakes: a host's own, that of all together, and no memory that strangers can make grow."""

from bisik_protocol.transport.handshake_limit import (
    BURST,
    HOST_BURST,
    HOST_RATE,
    LOOPBACK,
    MAX_HOSTS,
    RATE,
    HandshakeLimit,
)
from tests.support.endpoints import Endpoints


def allowed(limit: HandshakeLimit, hosts: list[object], now: float) -> int:
    return sum(limit.allow(host, now) for host in hosts)


def test_a_crowd_behind_one_address_comes_in_and_then_a_few_a_second() -> None:
    """A class comes back after a restart; who goes on like that waits."""
    limit = HandshakeLimit()
    assert allowed(limit, ["one"] * 1000, 0.0) == HOST_BURST
    assert allowed(limit, ["one"] * 1000, 1.0) == HOST_RATE
    assert allowed(limit, ["one"] * 1000, 1000.0) == HOST_BURST


def test_one_hosts_flood_keeps_no_other_out() -> None:
    """Its refused attempts cost the others nothing."""
    limit = HandshakeLimit()
    for second in range(100):
        allowed(limit, ["flood"] * 1000, float(second))
        assert limit.allow("tama", float(second))


def test_all_hosts_together_are_bounded() -> None:
    """However many addresses somebody has: that is what a quarter of a processor does."""
    limit = HandshakeLimit()
    assert allowed(limit, list(range(3000)), 0.0) == BURST
    assert allowed(limit, list(range(3000)), 1.0) == RATE


def test_a_moment_later_there_is_room_for_who_was_refused() -> None:
    """A refusal is no ban, and a host's own tokens are not lost by it."""
    limit = HandshakeLimit()
    allowed(limit, list(range(1000)), 0.0)
    assert not limit.allow("tama", 0.0)
    assert limit.allow("tama", 1 / RATE)


def test_hosts_are_forgotten_oldest_first() -> None:
    """Memory is bounded by number; the one that still asks is kept."""
    limit = HandshakeLimit()
    allowed(limit, ["busy"] * 200, 0.0)
    for number in range(2 * MAX_HOSTS):
        limit.allow(number, 0.0)
        assert not limit.allow("busy", 0.0)
    assert len(limit) == MAX_HOSTS


def test_a_clock_that_stands_still_gives_nothing() -> None:
    """Nor does one that runs backwards."""
    limit = HandshakeLimit()
    allowed(limit, ["one"] * 100, 5.0)
    assert not limit.allow("one", 5.0)
    assert not limit.allow("one", 4.0)


def test_this_machine_is_not_limited() -> None:
    """Who is on it has easier ways to keep it busy, and a relay beside the server brings everybody in."""
    limit = HandshakeLimit()
    assert allowed(limit, sorted(LOOPBACK) * 1000, 0.0) == 3000
    assert len(limit) == 0


def test_a_refused_client_comes_in_by_itself_a_moment_later() -> None:
    """It repeats what it sent, without being told anything."""

    class Full(HandshakeLimit):
        """Has room for nobody, three times."""

        asked = 0

        def allow(self, host: object, now: float) -> bool:
            self.asked += 1
            return self.asked > 3

    stage = Endpoints()
    stage.server._limit = Full()  # the simulator's servers have none
    stage.connect()
    assert stage.server.drops["busy"] == 3
