"""The ledger of packets in flight: acknowledgement, loss by number and by time, and what a liar may not tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.transport.recovery import MAX_REMEMBERED_LOSSES, PACKET_THRESHOLD, Recovery, SentPacket
from bisik_protocol.transport.rtt import RttEstimator

RTT_S = 0.1


def ledger(*, rtt: float | None = RTT_S, skipped: tuple[int, ...] = ()) -> Recovery:
    estimator = RttEstimator()
    if rtt is not None:
        estimator.add_sample(rtt)
    return Recovery(estimator, lambda low, high: any(low <= number <= high for number in skipped))


def send(recovery: Recovery, *numbers: int, at: float = 0.0) -> None:
    for number in numbers:
        recovery.on_sent(SentPacket(number, at, 100, [], [], -1))


def numbers(packets: list[SentPacket]) -> list[int]:
    return [packet.number for packet in packets]


# (acknowledged ranges, which of 0..9 leave the ledger)
ACKS: list[tuple[list[tuple[int, int]], list[int]]] = [
    ([(0, 0)], [0]),
    ([(9, 9)], [9]),
    ([(0, 9)], list(range(10))),
    ([(8, 9), (2, 4), (0, 0)], [8, 9, 2, 3, 4, 0]),
    ([(5, 7)], [5, 6, 7]),
]


@pytest.mark.parametrize(("ranges", "expected"), ACKS)
def test_acknowledged_packets_leave_the_ledger(ranges: list[tuple[int, int]], expected: list[int]) -> None:
    """Exactly the packets in the ranges are acknowledged, and once."""
    recovery = ledger()
    send(recovery, *range(10))
    assert numbers(recovery.on_ack(ranges, 10, 0.1).acknowledged) == expected
    assert sorted(recovery.in_flight) == sorted(set(range(10)) - set(expected))
    assert recovery.on_ack(ranges, 10, 0.1).acknowledged == []


def test_numbers_that_were_never_sent_are_refused() -> None:
    """Acknowledging the next number, or any after it, is a violation."""
    recovery = ledger()
    send(recovery, 0, 1)
    for ranges in ([(2, 2)], [(0, 2)], [(0, 1 << 47)]):
        with pytest.raises(RemoteProtocolError, match="ack"):
            recovery.on_ack(ranges, 2, 0.1)


@pytest.mark.parametrize(
    "acks",
    [
        [[(5, 5)]],
        [[(4, 6)]],
        [[(0, 9)]],
        [[(9, 9)], [(0, 8)]],  # the newest first, and then everything below it
        [[(9, 9), (0, 7)]],
        [[(6, 9), (0, 4)], [(5, 5)]],
    ],
)
def test_a_skipped_number_gives_an_optimist_away(acks: list[list[tuple[int, int]]]) -> None:
    """Number 5 was never sent: who acknowledges it, in whatever order and form, has not seen what it acknowledges."""
    recovery = ledger(skipped=(5,))
    send(recovery, *[n for n in range(10) if n != 5])
    *harmless, telling = acks
    for ranges in harmless:
        recovery.on_ack(ranges, 10, 0.1)
    with pytest.raises(RemoteProtocolError, match="ack"):
        recovery.on_ack(telling, 10, 0.1)


def test_an_honest_acknowledgement_goes_around_skipped_numbers() -> None:
    """Ranges on both sides of a skipped number are what an honest peer tells, as often as it likes."""
    recovery = ledger(skipped=(5,))
    send(recovery, *[n for n in range(10) if n != 5])
    for _ in range(2):
        recovery.on_ack([(6, 9), (0, 4)], 10, 0.1)
    assert not recovery.in_flight


def test_a_packet_overtaken_by_three_numbers_is_lost() -> None:
    """Packet threshold 3, RFC 9002 section 6.1.1: with 5 acknowledged, 2 and below are lost and 3 and 4 are not."""
    recovery = ledger()
    send(recovery, *range(6))
    recovery.on_ack([(5, 5)], 6, 0.1)
    assert numbers(recovery.detect_losses(0.1)) == [0, 1, 2]
    assert sorted(recovery.in_flight) == [3, 4]
    assert PACKET_THRESHOLD == 3


def test_a_packet_overtaken_for_long_enough_is_lost() -> None:
    """Time threshold 9/8 of a round trip, RFC 9002 section 6.1.2: `loss_time` tells when, and then it is so."""
    recovery = ledger()
    send(recovery, 0, at=0.0)
    send(recovery, 1, at=0.01)
    recovery.on_ack([(1, 1)], 2, 0.11)
    assert recovery.detect_losses(0.11) == []
    assert recovery.loss_time == pytest.approx(0.1125)
    assert recovery.detect_losses(0.112) == []
    assert recovery.loss_time is not None
    assert numbers(recovery.detect_losses(recovery.loss_time)) == [0]
    assert recovery.loss_time is None


def test_what_was_not_overtaken_is_never_lost() -> None:
    """However late it is: silence is no proof of loss."""
    recovery = ledger()
    send(recovery, 0, 1)
    recovery.on_ack([(0, 0)], 2, 0.1)
    assert recovery.detect_losses(1e6) == []
    assert recovery.loss_time is None


def test_the_first_sample_comes_from_the_newest_packet_acknowledged() -> None:
    """RFC 9002 section 5.1: the largest number must be new to the ledger, and its packet gives the sample."""
    recovery = ledger(rtt=None)
    send(recovery, 0, at=0.0)
    send(recovery, 1, at=0.5)
    recovery.on_ack([(0, 1)], 2, 0.6)
    assert recovery.rtt.smoothed == pytest.approx(0.1)


def test_an_old_packet_acknowledged_late_gives_no_sample() -> None:
    """An acknowledgement that adds only older packets says nothing about the round trip."""
    recovery = ledger(rtt=None)
    send(recovery, 0, at=0.0)
    send(recovery, 1, at=0.0)
    recovery.on_ack([(1, 1)], 2, 0.1)
    recovery.on_ack([(0, 1)], 2, 9.0)
    assert recovery.rtt.latest == pytest.approx(0.1)


def test_an_acknowledgement_led_by_an_unreliable_packet_gives_no_sample() -> None:
    """Number 1 was an ACK-only packet, which is not in the ledger: its time is not known."""
    recovery = ledger(rtt=None)
    send(recovery, 0, at=0.0)
    recovery.on_ack([(0, 1)], 2, 9.0)
    assert not recovery.rtt.has_sample


def test_what_was_sent_before_the_way_changed_gives_no_sample() -> None:
    """Its acknowledgement counts, its time does not; the first packet sent since gives the next sample."""
    recovery = ledger(rtt=None)
    send(recovery, 0, at=0.0)
    recovery.measure_from = 500.0
    send(recovery, 1, at=600.0)
    assert numbers(recovery.on_ack([(0, 0)], 2, 600.05).acknowledged) == [0]
    assert not recovery.rtt.has_sample
    recovery.on_ack([(0, 1)], 2, 600.1)
    assert recovery.rtt.smoothed == pytest.approx(0.1)


def test_a_lost_packet_that_arrives_after_all_is_noticed_once() -> None:
    """The measure of loss takes it back; a second acknowledgement of it is nothing new."""
    recovery = ledger()
    send(recovery, *range(4))
    recovery.on_ack([(3, 3)], 4, 0.1)
    assert numbers(recovery.detect_losses(0.1)) == [0]
    assert recovery.on_ack([(3, 3), (0, 0)], 4, 0.1).returned_late == 1
    assert recovery.on_ack([(3, 3), (0, 0)], 4, 0.1).returned_late == 0


def test_the_memory_of_losses_is_bounded() -> None:
    """Only the newest MAX_REMEMBERED_LOSSES are remembered in case they come."""
    recovery = ledger()
    send(recovery, *range(200))
    recovery.give_up_sent_before(1.0)
    assert recovery.on_ack([(0, 199)], 200, 2.0).returned_late == MAX_REMEMBERED_LOSSES


def test_after_an_outage_what_is_older_is_given_up_without_proof() -> None:
    """Packets from before the moment are lost, those since are not, and no old loss time stays behind."""
    recovery = ledger()
    send(recovery, 0, 1, at=0.0)
    send(recovery, 2, at=5.0)
    assert numbers(recovery.give_up_sent_before(5.0)) == [0, 1]
    assert list(recovery.in_flight) == [2]
    recovery.give_up_sent_before(6.0)
    assert recovery.loss_time is None


@pytest.mark.parametrize(("span", "expected"), [(0.5, False), (0.89, False), (0.91, True), (10.0, True)])
def test_losses_over_three_probe_timeouts_are_persistent(span: float, expected: bool) -> None:
    """RFC 9002 section 7.6: 3 x (100 ms + 4 x 50 ms) of losses in a row collapse the window, less does not."""
    recovery = ledger()
    assert recovery.rtt.probe_timeout == pytest.approx(0.3)
    send(recovery, 0, at=0.0)
    send(recovery, 1, at=span)
    assert recovery.is_persistent(list(recovery.in_flight.values())) is expected


def test_persistent_congestion_needs_two_losses_and_a_sample() -> None:
    """One lost packet spans no time, and without a round trip there is nothing to measure the span by."""
    recovery = ledger()
    send(recovery, 0, at=0.0)
    assert not recovery.is_persistent(list(recovery.in_flight.values()))
    unmeasured = ledger(rtt=None)
    send(unmeasured, 0, at=0.0)
    send(unmeasured, 1, at=100.0)
    assert not unmeasured.is_persistent(list(unmeasured.in_flight.values()))


@given(st.lists(st.sets(st.integers(0, 39), min_size=1), max_size=6))
def test_every_packet_leaves_the_ledger_once(acked: list[set[int]]) -> None:
    """Whatever is acknowledged in whatever order, a packet is acknowledged, lost or in flight, and one of it only."""
    recovery = ledger()
    send(recovery, *range(40))
    acknowledged: list[int] = []
    lost: list[int] = []
    for step, told in enumerate(acked):
        ranges: list[tuple[int, int]] = []
        for number in sorted(told, reverse=True):
            if ranges and ranges[-1][0] == number + 1:
                ranges[-1] = (number, ranges[-1][1])
            else:
                ranges.append((number, number))
        acknowledged += numbers(recovery.on_ack(ranges, 40, 0.1 * step).acknowledged)
        lost += numbers(recovery.detect_losses(0.1 * step))
    assert sorted(acknowledged + lost + list(recovery.in_flight)) == list(range(40))
