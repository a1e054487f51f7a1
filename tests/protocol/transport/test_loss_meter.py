"""The measure of loss: quick at first, then an average that forgets."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.transport.loss_meter import LossMeter


def measured(loss: float, packets: int, seed: int = 0) -> LossMeter:
    meter = LossMeter()
    rng = random.Random(seed)
    for _ in range(packets):
        if rng.random() < loss:
            meter.on_lost()
        else:
            meter.on_arrived()
    return meter


def test_a_link_counts_as_clean_until_it_shows_otherwise() -> None:
    """Nothing measured is no loss, and neither are arrivals."""
    assert LossMeter().rate == 0.0
    assert measured(0.0, 100).rate == 0.0


def test_the_first_loss_counts_and_one_alone_is_no_bad_link() -> None:
    """The first packet lost is noticed at once, weighed against the first guess."""
    meter = LossMeter()
    meter.on_lost()
    assert 0.05 < meter.rate < 0.3


@pytest.mark.parametrize("loss", [0.1, 0.3, 0.5])
def test_the_average_comes_near_the_truth(loss: float) -> None:
    """Over many runs of 300 packets the mean is what the link does."""
    rates = [measured(loss, 300, seed).rate for seed in range(50)]
    assert sum(rates) / len(rates) == pytest.approx(loss, abs=0.03)


def test_a_link_that_got_better_is_believed() -> None:
    """300 arrivals after heavy loss leave next to nothing of it."""
    meter = measured(0.5, 200)
    for _ in range(300):
        meter.on_arrived()
    assert meter.rate < 0.001


def test_a_long_gap_is_one_event() -> None:
    """A thousand packets lost at once weigh no more than 32: a tunnel is not a lossy link."""
    gap, bounded = LossMeter(), LossMeter()
    gap.on_lost(1000)
    bounded.on_lost(32)
    assert gap.rate == bounded.rate
    assert gap.samples == 32


def test_what_arrives_after_all_is_taken_back() -> None:
    """Reordering is not loss: declared lost and then arrived leaves about what there was."""
    meter = measured(0.2, 400)
    before = meter.rate
    meter.on_lost()
    meter.on_not_lost_after_all()
    assert meter.rate == pytest.approx(before, abs=0.005)


@given(st.lists(st.sampled_from(["arrived", "lost", "back"]), max_size=300))
def test_the_rate_is_always_a_share(events: list[str]) -> None:
    """Whatever happens in whatever order, the rate stays between 0 and 1."""
    meter = LossMeter()
    for event in events:
        {"arrived": meter.on_arrived, "lost": meter.on_lost, "back": meter.on_not_lost_after_all}[event]()
        assert 0.0 <= meter.rate <= 1.0
