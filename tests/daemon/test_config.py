"""bisikd.toml, the environment and the flags: what each means, and a sentence for each mistake."""

from pathlib import Path

import pytest

from bisikd.config import Limits, ListenAddress, default_state_directory, load_settings, parse_listen
from bisikd.errors import UsageProblem


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
    """Everything that an operator may write for an address to listen on."""
    assert parse_listen(text) == expected


@pytest.mark.parametrize("text", ["", "127.0.0.1:99999", "127.0.0.1:abc", "[::1:9", "a b:1", "host:", "999.1.1.1:5"])
def test_what_cannot_be_listened_on_is_said(text: str) -> None:
    """A mistake in the address is one sentence that repeats what was written."""
    with pytest.raises(UsageProblem, match=r"^Cannot listen on .*\.$"):
        parse_listen(text)


def test_a_public_host_that_no_client_could_use_is_refused(tmp_path: Path) -> None:
    """What stands in invites has to be an address that a client reads."""
    with pytest.raises(UsageProblem, match=r"^'a b' cannot stand in an invite: .*\.$"):
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


def test_a_named_file_may_say_where_the_state_is(tmp_path: Path) -> None:
    """A path in the file is relative to the file; a flag stands above it."""
    path = tmp_path / "my.toml"
    path.write_text('state = "data"\n')
    assert load_settings(config=path).state == tmp_path / "data"
    assert load_settings(config=path, state=tmp_path / "flag").state == tmp_path / "flag"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("lisen = 'x'", "there is no key 'lisen'. Did you mean 'listen'?"),
        ("colour = 1", "there is no key 'colour'. The keys are: listen, public_host, state, limits."),
        ("[limits]\nroom = 1", "there is no key 'limits.room'. Did you mean 'limits.rooms'?"),
        ("limits = 5", "'limits' is a table"),
        ("[limits]\nrooms = 0", "'limits.rooms' is a whole number from 1 to 1000000, not 0."),
        ("[limits]\nrooms = true", "'limits.rooms' is a whole number from 1 to 1000000, not True."),
        ("listen = 9999", "'listen' is a text in quotes, not 9999."),
        ("listen = ", "is not valid TOML"),
        ("\xff", "is not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_is_a_sentence_that_names_the_file(tmp_path: Path, content: str, sentence: str) -> None:
    """An operator is told the file, the key, and the nearest key that exists."""
    path = tmp_path / "bisikd.toml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageProblem) as caught:
        load_settings(state=tmp_path)
    assert str(path) in str(caught.value)
    assert sentence in str(caught.value)


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    """Only the file in the state directory is optional."""
    with pytest.raises(UsageProblem, match="There is no configuration file"):
        load_settings(state=tmp_path, config=tmp_path / "none.toml")


def test_the_state_directorys_own_file_cannot_move_it(tmp_path: Path) -> None:
    """That file was found because the state directory is where it is."""
    (tmp_path / "bisikd.toml").write_text('state = "/elsewhere"\n')
    with pytest.raises(UsageProblem, match="cannot be set"):
        load_settings(state=tmp_path)


def test_the_state_directory_of_systemd_is_the_default() -> None:
    """StateDirectory= in a unit sets STATE_DIRECTORY, which may list several."""
    assert default_state_directory({"STATE_DIRECTORY": "/var/lib/bisikd:/x"}) == Path("/var/lib/bisikd")
