"""The client's configuration file: what it may say, what it is told when it is wrong, and the one that is written."""

import tomllib
from pathlib import Path

import pytest

from bisik.errors import WrongUsage
from bisik.settings import CONFIG_VARIABLE, KEYS, Settings, documented, load_settings, write_documented
from bisik.tui.ring import How, When
from bisik.tui.theme import PALETTES
from tests.client.processes import bisik, json_lines


def test_without_a_file_the_table_holds(tmp_path: Path) -> None:
    """Every key has its default, in the table and in the settings alike."""
    settings = load_settings(tmp_path / "none.toml")
    assert {key.name: getattr(settings, key.name) for key in KEYS} == {key.name: key.default for key in KEYS}
    assert settings.given == frozenset()


def test_the_written_file_changes_nothing_and_names_every_key(tmp_path: Path) -> None:
    """As it is, and with every comment sign in front of a key taken away."""
    path = tmp_path / "deep" / "config.toml"
    assert write_documented(path)
    assert tomllib.loads(path.read_text("utf-8")) == {}
    path.write_text(
        "\n".join(line.removeprefix("#") if line[:2] != "# " else "" for line in documented().split("\n"))
    )
    settings = load_settings(path)
    assert settings.given == {key.name for key in KEYS}
    assert settings == Settings(path=path, given=settings.given, keys={"bell": "f5"})
    assert not write_documented(path)


def test_choices_are_what_the_interfaces_know() -> None:
    """The table and the code that obeys it cannot drift apart."""
    choices = {key.name: key.choices for key in KEYS}
    assert choices["bell"] == tuple(when.value for when in When)
    assert choices["notify"] == tuple(how.value for how in How)
    assert set(choices["theme"]) == set(PALETTES)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('bel = "all"', "There is no key 'bel'. Did you mean bell?"),
        ("zzz = 1", "There is no key 'zzz'."),
        ('bell = "loud"', "bell is one of these: off, mentions, all."),
        ("bell = []", "bell is one of these: off, mentions, all."),
        ("mouse = 1", "mouse is true or false."),
        ("keys = 1", "[keys] is a table."),
        ("a = = b", "is not TOML"),
        ("\udcff", "Cannot read"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_half_obeyed(text: str, sentence: str, tmp_path: Path) -> None:
    """With the file, the key, and the nearest right one."""
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(WrongUsage) as raised:
        load_settings(path)
    assert sentence in str(raised.value)
    assert str(path) in str(raised.value)


def test_the_commands_make_show_and_find_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And say where each value comes from."""
    path = tmp_path / "config.toml"
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    assert bisik("config", "path").stdout.strip() == str(path)
    assert bisik("config", "init").stdout.strip() == str(path)
    path.write_text('bell = "all"\n')
    again = bisik("config", "init")
    assert (again.returncode, again.stdout) == (0, "")
    assert "bell = all  " in bisik("config", "show").stdout
    shown = {
        line["key"]: (line["value"], line["from"]) for line in json_lines(bisik("config", "show", "--json").stdout)
    }
    assert shown["bell"] == ("all", "file")
    assert shown["mouse"] == (True, "default")
