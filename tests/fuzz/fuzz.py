"""Fuzz every target by coverage, and print one table. `make fuzz` calls it.

make fuzz SECONDS=600                    all targets together for ten minutes, on two cores
make fuzz SECONDS=60 TARGET=frames       one of them

Exits 1 when something was found; the input is kept in tests/fuzz/findings, and a line says how to see it again. Who
has mended it moves the input to tests/fuzz/corpus/TARGET, which `make test` replays.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import click

from tests.fuzz.target import MAX_INPUT_BYTES
from tests.fuzz.targets import TARGETS

FINDINGS = Path(__file__).parent / "findings"
MAX_INPUT_S = 20  # of a machine that does other things too
MAX_MEMORY_MIB = 1024
IMPORT_S = 300.0  # instrumenting, on a machine that does other things
GRACE_S = 60.0  # for a target to begin and end

_STATUS = re.compile(r"#(\d+)\s.*cov: (\d+) .*corp: (\d+)")
_ARTIFACT = re.compile(r"Test unit written to (\S+)")
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one target. `found` are files with inputs that nothing may raise for."""

    name: str
    seconds: float
    executions: int = 0
    coverage: int = 0
    corpus: int = 0
    found: list[Path] = field(default_factory=list)
    failed: str = ""

    def line(self) -> str:
        verdict = f"{len(self.found)} found" if self.found else self.failed or "nothing"
        return (
            f"{self.name:<20} {self.seconds:>7.0f} {self.executions:>12,} {self.coverage:>9,} {self.corpus:>7,}  "
            f"{verdict}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz what reads bytes of others.")
    parser.add_argument("--seconds", type=float, default=600.0, help="for all targets together")
    parser.add_argument("--target", choices=TARGETS, help="this one alone")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, default=1, help="libFuzzer's")
    arguments = parser.parse_args()
    names = [arguments.target] if arguments.target else list(TARGETS)
    workers = min(arguments.workers, len(names))
    each_s = max(1, int(arguments.seconds * workers / len(names)))
    with ThreadPoolExecutor(workers) as pool:
        shares = [names[number::workers] for number in range(workers)]
        outcomes = [
            each for share in pool.map(lambda mine: fuzz(mine, each_s, arguments.seed), shares) for each in share
        ]
    outcomes.sort(key=lambda outcome: names.index(outcome.name))
    click.echo(f"{'target':<20} {'seconds':>7} {'executions':>12} {'coverage':>9} {'corpus':>7}  findings")
    for outcome in outcomes:
        click.echo(outcome.line())
    for outcome in outcomes:
        for path in outcome.found:
            click.echo(f"again: .venv/bin/python -m tests.fuzz.replay {outcome.name} {path}")
    return any(outcome.found or outcome.failed for outcome in outcomes)


def fuzz(names: list[str], each_s: int, seed: int) -> list[Outcome]:
    """Targets, each for so many seconds, in a process of their own that is killed if it does not end."""
    # keep_seed: where a decoder in C does all the work, no seed adds coverage, and only one of them would be mutated
    options = [
        f"-max_total_time={each_s}", f"-timeout={MAX_INPUT_S}", f"-rss_limit_mb={MAX_MEMORY_MIB}",
        f"-max_len={MAX_INPUT_BYTES}", f"-seed={seed}", "-keep_seed=1",
        "-print_final_stats=1", f"-artifact_prefix={FINDINGS}/new-",
    ]  # fmt: skip
    FINDINGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bisik-fuzz-") as directory:
        command = [sys.executable, "-m", "tests.fuzz.one", directory, *names, "--", *options]
        said = ""
        try:
            limit_s = IMPORT_S + (each_s + GRACE_S) * len(names)
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
            said = done.stderr
        except subprocess.TimeoutExpired:
            said = "It did not stop by itself."
        return [_outcome(name, Path(directory), said) for name in names]


def _outcome(name: str, directory: Path, said: str) -> Outcome:
    exit_file, log = directory / f"{name}.exit", directory / f"{name}.log"
    output = log.read_text("utf-8", "replace") if log.exists() else said
    code, seconds = exit_file.read_text().split() if exit_file.exists() else ("none", "0")
    found = [_kept(name, Path(path)) for path in _ARTIFACT.findall(output)]
    if code != "0":
        click.echo(f"{name}:\n{output[-3000:]}", err=True)
    statuses, executed = _STATUS.findall(output), _EXECUTED.findall(output)
    executions, coverage, corpus = map(int, statuses[-1]) if statuses else (0, 0, 0)
    return Outcome(
        name=name,
        seconds=float(seconds),
        executions=int(executed[-1]) if executed else executions,
        coverage=coverage,
        corpus=corpus,
        found=found,
        failed=f"exit {code}" if code != "0" else "" if coverage else "saw nothing of what it runs",
    )


def _kept(name: str, path: Path) -> Path:
    """The input under its target's name."""
    (FINDINGS / name).mkdir(exist_ok=True)
    return path.rename(FINDINGS / name / path.name.removeprefix("new-"))


if __name__ == "__main__":
    sys.exit(main())
