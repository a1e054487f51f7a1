"""The congestion window against RFC 9002 section 7."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.transport.congestion import CongestionWindow

DATAGRAM = 1200


def limited_window() -> CongestionWindow:
    """A window whose sender has more to send than it may."""
    window = CongestionWindow(DATAGRAM)
    while window.has_room(DATAGRAM):
        window.on_sent(DATAGRAM)
    return window


@pytest.mark.parametrize(("datagram", "initial"), [(1200, 12_000), (1472, 14_720), (9000, 18_000)])
def test_initial_window(datagram: int, initial: int) -> None:
    """Ten datagrams, or 14,720 bytes, or two datagrams where those are larger (section 7.2)."""
    assert CongestionWindow(datagram).window == initial


def test_room_ends_with_the_window() -> None:
    """Ten datagrams may be in flight at first, and not an eleventh, not even of one byte more than fits."""
    window = limited_window()
    assert window.in_flight == 10 * DATAGRAM
    assert not window.has_room(1)
    window.on_acknowledged(DATAGRAM, 0.0)
    assert window.has_room(DATAGRAM)


def test_slow_start_doubles_in_a_round_trip() -> None:
    """Each byte acknowledged lets one more byte out, as long as the window is what limits."""
    window = limited_window()
    for _ in range(10):
        window.on_acknowledged(DATAGRAM, 0.0)
        while window.has_room(DATAGRAM):
            window.on_sent(DATAGRAM)
    assert window.window == 20 * DATAGRAM


def test_no_growth_while_the_application_is_the_limit() -> None:
    """A thin stream that never fills the window never grows it (section 7.8)."""
    window = CongestionWindow(DATAGRAM)
    for _ in range(1000):
        assert window.has_room(100)
        window.on_sent(100)
        window.on_acknowledged(100, 0.0)
    assert window.window == 10 * DATAGRAM


def test_growth_ends_when_bulk_becomes_a_trickle() -> None:
    """Having been limited once is no licence to grow for ever."""
    window = limited_window()
    for _ in range(10):
        window.on_acknowledged(DATAGRAM, 0.0)
    grown = window.window
    for _ in range(1000):
        window.on_sent(100)
        window.on_acknowledged(100, 0.0)
    assert window.window == grown


def test_a_loss_halves_the_window_once_a_round_trip() -> None:
    """Losses of packets sent before the reduction belong to it; one sent after it is another event."""
    window = CongestionWindow(DATAGRAM)
    for _ in range(6):
        window.on_sent(DATAGRAM)
    for sent_at in (0.0, 0.1, 0.2):
        window.on_lost(DATAGRAM, sent_at, now=1.0)
    assert (window.window, window.in_flight) == (6000, 3 * DATAGRAM)
    window.on_lost(DATAGRAM, 1.0, now=1.5)
    assert window.window == 6000
    window.on_lost(DATAGRAM, 1.1, now=2.0)
    assert window.window == 3000


def test_the_window_never_falls_below_two_datagrams() -> None:
    """However many rounds of losses, two datagrams may be in flight."""
    window = CongestionWindow(DATAGRAM)
    for round_trip in range(20):
        window.on_sent(DATAGRAM)
        window.on_lost(DATAGRAM, round_trip + 0.5, now=float(round_trip + 1))
    assert window.window == window.minimum == 2 * DATAGRAM


def test_after_a_loss_growth_is_a_datagram_a_round_trip() -> None:
    """Congestion avoidance: a whole window acknowledged adds one datagram (section 7.3.3)."""
    window = limited_window()
    window.on_lost(DATAGRAM, 0.0, now=1.0)
    for _ in range(4):
        window.on_forgotten(DATAGRAM)
    assert (window.window, window.in_flight) == (6000, 5 * DATAGRAM)
    for _ in range(5):
        window.on_acknowledged(DATAGRAM, 1.1)
        window.on_sent(DATAGRAM)
    assert window.window == 7200


def test_no_growth_in_recovery() -> None:
    """Acknowledgements of packets sent before the loss was noticed grow nothing (section 7.3.2)."""
    window = limited_window()
    window.on_lost(DATAGRAM, 0.0, now=1.0)
    for _ in range(9):
        window.on_acknowledged(DATAGRAM, 0.5)
    assert window.window == 6000


def test_persistent_congestion_collapses_the_window() -> None:
    """It falls to the minimum, and grows fast again from there, up to where losses began (section 7.6.2)."""
    window = limited_window()
    window.on_lost(DATAGRAM, 0.0, now=1.0)
    window.on_persistent_congestion()
    assert window.window == 2 * DATAGRAM
    for _ in range(9):
        window.on_forgotten(DATAGRAM)
    for _ in range(3):
        while window.has_room(DATAGRAM):
            window.on_sent(DATAGRAM)
        window.on_acknowledged(DATAGRAM, 2.0)
    assert window.window == 5 * DATAGRAM


def test_a_new_path_starts_over_with_what_is_in_flight() -> None:
    """The window is that of a new connection; the bytes on their way still count."""
    window = limited_window()
    window.on_lost(DATAGRAM, 0.0, now=1.0)
    window.reset()
    assert (window.window, window.in_flight) == (10 * DATAGRAM, 9 * DATAGRAM)


operations = st.tuples(
    st.sampled_from(["send", "ack", "lose", "forget", "persist", "reset"]), st.integers(40, DATAGRAM)
)


@given(st.lists(operations, max_size=200))
def test_in_flight_is_what_was_sent_and_not_settled(steps: list[tuple[str, int]]) -> None:
    """Bytes in flight are the sum of packets neither acknowledged, lost nor forgotten; the window keeps its floor."""
    window = CongestionWindow(DATAGRAM)
    flying: list[tuple[int, float]] = []
    for time, (what, size) in enumerate(steps):
        if what == "send" and window.has_room(size):
            window.on_sent(size)
            flying.append((size, float(time)))
        elif what == "persist":
            window.on_persistent_congestion()
        elif what == "reset":
            window.reset()
        elif flying and what != "send":
            settled, sent_at = flying.pop(0)
            if what == "ack":
                window.on_acknowledged(settled, sent_at)
            elif what == "lose":
                window.on_lost(settled, sent_at, float(time))
            else:
                window.on_forgotten(settled)
        assert window.in_flight == sum(size for size, _ in flying)
        assert window.window >= window.minimum
