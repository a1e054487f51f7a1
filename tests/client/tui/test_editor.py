"""Typing: the keys of readline, several lines, history, undo."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik.tui.editor import MAX_HISTORY, MAX_TEXT, Editor
from bisik.tui.keymap import ACTIONS


def after(text: str, *actions: str) -> str:
    """A text with `|` for the cursor, after some actions."""
    editor = Editor()
    editor.put(text.replace("|", ""), text.index("|") if "|" in text else None)
    for action in actions:
        assert editor.do(action), action
    return f"{editor.text[: editor.cursor]}|{editor.text[editor.cursor :]}"


@pytest.mark.parametrize(
    ("before", "actions", "then"),
    [
        ("ab|", ["left"], "a|b"),
        ("|ab", ["left"], "|ab"),
        ("a|b", ["right"], "ab|"),
        ("ab|", ["right"], "ab|"),
        ("e\u0301|", ["left"], "|e\u0301"),
        ("👩\u200d🚀|x", ["left"], "|👩\u200d🚀x"),
        ("a\nbc|d", ["line-start"], "a\n|bcd"),
        ("a|b\nc", ["line-end"], "ab|\nc"),
        ("satu dua|", ["word-left"], "satu |dua"),
        ("satu dua  |", ["word-left"], "satu |dua  "),
        ("|satu dua", ["word-right"], "satu| dua"),
        ("abc\nde|f", ["up"], "ab|c\ndef"),
        ("a\ndef|", ["up"], "a|\ndef"),
        ("ab|c\ndef", ["down"], "abc\nde|f"),
        ("abc|\nd\n", ["down"], "abc\nd|\n"),
        ("ab|", ["erase-left"], "a|"),
        ("xe\u0301|", ["erase-left"], "x|"),
        ("|ab", ["erase-left"], "|ab"),
        ("|ab", ["erase-right"], "|b"),
        ("ab|", ["erase-right"], "ab|"),
        ("satu dua/tiga|", ["kill-word-left"], "satu |"),
        ("satu dua/tiga|", ["kill-part-left"], "satu dua/|"),
        ("|satu dua", ["kill-word-right"], "| dua"),
        ("a\nbc|d", ["kill-line-left"], "a\n|d"),
        ("a|b\nc", ["kill-line-right"], "a|\nc"),
        ("a|\nc", ["kill-line-right"], "a|c"),
        ("satu dua|", ["kill-word-left", "kill-word-left", "yank"], "satu dua|"),
        ("|satu dua", ["kill-word-right", "kill-word-right", "yank", "yank"], "satu duasatu dua|"),
        ("satu dua|", ["kill-word-left", "left", "kill-word-left", "yank"], "satu| "),
        ("ab|", ["transpose"], "ba|"),
        ("a|b", ["transpose"], "ba|"),
        ("a|", ["transpose"], "|a"),
        ("ab|", ["new-line"], "ab\n|"),
        ("ab|", ["clear"], "|"),
        ("ab|", ["kill-line-left", "undo"], "ab|"),
        ("ab|", ["undo"], "ab|"),
    ],
)
def test_keys(before: str, actions: list[str], then: str) -> None:
    """Each action moves, erases or puts what readline's does."""
    assert after(before, *actions) == then


def test_what_was_sent_can_be_had_back() -> None:
    """Going up and down in it, and what was being typed is at its end; the same twice in a row counts once."""
    editor = Editor()
    for text in ("satu", "dua", "dua", "  "):
        editor.put(text)
        assert editor.take() == text
    editor.insert("baru")
    seen = []
    for action in ("up", "up", "up", "down", "down", "down"):
        editor.do(action)
        seen.append(editor.text)
    assert seen == ["dua", "satu", "satu", "dua", "baru", "baru"]


def test_history_is_bounded() -> None:
    """The oldest lines are forgotten."""
    editor = Editor()
    for number in range(MAX_HISTORY + 5):
        editor.put(str(number))
        editor.take()
    for _ in range(MAX_HISTORY + 5):
        editor.do("history-older")
    assert editor.text == "5"


def test_nothing_that_acts_on_a_terminal_is_taken() -> None:
    """Not from a paste either; line feeds are."""
    editor = Editor()
    editor.insert("a\x1b[31m\tb\r\nc\u202e\u200b\x9b")
    assert editor.text == "a[31m b\nc"
    editor.replace_before(0, "x\x07")
    assert editor.text == "x"


def test_there_is_an_end_to_what_is_taken() -> None:
    """The rest of a paste is dropped."""
    editor = Editor()
    editor.insert("x" * (MAX_TEXT + 10))
    editor.insert("y")
    assert editor.text == "x" * MAX_TEXT


@given(
    st.text(alphabet="ab /\n寿\u0301👩\u200d", max_size=12),
    st.lists(st.sampled_from([action.name for action in ACTIONS]), max_size=30),
)
def test_the_cursor_is_always_in_the_text(text: str, actions: list[str]) -> None:
    """Whatever is pressed."""
    editor = Editor()
    editor.insert(text)
    for action in actions:
        editor.do(action)
        assert 0 <= editor.cursor <= len(editor.text)
