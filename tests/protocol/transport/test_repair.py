"""When copies of a message go out: late on a clean link, early and spaced on a bad one, ever rarer in silence."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bisik_protocol.transport.chunks import Chunk
from bisik_protocol.transport.repair import (
    BUCKET_DATAGRAMS,
    CLEAN_LOSS,
    EARLY_GAPS,
    LINEAR_S,
    MAX_INTERVAL_S,
    MAX_THIN_BYTES,
    MAX_THIN_CHUNKS,
    MIN_GAP_S,
    REFILL_DATAGRAMS_PER_S,
    Repair,
    TokenBucket,
    early_copies,
    silent_interval,
)
from bisik_protocol.transport.rtt import RttEstimator

RTT_S = 0.1
EAGER_S = 120.0
MOST_EARLY_COPIES = len(EARLY_GAPS) + 1


def rtt_of(seconds: float) -> RttEstimator:
    """A round trip measured so often that nothing varies any more."""
    rtt = RttEstimator()
    for _ in range(100):
        rtt.add_sample(seconds)
    return rtt


def chunk_of(size: int = 100) -> Chunk:
    return Chunk(0, b"", bytes(size), size, size)


def copies_of_one_message(loss: float, *, until: float, rtt: float = RTT_S) -> list[float]:
    """When the copies of an unanswered message go out, at the times repair itself plans."""
    repair = Repair(rtt_of(rtt), LINEAR_S, 0.0)
    chunk = chunk_of()
    repair.watch(chunk)
    times: list[float] = []
    now = 0.0
    while now < until:
        times.append(now)
        chunk.copies += 1
        chunk.first_sent = times[0]
        repair.on_copy_sent(chunk, now, loss, now)
        assert chunk.due > now, "a copy planned for a time that has come spins"
        now = chunk.due
    return times


def test_a_clean_link_gets_one_copy_before_the_answer_is_overdue() -> None:
    """Nothing goes out a second time before the probe timeout, RFC 9002 section 6.2."""
    first, second, *_ = copies_of_one_message(0.0, until=1.0)
    assert first == 0.0
    assert second >= rtt_of(RTT_S).probe_timeout


@pytest.mark.parametrize(
    ("loss", "least", "most"), [(0.0, 1, 1), (0.004, 1, 1), (0.1, 2, 4), (0.3, 4, 5), (0.5, 5, 5)]
)
def test_early_copies_follow_the_loss(loss: float, least: int, most: int) -> None:
    """As many copies in the first round trip as the measured loss asks for, the first included."""
    copies = copies_of_one_message(loss, until=RTT_S)
    assert least <= len(copies) <= most
    assert len(copies) == early_copies(loss)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_more_loss_never_asks_for_fewer_copies(one: float, other: float) -> None:
    """The number of early copies rises with the loss, from one up to its bound."""
    low, high = sorted((one, other))
    assert 1 <= early_copies(low) <= early_copies(high) <= MOST_EARLY_COPIES
    if high < CLEAN_LOSS:
        assert early_copies(high) == 1


@pytest.mark.parametrize("loss", [0.1, 0.3, 0.5, 0.9])
def test_early_copies_are_spaced(loss: float) -> None:
    """Copies back to back would die in the same burst: they keep a distance that is a share of the round trip."""
    for one, other in pairwise(copies_of_one_message(loss, until=RTT_S)):
        assert other - one >= min(EARLY_GAPS) * RTT_S * 0.999


def test_copies_on_a_link_without_delay_still_keep_a_distance() -> None:
    """A round trip of a microsecond makes no burst of all copies at once."""
    for one, other in pairwise(copies_of_one_message(0.5, until=0.05, rtt=1e-6)):
        assert other - one >= MIN_GAP_S * 0.999


@pytest.mark.parametrize("loss", [0.1, 0.3, 0.5])
def test_after_the_early_copies_the_answer_is_waited_for(loss: float) -> None:
    """Late copies begin when the first copy's answer is overdue, and not before."""
    late = copies_of_one_message(loss, until=1.0)[early_copies(loss)]
    assert RTT_S < late < 2 * RTT_S


@pytest.mark.parametrize("loss", [0.0, 0.3, 0.5])
def test_late_copies_keep_a_linear_cadence(loss: float) -> None:
    """For ten seconds of silence the distance stays the same: no doubling while a person waits."""
    times = [time for time in copies_of_one_message(loss, until=LINEAR_S) if time > 2 * RTT_S]
    gaps = [other - one for one, other in pairwise(times)]
    assert max(gaps) == pytest.approx(min(gaps))
    assert RTT_S / 5 < max(gaps) < RTT_S


def test_then_copies_become_rare() -> None:
    """In the second ten seconds of silence few go out, and in an hour about one in three seconds."""
    times = copies_of_one_message(0.3, until=3600.0)
    assert sum(1 for time in times if 2 * LINEAR_S < time <= 3 * LINEAR_S) <= 5
    assert sum(1 for time in times if time > LINEAR_S) <= 3600 / MAX_INTERVAL_S + 60


def test_the_eager_side_slows_down_before_it_backs_off() -> None:
    """After ten seconds the client probes ten times a second, through two minutes, then ever more slowly."""
    rtt = rtt_of(RTT_S)
    assert silent_interval(LINEAR_S + 1, rtt, EAGER_S) == pytest.approx(0.1)
    assert silent_interval(EAGER_S - 1, rtt, EAGER_S) == pytest.approx(0.1)
    assert silent_interval(EAGER_S + 4, rtt, EAGER_S) == pytest.approx(1.0)
    assert silent_interval(EAGER_S + 3600, rtt, EAGER_S) == MAX_INTERVAL_S


