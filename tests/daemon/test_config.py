"""bisikd.toml, the environment and the flags: what each means, which one holds, and a sentence for each mistake."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisikd import cli
from bisikd.config import (
    Flags,
    Limits,
    ListenAddress,
    Source,
    all_keys,
    default_state_directory,
    documented_file,
    load,
    load_settings,
    locate_state,
    parse_listen,
)
from bisikd.config.kinds import choice, decimal, flag, text, whole
from bisikd.errors import UsageProblem

OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9999", ListenAddress(host="127.0.0.1", port=9999)),
        ("127.0.0.1:0", ListenAddress(host="127.0.0.1", port=0)),
        ("0.0.0.0", ListenAddress(host="0.0.0.0", port=9999)),  # noqa: S104
        ("[::1]:4000", ListenAddress(host="::1", port=4000)),
        ("::1", ListenAddress(host="::1", port=9999)),
        ("[::]:0", ListenAddress(host="::", port=0)),
        (":4000", ListenAddress(port=4000)),
        ("*:4000", ListenAddress(port=4000)),
        ("4000", ListenAddress(port=4000)),
        ("localhost:0", ListenAddress(host="localhost", port=0)),
    ],
)
def test_where_to_listen(text: str, expected: ListenAddress) -> None:
    """Everything that an operator may write for an address to listen on, and it is shown as it can be written."""
    assert parse_listen(text) == expected
    assert parse_listen(expected.as_text()) == expected


@pytest.mark.parametrize("text", ["", "127.0.0.1:99999", "127.0.0.1:abc", "[::1:9", "a b:1", "host:", "999.1.1.1:5"])
def test_what_cannot_be_listened_on_is_said(tmp_path: Path, text: str) -> None:
    """A mistake in the address is one sentence that repeats what was written and names the flag."""
    with pytest.raises(UsageProblem, match=r"^--listen: .*\.$"):
        load_settings(state=tmp_path, listen=text)


def test_a_public_host_that_no_client_could_use_is_refused(tmp_path: Path) -> None:
    """What stands in invites has to be an address that a client reads."""
    with pytest.raises(UsageProblem, match=r"^--public-host: 'a b' cannot stand in an invite: .*\.$"):
        load_settings(state=tmp_path, public_host="a b")


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    """No file, no flags: every address, port 9999."""
    settings = load_settings(state=tmp_path)
    assert settings.listen == ListenAddress(host=None, port=9999)
    assert settings.limits == Limits()
    assert settings.state == tmp_path


def test_the_file_in_the_state_directory_is_read_and_flags_stand_above_it(tmp_path: Path) -> None:
    """`bisikd.toml` sets what no flag or environment variable sets."""
    (tmp_path / "bisikd.toml").write_text(
        'listen = "127.0.0.1:1234"\npublic_host = "chat.example.org"\n[limits]\nrooms = 7\n'
    )
    settings = load_settings(state=tmp_path)
    assert settings.listen == ListenAddress(host="127.0.0.1", port=1234)
    assert settings.public_host == "chat.example.org"
    assert settings.limits == Limits(rooms=7)
    assert load_settings(state=tmp_path, listen=":5", public_host="other").listen == ListenAddress(port=5)


def test_each_value_says_where_it_comes_from(tmp_path: Path) -> None:
    """A flag above the environment, the environment above the file with its line, the file above the default."""
    (tmp_path / "bisikd.toml").write_text("# mine\n[limits]\nrooms = 7\nsessions = 8\nsessions_per_user = 9\n")
    environment = {"BISIKD_LIMITS_SESSIONS": "80", "BISIKD_LIMITS_SESSIONS_PER_USER": "90"}
    loaded = load(Flags(state=tmp_path, sets=("limits.sessions_per_user=900",)), environment)
    assert loaded.settings.limits == Limits(rooms=7, sessions=80, sessions_per_user=900)
    named = {
        name.removeprefix("limits."): (origin.source, origin.where.replace(str(tmp_path), "STATE"))
        for name, origin in loaded.origins.items()
    }
    assert named["rooms"] == (Source.FILE, "STATE/bisikd.toml, line 3")
    assert named["sessions"] == (Source.ENVIRONMENT, "BISIKD_LIMITS_SESSIONS")
    assert named["sessions_per_user"] == (Source.FLAG, "--set")
    assert named["rooms_per_session"] == (Source.DEFAULT, "")
    assert named["state"] == (Source.FLAG, "--state")


def test_a_named_file_may_say_where_the_state_is(tmp_path: Path) -> None:
    """A path in the file is relative to the file; a flag stands above it, and so does the environment."""
    path = tmp_path / "my.toml"
    path.write_text('state = "data"\n')
    assert load_settings(config=path).state == tmp_path / "data"
    assert load_settings(config=path, state=tmp_path / "flag").state == tmp_path / "flag"
    from_environment = load(environment={"BISIKD_CONFIG": str(path), "BISIKD_STATE": str(tmp_path / "other")})
    assert from_environment.settings.state == tmp_path / "other"
    assert from_environment.file == path


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("lisen = 'x'", ", line 1: there is no key 'lisen'. Did you mean 'listen'?"),
        ("colour = 1", ", line 1: there is no key 'colour'. The keys are: listen, public_host, state."),
        ("\n[limits]\n\nroom = 1", ", line 4: there is no key 'limits.room'. Did you mean 'limits.rooms'?"),
        ("[limit]\nrooms = 1", ", line 2: there is no key 'limit.rooms'. Did you mean 'limits.rooms'?"),
        ("limits.roms = 1", ", line 1: there is no key 'limits.roms'. Did you mean 'limits.rooms'?"),
        ("limits = 5", ", line 1: 'limits' is a table: write [limits] and its keys below."),
        ("[limits]\nrooms = 0", ", line 2: 'limits.rooms' is a whole number from 1 to 1000000, not 0."),
        ("[limits]\nrooms = true", ", line 2: 'limits.rooms' is a whole number from 1 to 1000000, not True."),
        ("listen = 9999", ", line 1: 'listen' is a text in quotes, not 9999."),
        ("state = ''", ", line 1: 'state' cannot be set in the state directory's own file."),
        ("listen = ", "is not valid TOML"),
        ("a = 1\n\xff", "is not valid TOML: line 2 is not UTF-8 text."),
    ],
)
def test_a_mistake_in_the_file_is_a_sentence_that_names_the_place(
    tmp_path: Path, content: str, sentence: str
) -> None:
    """An operator is told the file, the line, the key, and the nearest key that exists."""
    path = tmp_path / "bisikd.toml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageProblem) as caught:
        load_settings(state=tmp_path)
    assert str(path) in str(caught.value)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("sets", "environment", "sentence"),
    [
        (("limits.rooms",), {}, "--set limits.rooms: write it as KEY=VALUE"),
        (("limits.rom=1",), {}, "there is no key 'limits.rom'. Did you mean 'limits.rooms'?"),
        (("limits.rooms=many",), {}, "--set: 'limits.rooms' is a whole number from 1 to 1000000, not 'many'."),
        ((), {"BISIKD_LIMITS_ROOMS": "0"}, "BISIKD_LIMITS_ROOMS: 'limits.rooms' is a whole number"),
        ((), {"BISIKD_LISTEN": "host:port"}, "BISIKD_LISTEN: Cannot listen on 'host:port'"),
    ],
)
def test_a_mistake_above_the_file_names_the_flag_or_the_variable(
    tmp_path: Path, sets: tuple[str, ...], environment: dict[str, str], sentence: str
) -> None:
    """Whoever started the daemon is told which of what they gave is wrong."""
    with pytest.raises(UsageProblem) as caught:
        load(Flags(state=tmp_path, sets=sets), environment)
    assert sentence in str(caught.value)


def test_variables_that_are_no_keys_are_let_alone(tmp_path: Path) -> None:
    """Kubernetes sets BISIKD_PORT and the like for a service of this name."""
    assert load(Flags(state=tmp_path), {"BISIKD_PORT": "udp://10.0.0.7:9999"}).settings.limits == Limits()


@pytest.mark.parametrize(
    ("kind", "taken", "refused"),
    [
        (whole(1, 9), {"1": 1, " 9 ": 9}, ["0", "10", "-1", "1.5", "", "²"]),
        (decimal(0.5, 2), {"0.5": 0.5, "2": 2.0}, ["0", "nan", "inf", "much", ""]),
        (flag(), {"true": True, "No": False, "1": True}, ["maybe", "2", ""]),
        (text(), {"x": "x"}, ["", "  "]),
        (choice("all", "none"), {"all": "all"}, ["some", ""]),
    ],
)
def test_kinds_of_values_read_texts(kind: Any, taken: dict[str, Any], refused: list[str]) -> None:
    """Flags and variables are texts: each kind makes a value of them, or refuses what is none."""
    assert {given_text: kind.read(kind.from_text(given_text)) for given_text in taken} == taken
    for wrong in refused:
        with pytest.raises(ValueError, match=r"^$"):
            kind.read(kind.from_text(wrong))


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
def test_whatever_is_in_the_file_the_answer_is_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Any bytes at all are settings, or a UsageProblem; never anything else."""
    directory = tmp_path_factory.getbasetemp() / "any"
    directory.mkdir(exist_ok=True)
    (directory / "bisikd.toml").write_bytes(content)
    sentence = "."
    try:
        load(Flags(state=directory), {})
    except UsageProblem as problem:
        sentence = str(problem)
    assert sentence.endswith((".", "?"))


