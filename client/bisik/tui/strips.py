"""Lines of styled text as Textual wants them. Styles are names; nothing here reads markup."""

from collections.abc import Iterable

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from bisik.tui.theme import Palette
from bisik.tui.wrap import Span


def strip(spans: Iterable[Span], width: int, palette: Palette, base: Style) -> Strip:
    """A line of exactly `width` cells."""
    segments = [Segment(text, base + palette.style(style)) for text, style in spans if text]
    return Strip(segments).adjust_cell_length(width, base)
