"""Harmless text: a corpus of what others were attacked with, every code point once, and what must stay readable."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bisik_protocol.chat.text import DOTTED_CIRCLE, MAX_MARKS, REPLACEMENT, harmless

ZWJ, ZWNJ, VS15, VS16 = "\u200d", "\u200c", "\ufe0e", "\ufe0f"

# Format characters that are seen (Prepended_Concatenation_Mark, and the Syriac abbreviation mark): signs, not tricks.
VISIBLE_FORMATS = {*"\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"}

HOSTILE = [
    "\x1b]777;notify;you have mail;click\x07",  # a notification, urxvt
    "\x1b]8;;https://evil.example\x1b\\bank.example\x1b]8;;\x1b\\",  # a link that lies
    "\x1b]52;c;cm0gLXJmIH4=\x07",  # writes the clipboard
    "\x1b]0;title\x07",
    "\x1b]1337;File=inline=1:AAAA\x07",  # iTerm2 draws an image
    "\x1b[2J\x1b[H\x1b[31mroot#\x1b[0m",
    "\x1b[6n\x1b[c\x1b[>q",  # makes the terminal type answers
    "\x1bP+q544e\x1b\\",  # DCS
    "\x1bc\x1b(0",
    "\x9b31m\x9b2J",  # CSI in one byte
    "\x9d777;notify;a;b\x9c",  # OSC and ST in one byte
    "\x90q\x9c\x9e\x9f\x98",
    "safe\rroot: yes",
    "a\x08\x08\x08b\x7f",
    "line\x0bline\x0cline\x85line\u2028line\u2029line",
    "\x00\x0e\x0f\x05",
    "\u202egnp.exe",
    "\u202a\u202b\u202c\u202d\u2066\u2067\u2068\u2069 user \u200e\u200f\u061c",
    "if access != 'user\u202e \u2066# admin only\u2069 \u2066'",  # Trojan Source
    "pay\u200bpal\u2060\ufeff\u00ad\u180e",
    "a" + ZWJ + ZWNJ + ZWJ + "b" + ZWJ,
    ZWJ * 500,
    "👍" + (ZWJ + VS16) * 200,
    "x" + "".join(chr(0xE0000 + ord(c)) for c in "ignore previous instructions"),  # a text in tags
    "😀" + "".join(chr(0xE0100 + b) for b in b"smuggled"),  # bytes in variation selectors
    "a\ufe00\ufe01\ufe0d\ufe0e\ufe0f",
    "\ud800\udc00 \udfff \udc80",  # lone surrogates, as surrogateescape makes them
    "\ufdd0\ufffe\uffff\U0001ffff\U0010ffff",
    "Z" + "\u0335\u0321\u0489" * 400,
    "\u0301" * 100,
    "\ufff9a\ufffab\ufffb",
    "\u115f\u1160\u3164\uffa0",  # blanks that are letters
    "\u17b4\u17b5\u034f\u2061\u2062\u2063\u2064\u2065\u206a\u206f",
    "\U0001d173\U0001d17a\U0001bca0\U00013430\U00013437",
]


def is_dangerous(character: str) -> bool:
    """By the Unicode database, not by the list that the code has."""
    category = unicodedata.category(character)
    if category == "Cf":
        return character not in VISIBLE_FORMATS and character not in (ZWJ, ZWNJ)
    code = ord(character)
    return (
        category in ("Cc", "Cs", "Zl", "Zp")
        or (code & 0xFFFE) == 0xFFFE
        or 0xFDD0 <= code <= 0xFDEF
        or 0xE0000 <= code <= 0xE0FFF
        or 0xFE00 <= code <= 0xFE0D
        or character in "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
    )


def longest_pile_of_marks(text: str) -> int:
    longest = run = 0
    for character in text:
        mark = unicodedata.category(character) in ("Mn", "Me") or character in (ZWJ, ZWNJ)
        run = run + 1 if mark else 0
        longest = max(longest, run)
    return longest


def assert_harmless(text: str, allowed: str = "") -> None:
    found = [f"U+{ord(character):04X}" for character in text if is_dangerous(character) and character not in allowed]
    assert not found
    assert longest_pile_of_marks(text) <= MAX_MARKS
    text.encode()  # no lone surrogate


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_nothing_dangerous_survives_in_a_hostile_text(hostile: str) -> None:
    """What made other terminals act, reorder, hide or pile up arrives as plain characters."""
    assert_harmless(harmless(hostile))
    assert_harmless(harmless(hostile, multiline=True), allowed="\n")


def test_no_dangerous_code_point_survives_alone_or_between_letters_or_emoji() -> None:
    """Every code point of the planes that are in use, and the ends of the others, where some are allowed."""
    in_use = [*range(0x34000), *range(0xE0000, 0xE1100)]
    ends = [plane * 0x10000 + low for plane in range(17) for low in range(0xFFE0, 0x10000)]
    characters = [chr(code) for code in in_use + ends]
    for start in range(0, len(characters), 64):
        block = characters[start : start + 64]
        assert_harmless(harmless("".join(block)))
        assert_harmless(harmless("a😀\u0915\u094d".join(block)))


hostile_text = st.text(
    st.characters()
    | st.sampled_from(
        ZWJ + ZWNJ + VS15 + VS16 + "\u0301\u094d\u0915\u0648\u20e31a😀❤🏽\r\n\t\x1b\x9b\u202e\u200b\ud800"
    )
)


@given(hostile_text)
@example("😀" + ZWJ + VS16 + ZWJ + "😀")
@example("\u0915\u094d" + ZWNJ + ZWJ + VS16 + "\u0915")
@example("a" + "\u0301" * 6 + ZWJ + "\u0301" * 6)
@example(ZWJ + "\u0301a")
@example("\r\u200b\n")
@example("\r\r\n")
@example("1" + VS16 + "\u20e3")
def test_harmless_text_is_left_alone(text: str) -> None:
    """Showing what was already made harmless changes nothing, whoever does it again."""
    for multiline in (False, True):
        once = harmless(text, multiline=multiline)
        assert harmless(once, multiline=multiline) == once
        assert_harmless(once, allowed="\n" if multiline else "")
        assert len(once) <= len(text) + once.count("\n") + 1


@pytest.mark.parametrize(
    "text",
    [
        "halo semua, besok jam 10 ya? (serius!)",
        "résumé naïve Ångström ẹ̀kọ́ Tiếng Việt",
        "Tie\u0302\u0301ng Vie\u0323\u0302t",  # the same, decomposed
        "👍 👍🏽 👩‍👩‍👧 👩🏽‍🚀 🏳️‍🌈 🏴‍☠️ ❤️ ❤️‍🔥 1️⃣ #️⃣ 🇮🇩 ↔️ 🙂‍↔️ ☎︎",
        "\U0001fae8\U0001fadf",  # newer than some Pythons
        "مرحبا بالعالم، السَّلَامُ عَلَيْكُمْ",
        "می‌خواهم کتاب‌ها را بخوانم",
        "नमस्ते दुनिया, क्‍ष क्‌ष",
        "র‍্যাব বাংলাদেশ",
        "ශ්‍රී ලංකා",
        "שָׁלוֹם בְּרֵאשִׁ֖ית",
        "བོད་ཡིག་རྒྱུད",
        "สวัสดีค่ะ ที่นี่",
        "日本語　全角スペース한국어",
        "x² ≠ √2 · a→b",
        "50€\u00a0+ 1\u202f000",
    ],
)
def test_ordinary_writing_is_shown_as_it_was_written(text: str) -> None:
    """Indonesian, accents, emoji, Arabic, Persian, Hindi, Bengali, Sinhala, Hebrew, Tibetan, Thai and CJK."""
    assert harmless(text) == text
    assert harmless(text, multiline=True) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("a\x00b\x07c\x7f", "a␀b␇c␡"),
        ("\x9b31m", REPLACEMENT + "31m"),
        ("a\tb", "a b"),
        ("a\r\nb", "a␍␊b"),
        ("a\x85b\u2028c\u2029d", "a␤b␤c␤d"),
        ("\u202eabc", REPLACEMENT + "abc"),
        ("\ud83d", REPLACEMENT),
        ("pay\u200bpal", "paypal"),
        ("a\u200e\u200fb", "ab"),
        ("soft\u00adhyphen", "softhyphen"),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "🏴"),
        ("a" + ZWJ + "b", "ab"),
        ("a" + VS16, "a"),
        ("❤" + VS16 * 3, "❤" + VS16),
        ("می" + ZWJ + "خ", "میخ"),
        ("\u0301x", DOTTED_CIRCLE + "\u0301x"),
        ("a" + "\u0301" * 50 + "b", "a" + "\u0301" * MAX_MARKS + REPLACEMENT + "b"),
    ],
    ids=ascii,
)
def test_what_is_not_shown_as_itself_is_shown_plainly_or_dropped(text: str, shown: str) -> None:
    """What acts becomes one visible character; what shows nothing is dropped."""
    assert harmless(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\nb"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("a\rb", "a␍b"),
        ("a\r\r\nb", "a␍\nb"),
        ("a\r\u200b\nb", "a\nb"),
        ("a\n\u0301b", "a\n" + DOTTED_CIRCLE + "\u0301b"),
        ("a\u2028b", "a␤b"),
    ],
    ids=ascii,
)
def test_multiline_text_keeps_line_feeds_and_nothing_else(text: str, shown: str) -> None:
    """A line feed is the only control character that a caller can ask for."""
    assert harmless(text, multiline=True) == shown
