"""Text from others, made harmless: what any terminal, journal or notification may be given.

It owns one decision, which code points are shown as they are, and must not know where the text goes. Signed text
is stored and relayed as it was written; only what is shown passes through here.

Code points that act on a terminal or reorder a line (C0, C1, bidi embeddings, overrides and isolates, line
separators, lone surrogates, noncharacters) become one visible character each. Code points that show nothing
(zero-width characters, direction marks, tags, soft hyphens, fillers, selectors that select nothing) are dropped:
the eye misses nothing, and nothing can be smuggled in them. Marks that pile up on one letter are cut. What ordinary
writing needs stays: emoji with their joiners, skin tones and selectors, and ZWJ and ZWNJ where Indic conjuncts and
Persian words need them.
"""

import re
import unicodedata
from typing import Final

MAX_MARKS: Final = 6  # on one letter; Vietnamese needs 2, pointed Hebrew 4, Tibetan 5
REPLACEMENT: Final = "\ufffd"
DOTTED_CIRCLE: Final = "\u25cc"  # Unicode's own bearer for a mark that has no letter

_ZWNJ: Final = "\u200c"
_ZWJ: Final = "\u200d"
_SELECTORS: Final = "\ufe0e\ufe0f"  # text style, emoji style

# Invisible: dropped. All of Default_Ignorable_Code_Point (Unicode 16, reserved ranges included), the annotation and
# layout controls that are not in it, except what _JOINERS and _ACTING take.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2060-\u2065\u206a-\u206f\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]+"
)

# Acting: shown as one character each. C0 and DEL have pictures of their own (U+2400 to U+2421).
_NONCHARACTERS: Final = "\ufdd0-\ufdef" + "".join(
    f"{chr(p | 0xFFFE)}{chr(p | 0xFFFF)}" for p in range(0, 0x110000, 0x10000)
)
_ACTING: Final = re.compile(
    f"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff{_NONCHARACTERS}]"
)

_JOINERS: Final = _ZWNJ + _ZWJ + _SELECTORS
_JOINER_RUN: Final = re.compile(f"[{_JOINERS}]+")
_VIRAMA_CLASS: Final = 9


def harmless(text: str, *, multiline: bool = False) -> str:
    """The text as it may be shown: never longer than it was but for a dotted circle a line, and a fixed point.

    With `multiline`, line feeds stay and CR LF becomes one; the caller must indent what follows a line feed, or a
    message can pretend to be two. A tab becomes a space.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _INVISIBLE.sub("", text)
    if multiline:
        lines = text.replace("\r\n", "\n").split("\n")
        return "\n".join(_harmless_line(line) for line in lines)
    return _harmless_line(text)


def _harmless_line(line: str) -> str:
    line = _ACTING.sub(_picture, line)
    if line.isascii():
        return line
    return _JOINER_RUN.sub(_needed_joiners, _limit_marks(line))


def _picture(match: re.Match[str]) -> str:
    character = match[0]
    if character == "\t":
        return " "
    if character < " ":
        return chr(0x2400 + ord(character))
    if character == "\x7f":
        return "\u2421"
    if character in "\x85\u2028\u2029":
        return "\u2424"  # the picture of a new line
    return REPLACEMENT


def _limit_marks(line: str) -> str:
    """At most MAX_MARKS on one letter, one replacement character for the rest, and none without a letter.

    Joiners are counted too: dropping one later must not bring two runs together. Marks that are spacing (Mc) take
    a cell each and cannot pile up.
    """
    kept: list[str] = []
    run = 0
    for character in line:
        if character < "\u0300" or (character not in _JOINERS and not _is_mark(character)):
            run = 0
        elif not kept and character in _JOINERS:
            continue
        else:
            if not kept:
                kept.append(DOTTED_CIRCLE)
            run += 1
            if run > MAX_MARKS:
                if run == MAX_MARKS + 1:
                    kept.append(REPLACEMENT)
                continue
        kept.append(character)
    return "".join(kept)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Me")


def _needed_joiners(match: re.Match[str]) -> str:
    """Of a run of joiners and selectors: a selector after a symbol, then a joiner where writing needs one.

    It looks only at what is before and after the whole run, so that its own result is left alone the next time.
    """
    line, run = match.string, match[0]
    before = line[match.start() - 1 : match.start()]
    after = line[match.end() : match.end() + 1]
    selector = run[0] if run[0] in _SELECTORS and (_is_symbol(before) or after == "\u20e3") else ""
    joiner = next((character for character in run if character in (_ZWJ, _ZWNJ)), "")
    return selector + (joiner if joiner and _joins(before, joiner, after) else "")


def _joins(before: str, joiner: str, after: str) -> bool:
    """Emoji sequences (UTS 51); either joiner beside a virama (RFC 5892 A.1, and Bengali's ra before ya); ZWNJ
    between letters of joining scripts, as Persian writes it (RFC 5892 A.2, approximately)."""
    if not before or not after:
        return False
    if _is_symbol(before) and _is_symbol(after):
        return joiner == _ZWJ
    if unicodedata.combining(before) == _VIRAMA_CLASS:
        return after.isalpha()
    if unicodedata.combining(after) == _VIRAMA_CLASS:
        return before.isalpha()
    return joiner == _ZWNJ and unicodedata.bidirectional(before) == unicodedata.bidirectional(after) == "AL"


def _is_symbol(character: str) -> bool:
    """Whether emoji are made of it: pictographs, arrows, skin tones, and pictographs newer than this Python."""
    if not character or character < "\u00a9":
        return False
    if "\u2190" <= character <= "\u21ff" or "\U0001f3fb" <= character <= "\U0001f3ff":
        return True
    category = unicodedata.category(character)
    return category == "So" or (category == "Cn" and "\U0001f000" <= character <= "\U0001fbff")
