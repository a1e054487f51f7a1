"""What a person types in a room: a message, a command, or something that looks like one.

It reads; it does not act (see `desk`). `/` begins a command of the table in `slash`, `//` a message that begins with
`/`, and `qqq` leaves, as ever.
"""

from dataclasses import dataclass

from bisik.i18n import _
from bisik.slash import COMMANDS, Where, nearest


@dataclass(frozen=True, slots=True)
class Say:
    """Something for the room."""

    text: str
    act: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the table, by its name, and what stands behind it."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Nothing that can be done; `text` says why."""

    text: str


Typed = Say | Command | Mistake


def read_typed(line: str, where: Where = Where.LINE) -> Typed | None:
    """What a line means; None where it means nothing."""
    stripped = line.strip()
    if not stripped:
        return None
    if stripped == "qqq":
        return Command("/quit")
    if stripped.startswith("/") and not stripped.startswith("//"):
        return _read_command(stripped, where)
    return Say(stripped[1:] if stripped.startswith("//") else line.rstrip())


def _read_command(text: str, where: Where) -> Typed:
    word, _space, argument = text.partition(" ")
    name, argument = word.lower(), argument.strip()
    command = COMMANDS.get(name)
    if command is None:
        near = nearest(name)
        hint = _("Did you mean {command}?").format(command=near) if near else _("/help shows what there is.")
        return Mistake(_("There is no command {command}. {hint}").format(command=word, hint=hint))
    if where not in command.where:
        return Mistake(_("{command} is of the full-screen interface; here it does nothing.").format(command=name))
    if command.needs_argument and not argument:
        return Mistake(_("What? Like this: {example}").format(example=command.example))
    return Say(argument, act=True) if name == "/me" else Command(name, argument)
