"""A slice of the campaign that `make soak` runs: whole daemons and clients, some dozens of seeds."""

import pytest

from tests.simulation.world import simulate

SEEDS = 16
BROKEN_BEFORE = (2105, 2986, 3227, 4414, 4693, 6560, 7910)  # once; what each found is told where it was mended


@pytest.mark.parametrize("seed", [*range(SEEDS), *BROKEN_BEFORE])
def test_nothing_false_is_shown_and_all_arrives_once_the_network_heals(seed: int) -> None:
    """Whatever a seed makes go wrong: safe all the time, and alive when it is over."""
    outcome = simulate(seed)
    if outcome.broken is not None:
        pytest.fail(outcome.report, pytrace=False)
