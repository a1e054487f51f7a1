"""What every benchmark's command line has in common: full size or a miniature, and a line about the machine."""

import os
import platform
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import click
import trio

from benchmarks.stage import forget_template

P = TypeVar("P")


def machine() -> str:
    """When and where this was measured."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {len(models)} x {model}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, aioquic {version('aioquic')}; "
        f"load average before: {os.getloadavg()[0]:.2f}"
    )


def progress(text: str) -> None:
    """A word on stderr, so that nobody wonders."""
    print(text, file=sys.stderr, flush=True)


def measure(run: Callable[[P], Awaitable[str]], plan: P) -> str:
    """Run a benchmark to its end and return its report."""
    try:
        return trio.run(partial(run, plan))
    finally:
        forget_template()


def command(run: Callable[[P], Awaitable[str]], *, full: P, small: P) -> Any:
    """A click command for a benchmark that has two sizes."""

    @click.command(help=sys.modules[run.__module__].__doc__)
    @click.option("--small", "is_small", is_flag=True, help="In miniature: to see that it works, not to measure.")
    def main(is_small: bool) -> None:
        print(machine())
        print()
        print(measure(run, small if is_small else full))

    return main