def test_a_mistake_in_the_file_does_not_hide_the_running_daemon(tmp_path: Path) -> None:
    """Commands that ask it only need to know where its state is."""
    path = tmp_path / "my.toml"
    path.write_text('state = "data"\n[limits]\nrooms = "many"\n')
    assert locate_state(Flags(config=path), {}) == tmp_path / "data"
    assert locate_state(Flags(), {"BISIKD_CONFIG": str(path), "BISIKD_STATE": str(tmp_path)}) == tmp_path
    (tmp_path / "bisikd.toml").write_text("nonsense")
    assert locate_state(Flags(state=tmp_path), {}) == tmp_path


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    """Only the file in the state directory is optional."""
    with pytest.raises(UsageProblem, match="There is no configuration file"):
        load_settings(state=tmp_path, config=tmp_path / "none.toml")


def test_the_state_directory_of_systemd_is_the_default() -> None:
    """StateDirectory= in a unit sets STATE_DIRECTORY, which may list several."""
    assert default_state_directory({"STATE_DIRECTORY": "/var/lib/bisikd:/x"}) == Path("/var/lib/bisikd")


# The file that documents itself ------------------------------------------------------------------------------------


def test_the_documented_file_sets_nothing_and_names_every_key(tmp_path: Path) -> None:
    """As written it changes nothing; with every # before a key taken away it says the defaults once more."""
    (tmp_path / "bisikd.toml").write_text(documented_file())
    fresh = load(Flags(state=tmp_path), {})
    assert {origin.source for name, origin in fresh.origins.items() if name != "state"} == {Source.DEFAULT}
    uncommented = re.sub(r"^# (\w+ = )", r"\1", documented_file(), flags=re.MULTILINE)
    kept = [line for line in uncommented.split("\n") if not line.startswith("state =") and not line.endswith('= ""')]
    (tmp_path / "bisikd.toml").write_text("\n".join(kept))
    every = load(Flags(state=tmp_path), {})
    assert every.settings == fresh.settings
    empty = {key.name for key in all_keys() if key.default is None}
    from_file = {name for name, origin in every.origins.items() if origin.source is Source.FILE}
    assert from_file == {key.name for key in all_keys()} - empty


