"""A line being typed: keys in, finished lines out. It draws nothing and knows no terminal.

The least that a person expects: letters of any script, Backspace, ^W, ^U, Enter, ^D, Tab for the rest of a
word that can only be one. Sequences of other keys (arrows, function keys) are swallowed whole, so that they never end
up in a message.
"""

import unicodedata
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Final

MAX_LINE: Final = 60_000  # characters; what is typed beyond is not taken

_ENTER: Final = "\r\n"
_BACKSPACE: Final = "\x7f\b"
_ERASE_LINE: Final = "\x15"  # ^U
_ERASE_WORD: Final = "\x17"  # ^W
_END: Final = "\x04"  # ^D
_ESCAPE: Final = "\x1b"


class Typed(Enum):
    """What happened that is not a line."""

    END = auto()  # ^D on an empty line


class _Sequence(Enum):
    NONE = auto()
    BEGUN = auto()  # ESC
    CONTROL = auto()  # ESC [ … until a letter or ~
    SINGLE = auto()  # ESC O x


class LineEditor:
    """`text` is what stands on the line now."""

    def __init__(self, words: Callable[[str], Iterable[str]] = lambda before: ()) -> None:
        """`words` says which words there are behind a beginning of the line."""
        self.text = ""
        self._words = words
        self._sequence = _Sequence.NONE

    def feed(self, keys: str) -> list[str | Typed]:
        """Take what was typed; the lines that were finished by it, in order."""
        done: list[str | Typed] = []
        for key in keys:
            if self._in_sequence(key):
                continue
            if key in _ENTER:
                done.append(self.text)
                self.text = ""
            elif key == _END:
                if not self.text:
                    done.append(Typed.END)
            else:
                self._edit(key)
        return done

    def _edit(self, key: str) -> None:
        if key in _BACKSPACE:
            self.text = _without_last(self.text)
        elif key == _ERASE_LINE:
            self.text = ""
        elif key == _ERASE_WORD:
            kept = self.text.rstrip()
            self.text = kept[: kept.rfind(" ") + 1]
        elif key == "\t":
            self._complete()
        elif unicodedata.category(key) != "Cc" and len(self.text) < MAX_LINE:
            self.text += key

    def _complete(self) -> None:
        """As far as all words that it can be go together; a blank where it cannot be any."""
        start = self.text.rfind(" ") + 1
        before, word = self.text[:start], self.text[start:]
        found = [each for each in self._words(before) if each.startswith(word)] if word or before else []
        rest = _common(found)[len(word) :]
        self.text += rest if len(found) > 1 else f"{rest} "

    def _in_sequence(self, key: str) -> bool:
        """Whether the key belongs to an escape sequence."""
        if self._sequence is _Sequence.NONE:
            if key != _ESCAPE:
                return False
            self._sequence = _Sequence.BEGUN
        elif self._sequence is _Sequence.BEGUN and key == "[":
            self._sequence = _Sequence.CONTROL
        elif self._sequence is _Sequence.BEGUN and key == "O":
            self._sequence = _Sequence.SINGLE
        elif self._sequence is not _Sequence.CONTROL or "@" <= key <= "~":
            self._sequence = _Sequence.NONE
        return True


def _common(words: list[str]) -> str:
    """The beginning that all of them have."""
    shortest = min(words, key=len, default="")
    differs = (n for n, letter in enumerate(shortest) if any(word[n] != letter for word in words))
    return shortest[: next(differs, None)]


def _without_last(text: str) -> str:
    """Without the last letter, and with it the marks that stand on it."""
    end = len(text) - 1
    while end > 0 and unicodedata.category(text[end]) in ("Mn", "Me", "Mc", "Cf"):
        end -= 1
    return text[: max(end, 0)]


def cells(character: str) -> int:
    """How many columns of a terminal a character takes, as far as the Unicode data tell."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def end_that_fits(text: str, columns: int) -> str:
    """The end of a text, as much as fits into so many columns."""
    taken, start = 0, len(text)
    while start > 0 and taken + cells(text[start - 1]) <= columns:
        start -= 1
        taken += cells(text[start])
    return text[start:]
