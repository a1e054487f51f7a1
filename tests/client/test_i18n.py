"""Sentences in the person's language: which language that is, and that no sentence is missing in it."""

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from bisik import cli, i18n
from bisik.i18n import LOCALE_DIRECTORY, _, language, ngettext, read_catalogue
from tests.support.catalogue import CATALOGUE, CLIENT, sentences

TALKS = {"tell", "_tell", "say", "Say", "Notice", "Problem", "GiveUp"}
"""Functions and classes that take a sentence for a person, beside every exception that is raised."""
QUIET = {"TypeError", "ValueError", "AttributeError", "RemoteProtocolError", "LocalProtocolError", "AssertionError"}


@pytest.fixture
def indonesian(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process in Indonesian."""
    monkeypatch.setenv("LANGUAGE", "id")
    i18n._catalogue.cache_clear()
    yield
    i18n._catalogue.cache_clear()


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "id_ID.UTF-8"}, "id"),
        ({"LANG": "id_ID@latin"}, "id"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
        ({"LANG": "fr_FR.UTF-8", "LANGUAGE": "fr:id:en"}, "id"),
        ({"LANG": "id_ID.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "id_ID.UTF-8"}, "id"),
        ({"LANG": "id_ID.UTF-8", "LANGUAGE": ""}, "id"),
        ({"LANG": "../id"}, "en"),
    ],
)
def test_the_locale_chooses_the_language(environment: dict[str, str], code: str) -> None:
    """As gettext does; English where there is no catalogue."""
    assert language(environment) == code


def test_every_sentence_is_in_the_catalogue_and_none_is_left_over() -> None:
    """Filled in with the help of `python -m tests.support.catalogue`."""
    assert set(sentences()) == set(read_catalogue(CATALOGUE))


@pytest.mark.parametrize("path", sorted(LOCALE_DIRECTORY.glob("*.po")), ids=lambda path: path.name)
def test_a_translation_has_the_same_places_for_names(path: Path) -> None:
    """So that no translation can fail when it is filled in."""
    for sentence, forms in read_catalogue(path).items():
        for form in forms:
            assert sorted(places(form)) == sorted(places(sentence)), sentence


def places(text: str) -> list[tuple[str, str | None]]:
    return [(name, spec) for _text, name, spec, _conversion in string.Formatter().parse(text) if name is not None]


def test_no_sentence_goes_around_the_catalogue() -> None:
    """What is raised, or told to a person, is not a bare string with words in it."""
    broken = []
    for path in sorted(CLIENT.rglob("*.py")):
        if "demo" in path.relative_to(CLIENT).parts:
            continue  # a show for who reads this repository
        tree = ast.parse(path.read_text("utf-8"))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if takes_sentence(call, raised(tree)):
                broken += [f"{path.name}:{node.lineno}" for node in arguments(call) if has_words(node)]
    assert broken == []


def raised(tree: ast.Module) -> set[int]:
    return {id(node.exc) for node in ast.walk(tree) if isinstance(node, ast.Raise)}


def takes_sentence(call: ast.Call, raised_calls: set[int]) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in TALKS or (id(call) in raised_calls and name not in QUIET)


def arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def has_words(node: ast.expr) -> bool:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(
        str(part.value) for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )
    return sum(word.isalpha() for word in text.split()) > 1


@pytest.mark.usefixtures("indonesian")
def test_sentences_come_in_the_persons_language() -> None:
    """Names are filled in afterwards; what is not known stays as it is."""
    assert _("You have left {room}.").format(room="#dapur") == "Anda telah meninggalkan #dapur."
    assert _("no such sentence") == "no such sentence"
    assert ngettext("{n} line", "{n} lines", 1) == ngettext("{n} line", "{n} lines", 2) == "{n} baris"


def test_english_needs_no_catalogue() -> None:
    """The source is what is said, with the form for the number."""
    assert _("You have left {room}.") == "You have left {room}."
    assert [ngettext("{n} line", "{n} lines", n).format(n=n) for n in (0, 1, 2)] == ["0 lines", "1 line", "2 lines"]


@pytest.mark.usefixtures("indonesian")
def test_help_is_translated(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the program and of a command, whose names stay."""
    for arguments, words in [(["--help"], "Masuk dengan tautan undangan"), (["who", "--help"], "Baris JSON")]:
        assert cli.run(arguments) == 0
        assert words in capsys.readouterr().out


@pytest.mark.parametrize("line", ["msgid halo", '"halo', "halo", '"a" "b', "msgid"])
def test_a_damaged_catalogue_names_the_line(line: str, tmp_path: Path) -> None:
    """For who edits it."""
    path = tmp_path / "id.po"
    path.write_text(f'# a comment\nmsgid "a"\nmsgstr "b"\n\n{line}\n', "utf-8")
    with pytest.raises(ValueError, match=r"id\.po, line 5"):
        read_catalogue(path)


def test_an_untranslated_entry_is_as_good_as_none(tmp_path: Path) -> None:
    """English is shown rather than nothing."""
    path = tmp_path / "id.po"
    path.write_text('msgid ""\nmsgstr "Language: id"\n\nmsgid "a"\nmsgstr ""\n\nmsgid "b"\nmsgstr ""\n"c\\n"\n"d"\n')
    assert read_catalogue(path) == {"b": ("c\nd",)}