def test_every_key_is_in_the_manual() -> None:
    """docs/operating.md has a row for each key, and for none that does not exist."""
    manual = OPERATING.read_text(encoding="utf-8")
    section = manual[manual.index("\n## Configuration\n") :].split("\n## ")[1]
    documented = set(re.findall(r"^\| `([a-z_.]+)` \|", section, re.MULTILINE))
    assert documented == {key.name for key in all_keys()} | {"state"}


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    out, err = capfd.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


def test_init_writes_the_file_once(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A file that an operator has is never written over, and the first one makes its directory."""
    state = tmp_path / "state"
    assert run(capfd, "config", "init", "--state", str(state))[0] == 0
    path = state / "bisikd.toml"
    assert path.read_text() == documented_file()
    path.write_text("# mine")
    code, _, said = run(capfd, "config", "init", "--state", str(state))
    assert code == 1
    assert "was kept" in said
    assert path.read_text() == "# mine"
    assert run(capfd, "config", "init", "--print") == (0, documented_file(), "")


def test_show_says_what_holds_and_why(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For people a line a key, for programs one object."""
    (tmp_path / "bisikd.toml").write_text("[limits]\nrooms = 7\n")
    monkeypatch.setenv("BISIKD_LIMITS_SESSIONS", "80")
    code, out, _ = run(capfd, "config", "show", "--state", str(tmp_path))
    assert code == 0
    lines = {line.split("  # ")[0].rstrip(): line.split("  # ")[1] for line in out.splitlines()}
    assert lines["limits.rooms = 7"] == f"{tmp_path}/bisikd.toml, line 2"
    assert lines["limits.sessions = 80"] == "BISIKD_LIMITS_SESSIONS"
    assert lines['listen = ":9999"'] == "default"
    assert lines["public_host is not set"] == "default"
    shown = json.loads(run(capfd, "config", "show", "--state", str(tmp_path), "--json")[1])
    assert shown["file"] == str(tmp_path / "bisikd.toml")
    assert shown["values"]["limits.rooms"] == {
        "value": 7,
        "source": "file",
        "where": f"{tmp_path}/bisikd.toml, line 2",
    }


def test_show_refuses_what_a_start_would_refuse(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """So it is the way to check a file before a restart."""
    (tmp_path / "bisikd.toml").write_text("lissten = 1\n")
    code, out, said = run(capfd, "config", "show", "--state", str(tmp_path))
    assert (code, out) == (2, "")
    assert "Did you mean 'listen'?" in said
