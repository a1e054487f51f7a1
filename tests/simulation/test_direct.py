"""Direct messages in the simulator: seeds in which people also speak to one another alone."""

from itertools import islice

import pytest

from tests.simulation.plan import draw_plan
from tests.simulation.world import simulate

SEEDS = 8


@pytest.mark.parametrize("place", range(SEEDS))
def test_what_two_people_say_is_kept_from_the_log_and_arrives_once(place: int) -> None:
    """Kills, losses and new devices included; the invariants are those of rooms, and the log holds no text of it."""
    seeds = (seed for seed in range(1000, 2000) if draw_plan(seed).has_direct)
    outcome = simulate(next(islice(seeds, place, None)))
    if outcome.broken is not None:
        pytest.fail(outcome.report, pytrace=False)
