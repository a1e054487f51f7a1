"""Numbers, tables, and the page that they are recorded on."""

import math

import pytest

from benchmarks.tables import number, percentile, ratio, table

pytest.importorskip("aioquic", reason="aioquic is what the benchmarks compare with")

from benchmarks.__main__ import BEGIN, END, recorded


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([3.0], 0.5, 3.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([4.0, 3.0, 1.0, 2.0], 0.5, 2.0),
        ([float(value) for value in range(1, 101)], 0.99, 99.0),
        ([float(value) for value in range(1, 101)], 1.0, 100.0),
        ([1.0, 2.0], 0.0, 1.0),
    ],
)
def test_percentiles_are_values_that_were_measured(values: list[float], share: float, expected: float) -> None:
    """The nearest rank, and nothing in between two of them."""
    assert percentile(values, share) == expected


def test_nothing_measured_is_shown_as_a_dash() -> None:
    """Not as a zero, which would be a good result."""
    assert math.isnan(percentile([], 0.5))
    assert number(math.nan) == "-"
    assert ratio(1.0, math.nan) == ratio(math.nan, 1.0) == "-"


def test_what_was_never_heard_is_called_so() -> None:
    """And is compared with nothing."""
    assert number(percentile([1.0, math.inf], 0.99)) == "never"
    assert ratio(math.inf, 1.0) == "-"


def test_a_ratio_says_how_many_times_less_ours_is() -> None:
    """Above one is better than the other."""
    assert ratio(409.0, 145.0) == "2.82x"


def test_a_table_lines_up() -> None:
    """Names to the left, numbers to the right, no blanks at the end of a line."""
    lines = table("Title", ["ms", "p50"], [["aioquic", "1"], ["bisik", "1,234"]]).splitlines()
    assert lines == ["Title", "", "ms         p50", "-------  -----", "aioquic      1", "bisik    1,234"]


def test_recording_replaces_what_was_printed_before_and_nothing_else() -> None:
    """The text around it is a person's."""
    page = f"# Page\n\n{BEGIN}old\n{END}\nMore.\n"
    once = recorded(page, "new")
    assert once == f"# Page\n\n{BEGIN}```text\nnew\n```\n{END}\nMore.\n"
    assert recorded(once, "new") == once
