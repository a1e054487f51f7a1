"""The input: what is being typed, wrapped, with a cursor. It grows to a few lines and scrolls from there on.

Keys become the actions of `keymap`: those of the editor are carried out here, all others are the app's.
"""

from collections.abc import Callable
from typing import Final

from rich.cells import cell_len, split_graphemes
from textual import events
from textual.geometry import Offset
from textual.strip import Strip
from textual.widget import Widget

from bisik.tui.completion import Completion
from bisik.tui.editor import Editor
from bisik.tui.keymap import Keymap
from bisik.tui.strips import strip
from bisik.tui.theme import Palette
from bisik.tui.wrap import Span

MAX_ROWS: Final = 6
SIGN: Final = "› "


class Prompt(Widget, can_focus=True):
    """The only widget that takes keys."""

    DEFAULT_CSS = "Prompt { height: 1; padding: 0 1; background: $panel; }"

    def __init__(
        self, palette: Palette, keymap: Keymap, completion: Completion, on_action: Callable[[str], None]
    ) -> None:
        """`on_action` is called at once: what is typed next may be meant for another room."""
        super().__init__()
        self.palette = palette
        self.editor = Editor()
        self.keymap = keymap
        self._completion = completion
        self._on_action = on_action
        self._rows: list[tuple[int, int]] = [(0, 0)]
        self._top = 0

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        action = self.keymap.action(event.key)
        if action == "leave" and self.editor.text:
            action = "erase-right"
        if action == "cancel" and self.editor.text:
            action = "clear"
        if action is None and event.character == "?" and not self.editor.text:
            action = "help"
        if action is None:
            modified = event.key.startswith(("alt+", "ctrl+", "super+", "hyper+", "meta+"))
            if event.character is not None and event.is_printable and not modified:
                self.editor.insert(event.character)
                self.update()
        elif action in ("complete", "complete-back"):
            self._completion.next(self.editor, step=1 if action == "complete" else -1)
            self.update()
        elif self.editor.do(action):
            self.update()
        else:
            self._on_action(action)

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.editor.insert(event.text)
        self.update()

    def update(self) -> None:
        """Draw anew what is typed."""
        self._rows = wrapped_rows(self.editor.text, max(4, self.size.width - len(SIGN)))
        height = max(1, min(len(self._rows), MAX_ROWS, self.app.size.height // 3))
        row, _column = self._cursor()
        self._top = min(max(self._top, row - height + 1), row, max(0, len(self._rows) - height))
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
        self.refresh()
        self._place_cursor()

    def on_resize(self, event: events.Resize) -> None:
        self.update()

    def render_line(self, y: int) -> Strip:
        number = y + self._top
        width = self.size.width
        if number >= len(self._rows):
            return strip((), width, self.palette, self.rich_style)
        start, end = self._rows[number]
        spans: list[Span] = [(SIGN if number == 0 else " " * len(SIGN), "prompt")]
        text, cursor = self.editor.text, self.editor.cursor
        if number == self._cursor()[0]:
            behind = cursor + _letter(text[cursor:end])
            spans += [
                (_safe(text[start:cursor]), ""),
                (_safe(text[cursor:behind]) or " ", "cursor"),
                (_safe(text[behind:end]), ""),
            ]
        else:
            spans.append((_safe(text[start:end]), ""))
        return strip(spans, width, self.palette, self.rich_style)

    def _cursor(self) -> tuple[int, int]:
        """Row and column, in cells, of the cursor."""
        cursor = self.editor.cursor
        for number in range(len(self._rows) - 1, -1, -1):
            start = self._rows[number][0]
            if cursor >= start:
                return number, cell_len(self.editor.text[start:cursor])
        return 0, 0

    def _place_cursor(self) -> None:
        """Where the terminal's own cursor is: input methods open their windows there."""
        if not self.is_attached or not self.region:
            return
        row, column = self._cursor()
        self.app.cursor_position = Offset(
            self.content_region.x + len(SIGN) + column, self.content_region.y + row - self._top
        )


def wrapped_rows(text: str, width: int) -> list[tuple[int, int]]:
    """Where each row of the input begins and ends; a full row leaves a cell for the cursor behind it."""
    rows: list[tuple[int, int]] = []
    start = 0
    for line in text.split("\n"):
        used, row = 0, start
        for begin, _end, cells in split_graphemes(line)[0]:
            if used + cells > width - 1 and used:
                rows.append((row, start + begin))
                used, row = 0, start + begin
            used += cells
        rows.append((row, start + len(line)))
        start += len(line) + 1
    return rows


def _letter(text: str) -> int:
    spans = split_graphemes(text[:32])[0]
    return int(spans[0][1]) if spans else 0


def _safe(text: str) -> str:
    """The editor takes no controls; should one ever be in it, it shows as a mark of the same length."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c in "\u200c\u200d" else "�" for c in text)
