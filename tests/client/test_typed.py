"""What a line means: a message, a command, or a mistake with a hint."""

import pytest

from bisik.slash import COMMANDS, TABLE, SlashCommand, Where, available, completions, help_lines
from bisik.typed import Command, Mistake, Say, read_typed


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


@pytest.mark.parametrize("where", list(Where))
def test_help_names_every_command(where: Where) -> None:
    """In the table's order, only those that do something there, and none too long for a small terminal."""
    lines = help_lines(where)
    begun = [line for line in lines if line.startswith("/")]
    assert all(line.startswith(row.usage) for row, line in zip(available(where), begun, strict=True))
    assert max(map(len, lines)) <= 76


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_row_of_the_table_is_whole(row: SlashCommand) -> None:
    """Help for each; and where an argument is needed, an example that is itself understood."""
    assert COMMANDS[row.name] is row
    assert row.help
    assert row.name.startswith("/")
    assert bool(row.example) == row.needs_argument
    if row.example:
        assert not isinstance(read_typed(row.example, next(iter(row.where))), Mistake | None)


def test_a_command_of_another_interface_says_so() -> None:
    """Instead of doing nothing without a word."""
    assert isinstance(read_typed("/theme light"), Mistake)
    assert read_typed("/theme light", Where.SCREEN) == Command("/theme", "light")


def test_commands_are_completed() -> None:
    """From their first letters."""
    assert completions("/w", Where.LINE)[0] == "/who"
    assert completions("/THE", Where.SCREEN) == ["/theme"]
    assert completions("/the", Where.LINE) == []
