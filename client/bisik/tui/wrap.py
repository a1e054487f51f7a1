"""Breaking styled text into lines of a terminal, with a hanging indent.

Widths are in cells, as Rich counts them, because Textual lays out with the same numbers. It knows no terminal.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from rich.cells import cell_len, chop_cells

Span = tuple[str, str]  # text and the name of its style
Line = tuple[Span, ...]

MIN_TEXT_CELLS: Final = 8  # of a line, whatever is asked for as an indent

_TOKENS: Final = re.compile(r" +|[^ ]+")


def wrap(spans: Sequence[Span], width: int, *, indent: int = 0) -> list[Line]:
    """Lines of at most `width` cells: all but the first begin with `indent` blanks. Line feeds end a line.

    A word that is longer than a line is broken. There is always at least one line.
    """
    width = max(width, 2)
    indent = max(0, min(indent, width - MIN_TEXT_CELLS))
    lines: list[Line] = []
    for number, paragraph in enumerate(_paragraphs(spans)):
        text = "".join(part for part, _style in paragraph)
        first = width if number == 0 else width - indent
        for start, end in _breaks(text, first, width - indent):
            blank: Line = ((" " * indent, ""),) if lines and indent else ()
            lines.append(blank + tuple(_cut(paragraph, start, end)))
    return lines


def cells(spans: Iterable[Span]) -> int:
    """The width of spans in one line."""
    return sum(cell_len(text) for text, _style in spans)


def fit(text: str, width: int) -> str:
    """The text, or its beginning and an ellipsis, in at most `width` cells."""
    if cell_len(text) <= width:
        return text
    if width <= 0:
        return ""
    return _chop(text, width - 1)[0] + "…" if width > 1 else "…"


def _paragraphs(spans: Sequence[Span]) -> list[list[Span]]:
    paragraphs: list[list[Span]] = [[]]
    for text, style in spans:
        first, *rest = text.split("\n")
        paragraphs[-1].append((first, style))
        paragraphs += [[(part, style)] for part in rest]
    return paragraphs


def _breaks(text: str, first: int, width: int) -> Iterator[tuple[int, int]]:
    """Where the lines of a paragraph begin and end: the first of so many cells, the others of `width`."""
    room, used, start, end = first, 0, 0, 0
    for match in _TOKENS.finditer(text):
        token, size = match[0], _cell_len(match[0])
        if used + size <= room:
            used, end = used + size, match.end()
        elif token[0] == " ":  # blanks at the end of a line are not seen: the next word begins the next line
            yield start, end
            room, used, start, end = width, 0, match.end(), match.end()
        else:
            if used:
                yield start, _without_blanks(text, start, end)
                room, used, start = width, 0, match.start()
            head = _chop(token, room)[0]
            *full, last = [head, *_chop(token[len(head) :], width)] if len(head) < len(token) else [head]
            for part in full:
                yield start, start + len(part)
                start, room = start + len(part), width
            used, end = _cell_len(last), match.end()
    yield start, end


def _without_blanks(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1] == " ":
        end -= 1
    return end


def _chop(text: str, width: int) -> list[str]:
    """Parts of at most `width` cells each; where a single letter is wider, it stands alone."""
    return chop_cells(text, width) or [text] if width >= 2 else list(text)


@lru_cache(maxsize=4096)
def _cell_len(text: str) -> int:
    return cell_len(text)


def _cut(spans: Sequence[Span], start: int, end: int) -> Iterator[Span]:
    """What of a paragraph lies between two positions."""
    position = 0
    for text, style in spans:
        part = text[max(0, start - position) : max(0, end - position)]
        if part:
            yield part, style
        position += len(text)
