"""The pacer: a burst, then 1.25 windows a round trip, and a wait that really is enough."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.transport.pacing import PACING_GAIN, Pacer

WINDOW = 12_000
RTT_S = 0.1
RATE = PACING_GAIN * WINDOW / RTT_S


def test_a_burst_of_the_initial_window_goes_unpaced() -> None:
    """Ten datagrams leave at once."""
    pacer = Pacer(WINDOW, 0.0)
    for _ in range(10):
        assert pacer.delay(1200, WINDOW, RTT_S, 0.0) == 0.0
        pacer.on_sent(1200)
    assert pacer.delay(1200, WINDOW, RTT_S, 0.0) == pytest.approx(1200 / RATE)


def test_the_burst_comes_back_after_a_pause_and_no_more_than_that() -> None:
    """An hour of silence saves up one burst."""
    pacer = Pacer(WINDOW, 0.0)
    for _ in range(10):
        pacer.on_sent(1200)
    assert pacer.delay(WINDOW, WINDOW, RTT_S, 3600.0) == 0.0
    pacer.on_sent(WINDOW)
    assert pacer.delay(1200, WINDOW, RTT_S, 3600.0) > 0.0


def test_bulk_flows_at_five_quarters_of_the_window() -> None:
    """Over many round trips the rate is the window's, times the gain."""
    pacer = Pacer(WINDOW, 0.0)
    now, sent = 0.0, 0
    while now < 10.0:
        wait = pacer.delay(1200, WINDOW, RTT_S, now)
        if wait:
            now += wait
            continue
        pacer.on_sent(1200)
        sent += 1200
    assert sent == pytest.approx(WINDOW + 10.0 * RATE, rel=0.01)


def test_what_is_not_held_back_counts_down_to_a_bound() -> None:
    """Probes and repairs beyond the pace make the bulk behind them wait, but never for more than two bursts."""
    pacer = Pacer(WINDOW, 0.0)
    for _ in range(1000):
        pacer.on_sent(1200)
    assert pacer.delay(1200, WINDOW, RTT_S, 0.0) == pytest.approx((WINDOW + 1200) / RATE)


def test_a_clock_that_jumps_back_adds_nothing_and_breaks_nothing() -> None:
    """Time that goes backwards earns no bytes; afterwards pacing goes on from the new time."""
    pacer = Pacer(WINDOW, 1000.0)
    for _ in range(10):
        pacer.on_sent(1200)
    assert pacer.delay(1200, WINDOW, RTT_S, 10.0) == pytest.approx(1200 / RATE)
    assert pacer.delay(1200, WINDOW, RTT_S, 10.0 + 1200 / RATE) == 0.0


def test_a_round_trip_of_nothing_is_no_division_by_zero() -> None:
    """On a link without any delay the pace is only very fast."""
    pacer = Pacer(WINDOW, 0.0)
    pacer.on_sent(WINDOW)
    assert 0.0 < pacer.delay(1200, WINDOW, 0.0, 0.0) < 0.001


@given(
    st.floats(0.0, 1e6),
    st.integers(40, 1200),
    st.integers(2400, 1_000_000),
    st.floats(0.001, 3.0),
    st.integers(0, 30_000),
)
def test_who_waits_as_long_as_told_may_send(start: float, size: int, window: int, rtt: float, sent: int) -> None:
    """The wait is enough whatever rounding does to it: a timer set by it does not find itself due again."""
    pacer = Pacer(WINDOW, start)
    pacer.on_sent(sent)
    wait = pacer.delay(size, window, rtt, start)
    at = start + wait
    if at > start:
        assert pacer.delay(size, window, rtt, at) == 0.0
