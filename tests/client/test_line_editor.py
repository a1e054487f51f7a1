"""A line being typed: keys in, lines out, and how much of it fits on a row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik.lineedit import LineEditor, Typed, cells, end_that_fits


@pytest.mark.parametrize(
    ("keys", "lines", "left"),
    [
        ("halo\n", ["halo"], ""),
        ("halo\r", ["halo"], ""),
        ("one\ntwo\nthr", ["one", "two"], "thr"),
        ("\n", [""], ""),
        ("halp\x7fo\n", ["halo"], ""),
        ("halp\bo\n", ["halo"], ""),
        ("\x7f\x7fa\n", ["a"], ""),
        ("nonsense\x15halo\n", ["halo"], ""),
        ("one two\x17three\n", ["one three"], ""),
        ("one two  \x17three\n", ["one three"], ""),
        ("one\x17two\n", ["two"], ""),
        ("a\x1b[Ab\x1b[1;5Cc\n", ["abc"], ""),
        ("a\x1bOPb\n", ["ab"], ""),
        ("a\x1bxb\n", ["ab"], ""),
        ("a\x1b[3~b\n", ["ab"], ""),
        ("a\tb\n", ["a b"], ""),
        ("a\x00\x01\x0b\x9bb\n", ["ab"], ""),
        ("日本語é😀\n", ["日本語é😀"], ""),
        ("e\u0301\x7fx\n", ["x"], ""),
        ("\x04", [Typed.END], ""),
        ("a\x04", [], "a"),
        ("a\n\x04", ["a", Typed.END], ""),
    ],
)
def test_keys_become_lines(keys: str, lines: list[str | Typed], left: str) -> None:
    """All at once, or key by key."""
    editor = LineEditor()
    assert editor.feed(keys) == lines
    assert editor.text == left
    slowly = LineEditor()
    assert [done for key in keys for done in slowly.feed(key)] == lines
    assert slowly.text == left


@given(st.text())
def test_no_key_puts_a_control_character_into_a_line(keys: str) -> None:
    """Whatever is typed or pasted."""
    editor = LineEditor()
    lines = [line for line in editor.feed(keys) if isinstance(line, str)]
    assert all(ch >= " " and not "\x7f" <= ch <= "\x9f" for line in [*lines, editor.text] for ch in line)


def test_a_line_does_not_grow_for_ever() -> None:
    """Somebody leans on a key."""
    editor = LineEditor()
    editor.feed("x" * 100_000)
    assert len(editor.text) == 60_000


@pytest.mark.parametrize(("character", "width"), [("a", 1), ("日", 2), ("😀", 2), ("\u0301", 0), ("é", 1)])
def test_cells_of_characters(character: str, width: int) -> None:
    """As terminals count them."""
    assert cells(character) == width


@pytest.mark.parametrize(
    ("text", "columns", "end"),
    [("halo", 10, "halo"), ("halo", 2, "lo"), ("日本", 3, "本"), ("", 5, ""), ("halo", 0, "")],
)
def test_the_end_of_a_long_line_is_what_is_seen(text: str, columns: int, end: str) -> None:
    """Never more than fits."""
    assert end_that_fits(text, columns) == end


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("/se\t", "/se"),
        ("/sea\t", "/search "),
        ("/s\t", "/se"),
        ("/set \tb\t", "/set bell "),
        ("/set bell m\t", "/set bell mentions "),
        ("halo\tsemua", "halo semua"),
        ("\t", " "),
    ],
)
def test_tab_goes_as_far_as_a_word_can_only_be_one(typed: str, text: str) -> None:
    """What is no word of those is followed by a blank, as ever."""
    there = {"": ["/set", "/search"], "/set ": ["bell", "notify"], "/set bell ": ["off", "mentions", "all"]}
    editor = LineEditor(lambda before: there.get(before, []))
    editor.feed(typed)
    assert editor.text == text
