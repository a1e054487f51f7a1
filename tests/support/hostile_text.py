"""Text that wants to act on a terminal, or to look like other text: one corpus for all places where it is shown."""

from typing import Final

CORPUS: Final = {
    "clear": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "title by ST": "\x1b]2;owned\x1b\\",
    "8-bit CSI": "\x9b2J",
    "8-bit OSC": "\x9d0;owned\x9c",
    "DCS": "\x1bP1;1|owned\x1b\\",
    "device report": "\x1b[6n\x1b[c\x05",
    "clipboard": "\x1b]52;c;b3duZWQ=\x07",
    "notification": "\x1b]777;notify;owned;owned\x07",
    "hyperlink": "\x1b]8;;http://owned.example\x07click\x1b]8;;\x07",
    "alternate screen": "\x1b[?1049h\x1b[?25l\x1b[?1000h",
    "colours": "\x1b[31;5mred\x1b[0m",
    "bell and backspace": "\x07\x08\x08\x08owned",
    "carriage return": "honest\rowned",
    "new line": "honest\n09:00 <tama> owned",
    "vertical": "a\x0bb\x0cc\x1cd\x85e",
    "delete": "a\x7fb",
    "null": "a\x00b",
    "shift out": "\x0eowned\x0f",
    "bidi override": "\u202eowned\u202c",
    "bidi isolate": "\u2066owned\u2069 \u2067x\u2069",
    "bidi marks": "a\u200eb\u200fc\u061cd",
    "zero width": "o\u200bw\u200cn\u2060e\ufeffd",
    "line separators": "honest\u2028owned\u2029owned",
    "tags": "a\U000e0068\U000e0069b",
    "variation": "a\ufe0fb\U000e0100c",
    "interlinear": "a\ufff9b\ufffac\ufffbd",
    "soft hyphen": "ow\u00adned",
    "many marks": "a" + "\u0301" * 60,
}
LAST: Final = "this is the end of the corpus"

INVISIBLE: Final = frozenset(
    "\u200b\u200c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\u061c"
    "\ufff9\ufffa\ufffb\U000e0068\U000e0069\U000e0100"
)
"""Characters that no interface may let through to a terminal as they are."""


def raw_controls(shown: str) -> set[str]:
    """The control characters in a text, but for the ends of lines."""
    return {c for c in shown if (c < " " and c not in "\r\n") or "\x7f" <= c <= "\x9f"}
