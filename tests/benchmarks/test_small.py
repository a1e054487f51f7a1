"""Every benchmark in miniature: real programs on loopback, the real relay, and a table at the end."""

import gc
import re
from collections.abc import Iterator

import pytest

pytest.importorskip("aioquic", reason="aioquic is what the benchmarks compare with")

import trio

from benchmarks.__main__ import BENCHMARKS
from benchmarks.stage import forget_template

PATIENCE_S = 120.0


@pytest.fixture(autouse=True, scope="module")
def _nothing_left_behind() -> Iterator[None]:
    yield
    forget_template()


@pytest.mark.parametrize("name", BENCHMARKS)
async def test_it_runs_and_prints_a_table_with_a_ratio(name: str) -> None:
    """Side by side with its peer, in one run."""
    benchmark = BENCHMARKS[name]
    with trio.fail_after(PATIENCE_S):
        report = await benchmark.run(benchmark.SMALL)
    if name == "log":  # its peer is the bare disk
        assert "bare write+fdatasync" in report
    else:
        assert "aioquic" in report
        assert "bisik" in report
    assert re.search(r"\d\.\d\dx", report)
    gc.collect()  # a socket left open would be told here, and be an error
