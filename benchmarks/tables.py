"""Numbers as people read them: percentiles, ratios, tables in plain text that Markdown shows as they are."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that at least `share` of all do not exceed; nan of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A title, a header, and rows; the first column to the left, the others to the right."""
    widths = [max(len(line[column]) for line in [header, *rows]) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    return "\n".join([title, "", line(header), line(["-" * width for width in widths]), *map(line, rows)])


def number(value: float, digits: int = 0) -> str:
    """A number, a dash where there is none, `never` for what did not happen while anybody waited."""
    if math.isinf(value):
        return "never"
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def ratio(theirs: float, ours: float) -> str:
    """How many times less ours is than theirs."""
    if not (math.isfinite(theirs) and math.isfinite(ours) and ours):
        return "-"
    return f"{theirs / ours:.2f}x"
