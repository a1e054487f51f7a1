"""The round-trip estimator against RFC 9002 section 5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.transport.rtt import GRANULARITY_S, INITIAL_RTT_S, RttEstimator


def test_before_any_sample_the_initial_guess_stands() -> None:
    """333 ms, and half of it as the variance, so that the first probe goes after one second."""
    rtt = RttEstimator()
    assert not rtt.has_sample
    assert rtt.smoothed == INITIAL_RTT_S == 0.333
    assert rtt.probe_timeout == pytest.approx(0.999)


def test_the_first_sample_replaces_the_guess() -> None:
    """Nothing of the guess is left: smoothed and minimum are the sample, the variance is half of it."""
    rtt = RttEstimator()
    rtt.add_sample(0.1)
    assert (rtt.has_sample, rtt.smoothed, rtt.minimum, rtt.latest, rtt.variance) == (True, 0.1, 0.1, 0.1, 0.05)


def test_later_samples_are_weighed_as_the_rfc_says() -> None:
    """7/8 of the old average, 3/4 of the old variance, the difference taken to the average before the sample."""
    rtt = RttEstimator()
    rtt.add_sample(0.1)
    rtt.add_sample(0.2)
    assert rtt.variance == pytest.approx(0.75 * 0.05 + 0.25 * 0.1)
    assert rtt.smoothed == pytest.approx(0.875 * 0.1 + 0.125 * 0.2)
    assert (rtt.minimum, rtt.latest) == (0.1, 0.2)


def test_the_minimum_only_falls() -> None:
    """The shortest round trip seen is kept."""
    rtt = RttEstimator()
    for sample in (0.3, 0.1, 0.2):
        rtt.add_sample(sample)
    assert rtt.minimum == 0.1


def test_a_steady_link_is_probed_soon_after_a_round_trip() -> None:
    """With no variance left the probe timeout is the round trip and the granularity."""
    rtt = RttEstimator()
    for _ in range(200):
        rtt.add_sample(0.1)
    assert rtt.probe_timeout == pytest.approx(0.1 + GRANULARITY_S, abs=1e-6)


def test_loss_delay_follows_the_longer_of_average_and_latest() -> None:
    """9/8 of it, and never below the granularity of clocks."""
    rtt = RttEstimator()
    rtt.add_sample(0.1)
    assert rtt.loss_delay == pytest.approx(0.1125)
    rtt.add_sample(0.4)
    assert rtt.loss_delay == pytest.approx(0.45)
    fast = RttEstimator()
    fast.add_sample(0.0)
    assert fast.loss_delay == GRANULARITY_S


def test_a_queue_that_is_gone_is_forgotten_after_four_round_trips() -> None:
    """Eight seconds of somebody else's upload, of which averages would tell for twenty samples more."""
    rtt = RttEstimator()
    for sample in (8.0, 7.0, 8.0, 0.05, 0.05, 0.05):
        rtt.add_sample(sample)
    assert rtt.smoothed > 5.0
    rtt.add_sample(0.06)
    assert (rtt.smoothed, rtt.variance, rtt.minimum, rtt.latest) == (0.06, 0.03, 0.05, 0.06)


def test_short_samples_between_long_ones_are_averaged() -> None:
    """Jitter is no new link."""
    rtt = RttEstimator()
    rtt.add_sample(1.0)
    for _ in range(20):
        for sample in (0.1, 0.1, 0.1, 1.0):
            rtt.add_sample(sample)
    assert rtt.smoothed > 0.25
    assert rtt.probe_timeout > 1.0


def test_a_clock_that_jumped_back_gives_no_negative_round_trip() -> None:
    """A negative sample counts as zero."""
    rtt = RttEstimator()
    rtt.add_sample(-5.0)
    assert rtt.smoothed == rtt.minimum == 0.0
    assert rtt.probe_timeout == GRANULARITY_S


def test_a_guess_shortens_the_first_wait_and_is_still_no_sample() -> None:
    """What the handshake took replaces the initial guess; the first real sample replaces both."""
    rtt = RttEstimator()
    rtt.guess(0.08)
    assert (rtt.smoothed, rtt.has_sample) == (0.08, False)
    rtt.add_sample(0.05)
    assert (rtt.smoothed, rtt.minimum) == (0.05, 0.05)


def test_a_guess_never_lengthens_and_never_overrules_a_sample() -> None:
    """A handshake that took seconds lost datagrams; it says nothing about the round trip."""
    rtt = RttEstimator()
    rtt.guess(4.0)
    assert rtt.smoothed == INITIAL_RTT_S
    rtt.add_sample(0.2)
    rtt.guess(0.01)
    assert rtt.smoothed == 0.2


@given(st.lists(st.floats(-1.0, 100.0), min_size=1, max_size=50))
def test_the_estimate_stays_among_its_samples(samples: list[float]) -> None:
    """The average lies between the shortest and the longest sample, and no timeout is ever zero."""
    rtt = RttEstimator()
    for sample in samples:
        rtt.add_sample(sample)
    clean = [max(sample, 0.0) for sample in samples]
    assert min(clean) - 1e-9 <= rtt.smoothed <= max(clean) + 1e-9
    assert rtt.minimum == min(clean)
    assert rtt.probe_timeout >= max(rtt.smoothed, GRANULARITY_S)
    assert rtt.loss_delay >= GRANULARITY_S
