"""What a person types in a room: a message, a command, or something that looks like one.

It reads; it does not act. `/` begins a command, `//` a message that begins with `/`, and `qqq` leaves, as ever.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

COMMANDS: Final = {
    "/join": ("ROOM", "come into a room, and make it the one you speak in"),
    "/leave": ("[ROOM]", "leave a room"),
    "/rooms": ("", "show all rooms"),
    "/who": ("[ROOM]", "show who is in a room"),
    "/me": ("TEXT", "say what you do: /me waves"),
    "/help": ("", "show this"),
    "/quit": ("", "leave; so does qqq"),
}

_ELSEWHERE: Final = {  # what people are used to type in other chats
    "/exit": "/quit",
    "/bye": "/quit",
    "/part": "/leave",
    "/names": "/who",
    "/list": "/rooms",
    "/action": "/me",
    "/?": "/help",
}


@dataclass(frozen=True, slots=True)
class Say:
    """Something for the room."""

    text: str
    act: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One of COMMANDS, by its name, and what stands behind it."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Nothing that can be done; `text` says why."""

    text: str


def read_typed(line: str) -> Say | Command | Mistake | None:
    """What a line means; None where it means nothing."""
    stripped = line.strip()
    if not stripped:
        return None
    if stripped == "qqq":
        return Command("/quit")
    if stripped.startswith("/") and not stripped.startswith("//"):
        return _read_command(stripped)
    return Say(stripped[1:] if stripped.startswith("//") else line.rstrip())


def _read_command(text: str) -> Say | Command | Mistake:
    word, _, argument = text.partition(" ")
    name, argument = word.lower(), argument.strip()
    if name not in COMMANDS:
        near = _ELSEWHERE.get(name) or next(iter(get_close_matches(name, COMMANDS, n=1, cutoff=0.6)), None)
        hint = f"Did you mean {near}?" if near else "/help shows what there is."
        return Mistake(f"There is no command {word}. {hint}")
    if name in ("/join", "/me") and not argument:
        return Mistake(f"What? Like this: {name} {'#room' if name == '/join' else 'waves'}")
    return Say(argument, act=True) if name == "/me" else Command(name, argument)


def help_lines() -> list[str]:
    """The commands, one a line."""
    return [f"{f'{name} {argument}':14} {text}" for name, (argument, text) in COMMANDS.items()]