@example(LINEAR_S - 0.1, LINEAR_S + 0.1, RTT_S, LINEAR_S)
@example(EAGER_S - 0.1, EAGER_S + 0.1, RTT_S, EAGER_S)
@given(st.floats(0.0, 1e5), st.floats(0.0, 1e5), st.floats(0.0, 5.0), st.sampled_from([LINEAR_S, EAGER_S]))
def test_longer_silence_never_means_faster_probes(one: float, other: float, rtt: float, eager: float) -> None:
    """The interval only grows with the silence and never passes the bound that RFC 8085 sets."""
    short, long = sorted((one, other))
    assert 0.0 < silent_interval(short, rtt_of(rtt), eager) <= silent_interval(long, rtt_of(rtt), eager)
    assert silent_interval(long, rtt_of(rtt), eager) <= MAX_INTERVAL_S


def test_only_a_few_small_chunks_are_watched() -> None:
    """Bulk is never repaired ahead of time: beyond a number of chunks, or of bytes, there is no space."""
    repair = Repair(rtt_of(RTT_S), LINEAR_S, 0.0)
    assert repair.has_space(MAX_THIN_BYTES)
    assert not repair.has_space(MAX_THIN_BYTES + 1)
    for _ in range(MAX_THIN_CHUNKS):
        assert repair.has_space(100)
        repair.watch(chunk_of(100))
    assert not repair.has_space(1)
    heavy = Repair(rtt_of(RTT_S), LINEAR_S, 0.0)
    heavy.watch(chunk_of(MAX_THIN_BYTES - 100))
    assert heavy.has_space(100)
    assert not heavy.has_space(101)


def test_the_most_urgent_chunk_comes_first() -> None:
    """Due chunks come in the order of their times; those that are not due do not come."""
    repair = Repair(rtt_of(RTT_S), LINEAR_S, 0.0)
    chunks = [chunk_of() for _ in range(3)]
    for chunk, due in zip(chunks, (3.0, 1.0, 2.0), strict=True):
        repair.watch(chunk)
        chunk.due = due
    assert repair.next_due() == 1.0
    assert repair.due(0.5) == []
    assert repair.due(2.0) == [chunks[1], chunks[2]]
    assert repair.due(3.0) == [chunks[1], chunks[2], chunks[0]]


def test_when_the_link_is_back_everything_is_due() -> None:
    """No timer of the outage holds back what can go now."""
    repair = Repair(rtt_of(RTT_S), LINEAR_S, 0.0)
    for due in (60.0, 70.0):
        chunk = chunk_of()
        repair.watch(chunk)
        chunk.due = due
    repair.hurry(5.0)
    assert len(repair.due(5.0)) == 2


def taken(bucket: TokenBucket, now: float, *, share: float = 1.0) -> int:
    """How many datagrams it pays for until it is empty."""
    count = 0
    while bucket.take(now, share=share):
        count += 1
    return count


def test_the_bucket_is_full_at_first_and_holds_no_more() -> None:
    """A burst of copies may spend what it holds; idle days save up nothing beyond."""
    bucket = TokenBucket(0.0)
    assert taken(bucket, 0.0) == BUCKET_DATAGRAMS
    assert taken(bucket, 1e6) == BUCKET_DATAGRAMS


def test_the_bucket_refills_at_its_rate_and_slower_in_an_outage() -> None:
    """A second earns the refill, and half of it when only half is granted."""
    bucket = TokenBucket(0.0)
    taken(bucket, 0.0)
    assert taken(bucket, 0.5) == REFILL_DATAGRAMS_PER_S // 2
    assert taken(bucket, 1.0, share=0.5) == REFILL_DATAGRAMS_PER_S // 4


def test_an_emptied_bucket_gives_nothing_until_time_passes() -> None:
    """After persistent congestion nothing that was saved up is spent."""
    bucket = TokenBucket(0.0)
    bucket.empty()
    assert not bucket.take(0.0)
    assert bucket.take(1.0)


def test_a_clock_that_jumps_back_earns_nothing() -> None:
    """Time that goes backwards neither fills nor drains the bucket."""
    bucket = TokenBucket(1000.0)
    taken(bucket, 1000.0)
    assert not bucket.take(0.0)
    assert taken(bucket, 0.5) == REFILL_DATAGRAMS_PER_S // 2


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.integers(1, 200)), max_size=50))
def test_the_average_is_bounded(wishes: list[tuple[float, int]]) -> None:
    """Over any time, no more is taken than the bucket held and the refill added."""
    bucket = TokenBucket(0.0)
    now, spent = 0.0, 0
    for pause, wanted in wishes:
        now += pause
        spent += sum(bucket.take(now) for _ in range(wanted))
        assert spent <= BUCKET_DATAGRAMS + REFILL_DATAGRAMS_PER_S * now + 1e-6


@given(st.integers(0, BUCKET_DATAGRAMS), st.sampled_from([0.5, 1.0]))
def test_who_waits_for_the_bucket_is_served(spent: int, share: float) -> None:
    """The wait it tells is enough, and never so short that a timer would spin."""
    bucket = TokenBucket(0.0)
    for _ in range(spent):
        bucket.take(0.0)
    if bucket.take(0.0, share=share):
        return
    wait = bucket.wait(share=share)
    assert wait >= MIN_GAP_S
    assert bucket.take(wait + 1e-9, share=share)
