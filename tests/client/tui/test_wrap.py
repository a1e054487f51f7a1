"""Lines are as wide as they may be, lose nothing but blanks, and hang."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bisik.tui.wrap import Line, cells, fit, wrap


def text_of(line: Line) -> str:
    return "".join(text for text, _style in line)


@pytest.mark.parametrize(
    ("spans", "width", "indent", "lines"),
    [
        ([("", "")], 10, 0, [""]),
        ([("halo", "")], 10, 0, ["halo"]),
        ([("satu dua tiga", "")], 8, 0, ["satu dua", "tiga"]),
        ([("satu dua tiga empat", "")], 12, 2, ["satu dua", "  tiga empat"]),
        (
            [("12:00 <tama> ", "t"), ("satu dua tiga empat", "")],
            24,
            13,
            ["12:00 <tama> satu dua", " " * 13 + "tiga empat"],
        ),
        ([("abcdefghijklmno", "")], 10, 2, ["abcdefghij", "  klmno"]),
        ([("a" * 18, "")], 9, 1, ["a" * 9, " " + "a" * 8, " a"]),
        ([("a\nb", "")], 10, 2, ["a", "  b"]),
        ([("a\n\nb", "")], 10, 2, ["a", "  ", "  b"]),
        ([("寿司寿司寿司", "")], 9, 0, ["寿司寿司", "寿司"]),
        ([("satu     dua", "")], 6, 0, ["satu", "dua"]),
        ([("ab", "x"), ("cd ef", "y")], 4, 0, ["abcd", "ef"]),
    ],
)
def test_lines(spans: list[tuple[str, str]], width: int, indent: int, lines: list[str]) -> None:
    """Words stay whole where they can, and lines after the first begin further in."""
    assert [text_of(line) for line in wrap(spans, width, indent=indent)] == lines


def test_styles_stay_with_their_text() -> None:
    """Also across the end of a line."""
    assert wrap([("a bb ", "x"), ("cc dd", "y")], 6, indent=0) == [(("a bb", "x"),), (("cc dd", "y"),)]


@given(
    st.lists(st.tuples(st.text(alphabet="ab 寿é👩\n", max_size=40), st.sampled_from("xy")), max_size=4),
    st.integers(2, 40),
    st.integers(0, 30),
)
def test_no_line_is_too_wide_and_no_letter_is_lost(spans: list[tuple[str, str]], width: int, indent: int) -> None:
    """Whatever is given."""
    lines = wrap(spans, width, indent=indent)
    assert lines
    assert all(cells(line) <= width for line in lines)
    kept = "".join(text_of(line) for line in lines)
    given_text = "".join(text for text, _style in spans)
    assert kept.replace(" ", "") == given_text.replace(" ", "").replace("\n", "")


@pytest.mark.parametrize(
    ("text", "width", "fitted"),
    [("tama", 4, "tama"), ("tamara", 4, "tam…"), ("寿司寿司", 4, "寿…"), ("ab", 1, "…"), ("ab", 0, "")],
)
def test_what_does_not_fit_ends_with_an_ellipsis(text: str, width: int, fitted: str) -> None:
    """And is never wider than asked for."""
    assert fit(text, width) == fitted
    assert cell_len(fitted) <= width
