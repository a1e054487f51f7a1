"""A text being typed: several lines, a cursor, the keys of readline, and what was sent before.

Keys arrive as the names of actions (`keymap` says which key is which) and as text. It draws nothing.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from rich.cells import split_graphemes

MAX_TEXT: Final = 60_000  # characters; what is typed beyond is not taken
MAX_HISTORY: Final = 200
MAX_UNDO: Final = 200
_JOINERS: Final = "\u200c\u200d"  # not printable, and words and emoji need them


class Editor:
    """`text` with a `cursor` in it, between 0 and its length."""

    def __init__(self) -> None:
        self.text = ""
        self.cursor = 0
        self._killed = ""
        self._killing = False  # the last action was a kill: the next one adds to what was killed
        self._history: list[str] = []
        self._place: int | None = None  # in the history; None: what is being typed now
        self._unsent = ""
        self._undo: deque[tuple[str, int]] = deque(maxlen=MAX_UNDO)

    @property
    def before(self) -> str:
        """What stands before the cursor."""
        return self.text[: self.cursor]

    def put(self, text: str, cursor: int | None = None) -> None:
        """Replace everything."""
        self.text = text[:MAX_TEXT]
        self.cursor = len(self.text) if cursor is None else max(0, min(cursor, len(self.text)))
        self._place = None
        self._killing = False

    def insert(self, text: str) -> None:
        """Put text at the cursor. Tabs become blanks; other controls, but for line feeds, are not taken."""
        self.replace_before(self.cursor, text)

    def replace_before(self, start: int, text: str) -> None:
        """Put text in the place of what stands between a position and the cursor."""
        self._killing = False
        self._replace(start, self.cursor, text)

    def do(self, action: str) -> bool:
        """Carry out an action by its name. False where there is none of that name."""
        act = _ACTIONS.get(action)
        if act is None:
            return False
        act(self)
        self._killing = action in _KILLS
        return True

    def take(self) -> str:
        """What was typed. The input is empty after that; going up in the history brings it back."""
        text = self.text
        if text.strip() and self._history[-1:] != [text]:
            self._history.append(text)
            del self._history[:-MAX_HISTORY]
        self.put("")
        self._undo.clear()
        return text

    def _replace(self, start: int, end: int, text: str) -> None:
        text = _plain(text)[: max(0, MAX_TEXT - len(self.text) + (end - start))]
        if start == end and not text:
            return
        self._undo.append((self.text, self.cursor))
        self.text = self.text[:start] + text + self.text[end:]
        self.cursor = start + len(text)

    # Moving -----------------------------------------------------------------------------------------------------

    def _left(self) -> None:
        self.cursor -= _last_letter(self.text[: self.cursor])

    def _right(self) -> None:
        self.cursor += _first_letter(self.text[self.cursor :])

    def _line_start(self) -> None:
        self.cursor = self.text.rfind("\n", 0, self.cursor) + 1

    def _line_end(self) -> None:
        end = self.text.find("\n", self.cursor)
        self.cursor = len(self.text) if end < 0 else end

    def _word_left(self) -> None:
        self.cursor = self._word_start()

    def _word_right(self) -> None:
        self.cursor = self._word_end()

    def _up(self) -> None:
        """The line above; from the first line, what was sent before."""
        start = self.text.rfind("\n", 0, self.cursor) + 1
        if start == 0:
            self._older()
            return
        above = self.text.rfind("\n", 0, start - 1) + 1
        self.cursor = min(above + (self.cursor - start), start - 1)

    def _down(self) -> None:
        end = self.text.find("\n", self.cursor)
        if end < 0:
            self._newer()
            return
        column = self.cursor - (self.text.rfind("\n", 0, self.cursor) + 1)
        below_end = self.text.find("\n", end + 1)
        self.cursor = min(end + 1 + column, len(self.text) if below_end < 0 else below_end)

    def _older(self) -> None:
        place = len(self._history) if self._place is None else self._place
        if place == 0:
            return
        if self._place is None:
            self._unsent = self.text
        self.put(self._history[place - 1])
        self._place = place - 1

    def _newer(self) -> None:
        if self._place is None:
            return
        place = self._place + 1
        if place < len(self._history):
            self.put(self._history[place])
            self._place = place
        else:
            self.put(self._unsent)

    # Erasing ----------------------------------------------------------------------------------------------------

    def _erase_left(self) -> None:
        self._replace(self.cursor - _last_letter(self.text[: self.cursor]), self.cursor, "")

    def _erase_right(self) -> None:
        self._replace(self.cursor, self.cursor + _first_letter(self.text[self.cursor :]), "")

    def _kill_word_left(self) -> None:
        self._kill(self._word_start(blanks_only=True), self.cursor)

    def _kill_part_left(self) -> None:
        self._kill(self._word_start(), self.cursor)

    def _kill_word_right(self) -> None:
        self._kill(self.cursor, self._word_end())

    def _kill_line_left(self) -> None:
        self._kill(self.text.rfind("\n", 0, self.cursor) + 1, self.cursor)

    def _kill_line_right(self) -> None:
        end = self.text.find("\n", self.cursor)
        end = len(self.text) if end < 0 else max(end, self.cursor + 1)
        self._kill(self.cursor, end)

    def _kill(self, start: int, end: int) -> None:
        killed, forward = self.text[start:end], start == self.cursor
        if not self._killing:
            self._killed = killed
        else:
            self._killed = self._killed + killed if forward else killed + self._killed
        self._replace(start, end, "")

    def _yank(self) -> None:
        self._replace(self.cursor, self.cursor, self._killed)

    def _transpose(self) -> None:
        if self.cursor == len(self.text):
            self._left()
        if 0 < self.cursor < len(self.text):
            one, other = self.text[self.cursor - 1], self.text[self.cursor]
            self._replace(self.cursor - 1, self.cursor + 1, other + one)

    def _new_line(self) -> None:
        self._replace(self.cursor, self.cursor, "\n")

    def _clear(self) -> None:
        self._replace(0, len(self.text), "")

    def _undo_last(self) -> None:
        if self._undo:
            self.text, self.cursor = self._undo.pop()

    # Words ------------------------------------------------------------------------------------------------------

    def _word_start(self, *, blanks_only: bool = False) -> int:
        position = self.cursor
        while position > 0 and not _in_word(self.text[position - 1], blanks_only=blanks_only):
            position -= 1
        while position > 0 and _in_word(self.text[position - 1], blanks_only=blanks_only):
            position -= 1
        return position

    def _word_end(self) -> int:
        position = self.cursor
        while position < len(self.text) and not _in_word(self.text[position]):
            position += 1
        while position < len(self.text) and _in_word(self.text[position]):
            position += 1
        return position


def _plain(text: str) -> str:
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").replace("\u00a0", " ")
    return "".join(letter for letter in text if letter == "\n" or letter.isprintable() or letter in _JOINERS)


def _in_word(letter: str, *, blanks_only: bool = False) -> bool:
    return not letter.isspace() if blanks_only else letter.isalnum() or letter == "_"


def _first_letter(text: str) -> int:
    """Code points of the first letter as people see it, with the marks on it."""
    head = text[:32]
    spans, _cells = split_graphemes(head)
    return spans[0][1] if spans else len(head[:1])


def _last_letter(text: str) -> int:
    tail = text[-32:]
    spans, _cells = split_graphemes(tail)
    return spans[-1][1] - spans[-1][0] if spans else len(tail[:1])


_ACTIONS: Final[dict[str, Callable[[Editor], None]]] = {
    "left": Editor._left,
    "right": Editor._right,
    "line-start": Editor._line_start,
    "line-end": Editor._line_end,
    "word-left": Editor._word_left,
    "word-right": Editor._word_right,
    "up": Editor._up,
    "down": Editor._down,
    "history-older": Editor._older,
    "history-newer": Editor._newer,
    "erase-left": Editor._erase_left,
    "erase-right": Editor._erase_right,
    "kill-word-left": Editor._kill_word_left,
    "kill-part-left": Editor._kill_part_left,
    "kill-word-right": Editor._kill_word_right,
    "kill-line-left": Editor._kill_line_left,
    "kill-line-right": Editor._kill_line_right,
    "yank": Editor._yank,
    "transpose": Editor._transpose,
    "new-line": Editor._new_line,
    "clear": Editor._clear,
    "undo": Editor._undo_last,
}
_KILLS: Final = {name for name in _ACTIONS if name.startswith("kill-")}
