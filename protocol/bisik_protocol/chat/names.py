"""Names of people and rooms: the one spelling that is stored, and when two names look too much alike.

A name is put in its one spelling by PRECIS UsernameCaseMapped (RFC 8265) and may hold letters and digits of any
script, and `.`, `_`, `-`. Two people may not have names with the same skeleton (UTS 39 section 4). This file knows
nothing of who has which name.
"""

import pkgutil
import re
import unicodedata
from functools import cache
from typing import Final

import msgspec
import precis_i18n

from bisik_protocol.chat.messages import MAX_NAME_BYTES, MAX_ROOM_BYTES
from bisik_protocol.chat.text import harmless

LOBBY: Final = "#lobby"

_ALLOWED_PUNCTUATION: Final = "._-"
_ROUNDS: Final = 8  # far more than any text is known to need to become stable
_INVISIBLE_JOINERS: Final = "\u200c\u200d"

# What most names are made of looks like nothing else but for these, which is what the whole table comes to for them.
_PLAIN: Final = re.compile(r"[a-z0-9._-]*")
_PLAIN_PROTOTYPES: Final = str.maketrans({"0": "o", "1": "l", "i": "l", "m": "rn"})

_profile = precis_i18n.get_profile("UsernameCaseMapped")


class InvalidName(ValueError):  # noqa: N818 # reads as what it says
    """No name can be spelt like this; the message is one sentence for the person who typed it."""


def canonical_name(text: str) -> str:
    """The one spelling of a person's name. Applied to its own result it changes nothing.

    Raises InvalidName. The sentence never holds what was typed, so it may be shown anywhere.
    """
    return _canonical("name", text, MAX_NAME_BYTES)


def canonical_room(text: str) -> str:
    """The one spelling of a room's name, `#` first; the `#` may be missing in `text`. Raises InvalidName."""
    body = text[1:] if text[:1] in ("#", "\uff03") else text  # U+FF03: the full-width form
    return "#" + _canonical("room name", body, MAX_ROOM_BYTES - 1)


def skeleton(name: str) -> str:
    """What a canonical name looks like: equal for two names that an eye takes for one another. Never shown.

    UTS 39 section 4, in small letters (`0` looks like `O`, and no name has a capital that would tell it from `o`),
    and `i` is taken for `l`: someone who reads `Ian` cannot tell which was meant, and both are spelt without case.
    """
    if _PLAIN.fullmatch(name):
        return name.translate(_PLAIN_PROTOTYPES)
    return _skeleton_by_table(name)


def _skeleton_by_table(name: str) -> str:
    prototypes = _prototypes()
    seen = unicodedata.normalize("NFD", name)
    for _ in range(_ROUNDS):
        small = seen.lower().replace("i\u0307", "i")  # Turkish dotted I, in small letters
        mapped = "".join(prototypes.get(character, character) for character in small)
        mapped = unicodedata.normalize("NFD", mapped)
        if mapped == seen:
            break
        seen = mapped
    return seen


def _canonical(noun: str, text: str, max_bytes: int) -> str:
    if not text:
        raise InvalidName(f"A {noun} needs at least one letter or digit.")
    if len(text) > max_bytes:
        raise _too_long(noun, len(text), max_bytes)
    _refuse_controls_and_spaces(noun, text)
    try:
        for _ in range(_ROUNDS):
            mapped = _profile.apply_five_rules(text)
            if mapped == text:
                break
            text = mapped
        name: str = _profile.enforce(text)
    except UnicodeEncodeError as error:  # how the library says no
        raise InvalidName(_sentence(noun, error)) from None
    _refuse_what_precis_allows(noun, name)
    size = len(name.encode())
    if size > max_bytes:
        raise _too_long(noun, size, max_bytes)
    return name


def _too_long(noun: str, size: int, max_bytes: int) -> InvalidName:
    return InvalidName(
        f"That {noun} is too long: {max_bytes} bytes (as many plain letters) at most, this has {size}."
    )


def _refuse_controls_and_spaces(noun: str, text: str) -> None:
    """Before anything else is said about the text, because these two are what people really type."""
    categories = {unicodedata.category(character) for character in text}
    if not categories.isdisjoint({"Cc", "Zl", "Zp", "Cs"}):
        raise InvalidName(f"A {noun} cannot hold control characters or escape sequences; use letters and digits.")
    if "Zs" in categories:
        raise InvalidName(f"A {noun} cannot hold spaces; use _ or - instead.")


def _refuse_what_precis_allows(noun: str, name: str) -> None:
    """PRECIS allows all printable ASCII, but `/`, `#`, `@` and quotes mean something to people and to shells."""
    for character in name:
        if character.isascii() and not character.isalnum() and character not in _ALLOWED_PUNCTUATION:
            raise InvalidName(f"A {noun} cannot hold {_described(character)}; use letters, digits and . _ - only.")
    if unicodedata.category(name[0])[0] not in "LN" and name[0] != "_":
        raise InvalidName(f"A {noun} begins with a letter or a digit.")
    if not any(unicodedata.category(character)[0] in "LN" for character in name):
        raise InvalidName(f"A {noun} needs at least one letter or digit.")
    if harmless(name) != name:
        raise InvalidName(f"A {noun} cannot hold invisible characters or a heap of accents on one letter.")


def _sentence(noun: str, error: UnicodeEncodeError) -> str:
    kind = error.reason.removeprefix("DISALLOWED/")
    if kind == "empty":
        return f"A {noun} needs at least one letter or digit."
    if kind == "bidi_rule":
        return f"A {noun} cannot mix writing directions like that; begin with a letter and keep to one direction."
    if kind == "not_idempotent":
        return f"A {noun} cannot be spelt like that; use plainer letters."
    return f"A {noun} cannot hold {_described(error.object[error.start])}; use letters and digits."


def _described(character: str) -> str:
    """By number and Unicode name, never the character itself: it may be one that must not reach a terminal."""
    return f"U+{ord(character):04X} ({unicodedata.name(character, 'not a character').lower()})"


class _Prototype(msgspec.Struct):
    c: str


@cache
def _prototypes() -> dict[str, str]:
    """Character to what it looks like, from the Unicode data in confusable-homoglyphs.

    Takes 30 ms, once, when a name with other letters than a to z is met: most starts do not pay for it.

    The package has no skeleton and takes 60 ms to import. Its table holds each line of confusables.txt in both
    directions: a prototype has many partners, what looks like it has one, and in a pair of two the first is what
    looks like the second, because the table was written in that order.
    """
    data = pkgutil.get_data("confusable_homoglyphs", "confusables.json")
    if data is None:
        raise ImportError("confusable-homoglyphs is installed without its data")
    table = msgspec.json.decode(data, type=dict[str, list[_Prototype]])
    order = {entry: place for place, entry in enumerate(table)}
    prototypes = dict.fromkeys(_INVISIBLE_JOINERS, "")
    for entry, partners in table.items():
        source, partner = entry.strip("\u200e"), partners[0].c  # right-to-left entries stand between marks
        if len(source) == 1 and len(partners) == 1 and (len(table[partner]) > 1 or order[entry] < order[partner]):
            prototypes[source] = partner.strip("\u200e")
    prototypes["i"] = "l"
    return prototypes
