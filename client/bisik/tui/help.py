"""The page of keys and commands, over the room. Any of the keys that leave a page leaves it."""

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget

from bisik.i18n import _
from bisik.tui.strips import strip
from bisik.tui.theme import Palette
from bisik.tui.wrap import Line, wrap

KEY_COLUMN_CELLS = 28


class HelpText(Widget, can_focus=True):
    """Lines to scroll in."""

    DEFAULT_CSS = "HelpText { width: 1fr; height: 1fr; padding: 0 1; background: $panel; }"

    def __init__(self, sections: Sequence[tuple[str, Sequence[tuple[str, str]]]], palette: Palette) -> None:
        super().__init__()
        self._sections = sections
        self._palette = palette
        self._lines: list[Line] = []
        self._top = 0

    def on_resize(self, event: events.Resize) -> None:
        width = self.size.width
        column = min(KEY_COLUMN_CELLS, width // 2)
        self._lines = []
        for title, rows in self._sections:
            self._lines += [((title, "heading"),)]
            for key, text in rows:
                head = f"{key}  " if len(key) > column else f"{key:{column}}  "
                self._lines += wrap(((head, "key"), (text, "")), width, indent=min(column + 2, width // 2))
            self._lines.append(())
        self._scroll(0)

    def render_line(self, y: int) -> Strip:
        number = y + self._top
        line = self._lines[number] if number < len(self._lines) else ()
        return strip(line, self.size.width, self._palette, self.rich_style)

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        page = max(1, self.size.height - 2)
        steps = {
            "up": -1,
            "down": 1,
            "pageup": -page,
            "pagedown": page,
            "space": page,
            "home": -100_000,
            "end": 100_000,
        }
        if event.key in steps:
            self._scroll(steps[event.key])
        elif event.key in ("escape", "q", "enter", "f1", "question_mark", "ctrl+c", "ctrl+d"):
            self.screen.dismiss()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._scroll(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._scroll(3)

    def _scroll(self, lines: int) -> None:
        self._top = max(0, min(self._top + lines, len(self._lines) - self.size.height))
        self.refresh()


class HelpPage(ModalScreen[None]):
    """Keys first, then commands."""

    AUTO_FOCUS = "HelpText"

    def __init__(
        self, keys: Sequence[tuple[str, str]], commands: Sequence[tuple[str, str]], palette: Palette
    ) -> None:
        super().__init__()
        self._text = HelpText(
            ((_("Keys (Esc closes this)"), keys), (_("Commands"), commands)),
            palette,
        )

    def compose(self) -> ComposeResult:
        yield self._text
