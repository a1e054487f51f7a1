"""Path MTU discovery: what is tried, what is believed, and how a black hole is left."""

import pytest

from bisik_protocol.transport.mtu import (
    BASE_BYTES,
    BLACK_HOLE_LOSSES,
    MAX_PROBES,
    RAISE_AFTER_S,
    SIZES,
    PathMtu,
)
from tests.support.pair import Pair
from tests.support.simnet import Conditions

BIGGEST = SIZES[0]
SMALL_BYTES = 600  # two of them need a datagram of about 1250 bytes


def lose(mtu: PathMtu, now: float, times: int = 1) -> None:
    """Probe and lose, as often as that."""
    for _ in range(times):
        size = mtu.probe_size(1, now)
        assert size is not None
        mtu.on_probe_sent()
        mtu.on_probe_lost(size)


class TestSearch:
    def test_the_largest_size_is_tried_first(self) -> None:
        """Most paths carry it, and then one probe was enough."""
        mtu = PathMtu(BIGGEST)
        assert mtu.probe_size(1, 0.0) == BIGGEST
        mtu.on_probe_sent()
        mtu.on_probe_arrived(BIGGEST)
        assert mtu.size == BIGGEST
        assert mtu.probe_size(1, 1e9) is None

    def test_one_probe_at_a_time(self) -> None:
        """The next one waits for what became of the last."""
        mtu = PathMtu(BIGGEST)
        mtu.probe_size(1, 0.0)
        mtu.on_probe_sent()
        assert mtu.probe_size(1, 1.0) is None
        mtu.on_probe_lost(BIGGEST)
        assert mtu.probe_size(1, 1.0) == BIGGEST

    def test_a_size_is_given_up_after_a_few_losses(self) -> None:
        """One loss may be the link's; then the next smaller size has its turn."""
        mtu = PathMtu(BIGGEST)
        lose(mtu, 0.0, MAX_PROBES)
        assert mtu.probe_size(1, 0.0) == SIZES[1]

    def test_a_search_without_result_rests(self) -> None:
        """And begins again after a while, for a path may change."""
        mtu = PathMtu(BIGGEST)
        lose(mtu, 0.0, MAX_PROBES * len(SIZES))
        for now in (0.0, 1.0, RAISE_AFTER_S - 1.0):
            assert mtu.probe_size(1, now) is None
        assert mtu.size == BASE_BYTES
        assert mtu.probe_size(1, RAISE_AFTER_S) == BIGGEST

    def test_nothing_above_what_the_socket_sends_is_probed(self) -> None:
        """Where fragments cannot be forbidden, the limit is the base and there is no search at all."""
        assert PathMtu(BIGGEST - 1).probe_size(1, 0.0) == SIZES[1]
        assert PathMtu(BASE_BYTES).probe_size(1, 0.0) is None

    def test_what_no_probe_could_help_is_not_probed_for(self) -> None:
        """A chunk that fits into no datagram beside another one is no reason."""
        mtu = PathMtu(BIGGEST)
        assert mtu.probe_size(BIGGEST - BASE_BYTES + 1, 0.0) is None
        assert mtu.probe_size(BIGGEST - BASE_BYTES, 0.0) == BIGGEST


class TestBlackHole:
    def found(self) -> PathMtu:
        mtu = PathMtu(BIGGEST)
        mtu.probe_size(1, 0.0)
        mtu.on_probe_sent()
        mtu.on_probe_arrived(BIGGEST)
        return mtu

    def test_a_few_losses_without_an_arrival_end_it(self) -> None:
        """Back to what every path carries, and no search for a while."""
        mtu = self.found()
        for _ in range(BLACK_HOLE_LOSSES):
            assert mtu.size == BIGGEST
            mtu.on_lost(5.0)
        assert mtu.size == BASE_BYTES
        assert mtu.probe_size(1, 5.0) is None

    def test_an_arrival_between_them_proves_the_size(self) -> None:
        """A link that loses some is no black hole."""
        mtu = self.found()
        for _ in range(10 * BLACK_HOLE_LOSSES):
            mtu.on_lost(5.0)
            mtu.on_arrived()
        assert mtu.size == BIGGEST

    def test_a_new_path_starts_over(self) -> None:
        """At once: nothing holds that was learned of the old one."""
        mtu = self.found()
        mtu.start_over()
        assert mtu.size == BASE_BYTES
        assert mtu.probe_size(1, 0.0) == BIGGEST


def sizes_of(pair: Pair, *, messages: int, size: int = SMALL_BYTES) -> list[int]:
    """What the client sends for so many messages at once."""
    sizes: list[int] = []
    pair.net.tap = lambda source, target, datagram: sizes.append(len(datagram))
    before = len(pair.to_server)
    for _ in range(messages):
        pair.client.send(1, bytes(size))
    pair.net.poke(pair.client)
    pair.net.run_for(20.0)
    assert len(pair.to_server) == before + messages
    return sizes


class TestConnection:
    def test_larger_datagrams_carry_more_messages(self) -> None:
        """Once the size is found, two go together where one went before."""
        pair = Pair()
        sizes_of(pair, messages=30)
        later = sizes_of(pair, messages=30)
        assert max(later) > 2 * SMALL_BYTES
        assert sum(size > SMALL_BYTES for size in later) == 15

    def test_single_messages_never_probe(self) -> None:
        """On a clean link there is one datagram for a message, and nothing else."""
        pair = Pair()
        for _ in range(50):
            assert max(sizes_of(pair, messages=1)) <= BASE_BYTES

    @pytest.mark.parametrize("mtu", [1200, 1252, 1300, 1400, 1452])
    @pytest.mark.parametrize("loss", [0.0, 0.3])
    def test_everything_arrives_whatever_the_path_carries(self, mtu: int, loss: float) -> None:
        """The search ends at the largest size that arrives, and costs no message anything."""
        pair = Pair(1, Conditions(mtu=mtu, loss=loss))
        for _ in range(10):
            sizes_of(pair, messages=40)
        assert pair.client.stats(pair.net.now).datagram_bytes in {
            BASE_BYTES,
            *(size for size in SIZES if size <= mtu),
        }
        if not loss:
            assert pair.client.stats(pair.net.now).datagram_bytes == max(
                (size for size in SIZES if size <= mtu), default=BASE_BYTES
            )

    def test_lost_probes_are_not_congestion(self) -> None:
        """The window does not shrink for them, nor does the link count as one that loses."""
        pair = Pair(1, Conditions(mtu=1200))
        for _ in range(4):
            sizes_of(pair, messages=40)
        stats = pair.client.stats(pair.net.now)
        assert stats.loss_out == 0.0
        assert stats.window_bytes >= 12_000

    def test_a_path_that_shrinks_is_found_out(self) -> None:
        """Nothing says so: larger datagrams just do not arrive any more."""
        pair = Pair()
        sizes_of(pair, messages=60)
        assert pair.client.stats(pair.net.now).datagram_bytes == BIGGEST
        pair.up.conditions.mtu = 1210
        sizes_of(pair, messages=60)
        assert pair.client.stats(pair.net.now).datagram_bytes == BASE_BYTES
