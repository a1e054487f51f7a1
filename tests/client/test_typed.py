"""What a line means: a message, a command, or a mistake with a hint."""

import pytest

from bisik.typed import COMMANDS, Command, Mistake, Say, help_lines, read_typed


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("halo", Say("halo")),
        ("  halo  ", Say("  halo")),
        ("//join is a command", Say("/join is a command")),
        ("/me waves", Say("waves", act=True)),
        ("/join #ops", Command("/join", "#ops")),
        ("/JOIN ops ", Command("/join", "ops")),
        ("/leave", Command("/leave")),
        ("/who", Command("/who")),
        ("/rooms", Command("/rooms")),
        ("/quit", Command("/quit")),
        ("qqq", Command("/quit")),
        ("qqq!", Say("qqq!")),
        ("", None),
        ("   ", None),
    ],
)
def test_lines_mean_what_they_say(line: str, meaning: object) -> None:
    """Messages as they are, commands by their first word."""
    assert read_typed(line) == meaning


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("/jion #ops", "Did you mean /join?"),
        ("/exit", "Did you mean /quit?"),
        ("/part", "Did you mean /leave?"),
        ("/whoo", "Did you mean /who?"),
        ("/xyzzy", "/help"),
        ("/", "/help"),
        ("/join", "Like this: /join #room"),
        ("/me", "Like this: /me waves"),
    ],
)
def test_mistakes_get_a_hint(line: str, hint: str) -> None:
    """The nearest command, or how it is done."""
    meaning = read_typed(line)
    assert isinstance(meaning, Mistake)
    assert hint in meaning.text


def test_help_names_every_command() -> None:
    """One a line."""
    assert len(help_lines()) == len(COMMANDS)
    assert all(name in line for name, line in zip(COMMANDS, help_lines(), strict=True))
