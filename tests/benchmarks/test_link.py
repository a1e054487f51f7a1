"""The link's rules: table by table, in a time that the test makes."""

from itertools import pairwise

import pytest

from benchmarks.link import HEADER_BYTES, Conditions, Counts, Way


def offer_many(way: Way, count: int, *, gap_s: float = 0.01, size: int = 100) -> tuple[list[list[float]], Counts]:
    """What becomes of `count` datagrams, one every `gap_s`."""
    counts = Counts()
    return [way.offer(size, number * gap_s, counts) for number in range(count)], counts


def test_a_clean_way_delays_and_nothing_else() -> None:
    """Each datagram arrives once, after the delay."""
    arrivals, counts = offer_many(Way(Conditions(delay_s=0.05), "1"), 10)
    assert arrivals == [[pytest.approx(number * 0.01 + 0.05)] for number in range(10)]
    assert counts == Counts(
        offered=10, offered_bytes=10 * (100 + HEADER_BYTES), carried=10, carried_bytes=10 * (100 + HEADER_BYTES)
    )


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.5, 1.0])
def test_the_share_that_is_lost_is_what_was_asked_for(loss: float) -> None:
    """Within what chance allows over ten thousand datagrams."""
    _, counts = offer_many(Way(Conditions(loss=loss), "1"), 10_000)
    assert counts.lost / counts.offered == pytest.approx(loss, abs=0.02)
    assert counts.lost + counts.carried == counts.offered


def test_the_same_seed_gives_the_same_link() -> None:
    """Another seed gives another one."""
    conditions = Conditions(loss=0.3, jitter_s=0.01, duplicate=0.1, outage_s=0.2, outage_share=0.3)
    first, again, other = (offer_many(Way(conditions, seed), 200)[0] for seed in ("1", "1", "2"))
    assert first == again
    assert first != other


def test_duplicates_arrive_after_the_first() -> None:
    """As often as asked for."""
    arrivals, _ = offer_many(Way(Conditions(duplicate=0.2), "1"), 5_000)
    twice = [times for times in arrivals if len(times) == 2]
    assert len(twice) / 5_000 == pytest.approx(0.2, abs=0.03)
    assert all(first <= second for first, second in twice)


def test_outages_come_by_the_clock() -> None:
    """They take their share of the time and last as long as asked for, however many datagrams there are."""
    way = Way(Conditions(outage_s=0.2, outage_share=0.3), "1")
    arrivals, counts = offer_many(way, 100_000, gap_s=0.01)
    lost = [not times for times in arrivals]
    outages = sum(now and not before for before, now in pairwise(lost))
    assert counts.lost / counts.offered == pytest.approx(0.3, abs=0.03)
    assert counts.lost * 0.01 / outages == pytest.approx(0.2, abs=0.03)


def test_a_blackout_swallows_everything_and_shifts_nothing() -> None:
    """What chance would have done after it is what chance does."""
    conditions = Conditions(loss=0.3)
    calm, dark = Way(conditions, "1"), Way(conditions, "1")
    dark.blackout_until = 0.5
    expected, _ = offer_many(calm, 100)
    arrivals, _ = offer_many(dark, 100)
    assert arrivals[:50] == [[]] * 50
    assert arrivals[50:] == expected[50:]


def test_a_bottleneck_sends_one_after_the_other() -> None:
    """At its rate, headers counted."""
    way = Way(Conditions(delay_s=0.0, rate_bps=(100 + HEADER_BYTES) * 8 * 10, queue_s=10.0), "1")
    arrivals, _ = offer_many(way, 3, gap_s=0.0)
    assert arrivals == [[pytest.approx(0.1)], [pytest.approx(0.2)], [pytest.approx(0.3)]]


def test_a_full_queue_drops_its_tail() -> None:
    """What would wait longer than the queue is long is dropped, and the queue goes on with what it has."""
    way = Way(Conditions(delay_s=0.0, rate_bps=(100 + HEADER_BYTES) * 8 * 10, queue_s=0.15), "1")
    arrivals, counts = offer_many(way, 5, gap_s=0.0)
    assert [len(times) for times in arrivals] == [1, 1, 0, 0, 0]
    assert (counts.dropped, counts.carried) == (3, 2)
    assert way.offer(100, 0.1, counts) == [pytest.approx(0.3)]
