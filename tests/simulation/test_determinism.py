"""The same seed gives the same run, event for event: otherwise a failing seed is a rumour."""

import os
import subprocess
import sys

import pytest

from tests.simulation.plan import draw_plan
from tests.simulation.world import simulate

SCRIPT = """
from tests.simulation.world import simulate
print([simulate(seed, checksum=True).checksum for seed in (2, 11)])
"""


@pytest.mark.parametrize("seed", [0, 2, 11])
def test_a_seed_gives_the_same_run_again(seed: int) -> None:
    """Two runs in one process agree in every datagram, event and moment."""
    first, second = (simulate(seed, checksum=True) for _ in range(2))
    assert first.events > 100
    assert (first.checksum, first.events) == (second.checksum, second.events)


def test_a_seed_gives_the_same_run_in_another_process() -> None:
    """The order of hashes, other keys and other addresses in memory change nothing."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1, outputs


def test_different_seeds_give_different_runs() -> None:
    """Each seed is another story."""
    assert len({str(draw_plan(seed)) for seed in range(50)}) == 50
    assert simulate(4, checksum=True).checksum != simulate(5, checksum=True).checksum
