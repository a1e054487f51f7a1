"""/set: what is shown, what is changed, and what is said of everything else."""

from pathlib import Path

import pytest

from bisik.for_this_run import Adjustable, ForThisRun
from bisik.settings import KEYS
from bisik.tui.ring import Bell, How, When


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def settings(bell: Bell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ForThisRun:
    monkeypatch.setenv("BISIK_CONFIG", str(tmp_path / "config.toml"))
    return ForThisRun(bell.adjustable())


def test_alone_it_shows_all_of_them(settings: ForThisRun, tmp_path: Path) -> None:
    """What holds, what else there is, what cannot be changed now, and where it stands for good."""
    lines = settings.answer("")
    assert lines[0].startswith("bell = mentions  (off, mentions, all)")
    assert lines[1].startswith("notify = bel  (bel, osc9, osc777)")
    path = tmp_path / "config.toml"
    assert lines[2] == f"theme is not for this run: it is read from {path} at the start."
    assert len(lines) == len(KEYS) + 1
    assert lines[-1] == f"For good it stands in {path}."


@pytest.mark.parametrize("typed", ["bell all", "BELL  All", "bell = all", 'bell="all"'])
def test_a_value_holds_from_then_on(settings: ForThisRun, bell: Bell, typed: str) -> None:
    """As it is typed, or as it stands in the file."""
    assert settings.answer(typed) == ["bell = all"]
    assert bell.when is When.ALL
    assert settings.answer("bell")[0].startswith("bell = all")
    assert settings.answer("notify osc777") == ["notify = osc777"]
    assert bell.how is How.OSC_777


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("bel off", "There is no key 'bel'. Did you mean bell?"),
        ("motion", "There is no key 'motion'."),
        ("bell loud", "bell is one of these: off, mentions, all."),
        ("mouse false", "mouse is not for this run: it is read from"),
    ],
)
def test_mistakes_are_explained_and_change_nothing(settings: ForThisRun, bell: Bell, typed: str, said: str) -> None:
    """With the nearest name where there is one."""
    (line,) = settings.answer(typed)
    assert line.startswith(said)
    assert bell.when is When.MENTIONS


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("/set ", ["bell", "notify"]),
        ("/set bell ", ["off", "mentions", "all"]),
        ("/set mouse ", []),
        ("/set bell off ", []),
        ("set ", []),
        ("", []),
    ],
)
def test_tab_knows_names_and_values(settings: ForThisRun, before: str, words: list[str]) -> None:
    """Only those that can be changed here."""
    assert settings.words(before) == words


def test_an_interface_says_what_it_can_change() -> None:
    """Whatever it is, by the name that the configuration has for it."""
    worn = ["dark"]
    settings = ForThisRun({"theme": Adjustable(lambda: worn[-1], worn.append)})
    assert settings.answer("theme light") == ["theme = light"]
    assert worn == ["dark", "light"]
