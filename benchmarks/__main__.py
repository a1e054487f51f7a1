"""All benchmarks, one after the other; about fifty minutes in full size.

`--record docs/benchmarks.md` also puts what was printed into that page, between its two marks.
"""

from pathlib import Path

import click

from benchmarks import bulk, cpu, fairness, handshakes, latency, log, memory, ready, recovery
from benchmarks.command import machine, measure

BENCHMARKS = {
    "latency": latency,
    "ready": ready,
    "recovery": recovery,
    "cpu": cpu,
    "memory": memory,
    "handshakes": handshakes,
    "bulk": bulk,
    "fairness": fairness,
    "log": log,
}
BEGIN, END = "<!-- printed by `make bench`: begin -->\n", "<!-- printed by `make bench`: end -->\n"


@click.command(help=__doc__)
@click.option("--small", "is_small", is_flag=True, help="In miniature: to see that it works, not to measure.")
@click.option("--record", type=click.Path(path_type=Path, exists=True), help="The page to put the tables into.")
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
def main(is_small: bool, record: Path | None, names: tuple[str, ...]) -> None:
    reports = [machine()]
    print(reports[0], flush=True)
    for name in names or BENCHMARKS:
        benchmark = BENCHMARKS[name]
        report = measure(benchmark.run, benchmark.SMALL if is_small else benchmark.FULL)
        print(f"\n{report}", flush=True)
        reports.append(report)
    if record is not None:
        record.write_text(recorded(record.read_text(), "\n\n".join(reports)))


def recorded(page: str, printed: str) -> str:
    """The page with what was printed in place of what was there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"the page has no line {BEGIN.strip()}"
    assert end, f"the page has no line {END.strip()}"
    return f"{before}{begin}```text\n{printed}\n```\n{end}{after}"


if __name__ == "__main__":
    main()
