"""What people read, in their language: English is the source, a catalogue beside this file has the rest.

`_("…")` gives a sentence in the language of the locale, `ngettext` the form for a number, `N_` only marks one that is
translated later. Names are put in afterwards, `_("You are {name}.").format(name=name)`, so that the sentence in the
catalogue is always the same one.

Catalogues are gettext's .po files, read as they are: there is nothing to compile, and an editable install and a wheel
are alike. Data is never translated, only talk: JSON, exit codes and identifiers stay as they are.
"""

import ast
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

LOCALE_VARIABLES: Final = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")  # the first that says something, as gettext
SOURCE_LANGUAGE: Final = "en"
LOCALE_DIRECTORY: Final = Path(__file__).with_name("locale")

Catalogue = dict[str, tuple[str, ...]]
"""From an English sentence to its forms: one, or one for each plural."""


def _(sentence: str) -> str:
    """The sentence in the person's language; itself where there is no translation."""
    return _catalogue().get(sentence, (sentence,))[0]


def ngettext(singular: str, plural: str, number: int) -> str:
    """The form that goes with a number. `{n}` in it is left to the caller's `format`."""
    forms = _catalogue().get(singular)
    if forms is None:
        return singular if number == 1 else plural
    return forms[0] if number == 1 else forms[-1]


def N_(sentence: str) -> str:  # noqa: N802 # gettext's own name for it
    """Mark a sentence in a table; whoever shows it calls `_`."""
    return sentence


def language(environment: Mapping[str, str] | None = None) -> str:
    """The first language of the locale that there is a catalogue for: `id`, or `en`."""
    environment = os.environ if environment is None else environment
    wanted = next((value for name in LOCALE_VARIABLES if (value := environment.get(name))), "")
    for locale in wanted.split(":"):
        code = locale.split(".")[0].split("@")[0].split("_")[0].lower()
        if code == SOURCE_LANGUAGE or (LOCALE_DIRECTORY / f"{code}.po").is_file():
            return code
    return SOURCE_LANGUAGE


@cache
def _catalogue() -> Catalogue:
    code = language()
    if code == SOURCE_LANGUAGE:
        return {}
    try:
        return read_catalogue(LOCALE_DIRECTORY / f"{code}.po")
    except (OSError, ValueError):
        return {}  # in English rather than not at all


def read_catalogue(path: Path) -> Catalogue:
    """A .po file without its header. Raises OSError, and ValueError with the line's number for a damaged one."""
    forms: dict[str, list[str]] = {}
    catalogue: Catalogue = {}
    key = ""
    for number, line in enumerate([*path.read_text("utf-8").splitlines(), ""], start=1):
        text = line.strip()
        if text.startswith("#"):
            continue
        if not text:
            _add(catalogue, forms)
            forms = {}
            continue
        if not text.startswith('"'):
            key, _space, text = text.partition(" ")
            forms[key] = []
        try:
            forms[key].append(ast.literal_eval(text))  # .po escapes are a part of Python's
        except (SyntaxError, ValueError, KeyError):
            raise ValueError(f"{path.name}, line {number}: this is not a line of a catalogue") from None
    return catalogue


def _add(catalogue: Catalogue, forms: dict[str, list[str]]) -> None:
    """One entry of the file; an untranslated one is as good as none."""
    translated = [form for key, parts in forms.items() if key.startswith("msgstr") and (form := "".join(parts))]
    sentence = "".join(forms.get("msgid", []))
    if sentence and translated:
        catalogue[sentence] = tuple(translated)
