"""The commands that a person can type in a room: one table for every interface. What each does is in `desk`.

Sans-IO: names, arguments, a sentence of help, and where each is allowed.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import Final

from bisik.i18n import N_, _


class Where(Enum):
    """An interface that commands are typed in."""

    LINE = "line"
    SCREEN = "screen"


EVERYWHERE: Final = frozenset(Where)
ON_SCREEN: Final = frozenset({Where.SCREEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class SlashCommand:
    """One row of the table."""

    name: str
    """With its slash."""
    argument: str = ""
    """As the help shows it; in brackets where it may be left out."""
    help: str
    """Half a sentence, in English: show it through `_`."""
    example: str = ""
    """A whole line that works, where there must be an argument."""
    where: frozenset[Where] = EVERYWHERE

    @property
    def needs_argument(self) -> bool:
        return bool(self.argument) and not self.argument.startswith("[")

    @property
    def usage(self) -> str:
        """`/join ROOM`"""
        return f"{self.name} {self.argument}".rstrip()


HELP_COLUMN: Final = 18

TABLE: Final = (
    SlashCommand(
        name="/join",
        argument="ROOM",
        help=N_("come into a room, and make it the one you speak in"),
        example="/join #room",
    ),
    SlashCommand(
        name="/msg",
        argument="NAME [TEXT]",
        help=N_("speak to one person; nobody else can read it"),
        example="/msg sari hello",
    ),
    SlashCommand(name="/leave", argument="[ROOM]", help=N_("leave a room")),
    SlashCommand(name="/rooms", help=N_("show all rooms")),
    SlashCommand(name="/who", argument="[ROOM]", help=N_("show who is in a room")),
    SlashCommand(
        name="/whois",
        argument="NAME",
        help=N_("show what is known of somebody, and their devices"),
        example="/whois sari",
    ),
    SlashCommand(name="/me", argument="TEXT", help=N_("say what you do: /me waves"), example="/me waves"),
    SlashCommand(name="/away", argument="[TEXT]", help=N_("tell who asks that you are away; alone: you are back")),
    SlashCommand(
        name="/ack",
        argument="[?|NUMBER]",
        help=N_("confirm what was said; with ? or a number: who has it"),
    ),
    SlashCommand(name="/nick", argument="[NAME]", help=N_("show who you are, and why a name stays")),
    SlashCommand(name="/ignore", argument="[NAME]", help=N_("hide what somebody says; with -NAME show it again")),
    SlashCommand(name="/history", argument="[COUNT]", help=N_("show the last lines of the room again")),
    SlashCommand(
        name="/search",
        argument="WORDS",
        help=N_("find words in this room; in all rooms: /search * WORDS"),
        example="/search coffee",
    ),
    SlashCommand(name="/invite", help=N_("show the link that brings others to this server")),
    SlashCommand(name="/theme", argument="[NAME]", help=N_("change the colours"), where=ON_SCREEN),
    SlashCommand(name="/set", argument="[KEY VALUE]", help=N_("show the settings, or change one for this run")),
    SlashCommand(
        name="/topic", argument="[TEXT]", help=N_("show what the room is about, or set it; - takes it away")
    ),
    SlashCommand(
        name="/kick", argument="NAME [REASON]", help=N_("moderators: put out of the room"), example="/kick budi"
    ),
    SlashCommand(
        name="/ban",
        argument="NAME|ADDRESS [TIME] [REASON]",
        help=N_("moderators: keep off the server, for 2h, 7d or for good"),
        example="/ban budi 2h spam",
    ),
    SlashCommand(
        name="/unban", argument="NAME|ADDRESS", help=N_("moderators: take a ban back"), example="/unban budi"
    ),
    SlashCommand(
        name="/mute",
        argument="NAME [TIME] [REASON]",
        help=N_("moderators: let nothing of theirs through in the room"),
        example="/mute budi 10m",
    ),
    SlashCommand(
        name="/unmute", argument="NAME", help=N_("moderators: let them speak again"), example="/unmute budi"
    ),
    SlashCommand(
        name="/room",
        argument="RULE",
        help=N_("moderators: private, public, read-only or open"),
        example="/room private",
    ),
    SlashCommand(
        name="/allow",
        argument="NAME",
        help=N_("moderators: let into a private room; with -NAME no longer"),
        example="/allow budi",
    ),
    SlashCommand(name="/help", help=N_("show this")),
    SlashCommand(name="/quit", help=N_("leave; so does qqq")),
)

COMMANDS: Final = {command.name: command for command in TABLE}

_ELSEWHERE: Final = {  # what people are used to type in other chats
    "/exit": "/quit",
    "/bye": "/quit",
    "/part": "/leave",
    "/query": "/msg",
    "/dm": "/msg",
    "/tell": "/msg",
    "/w": "/msg",
    "/names": "/who",
    "/list": "/rooms",
    "/action": "/me",
    "/name": "/nick",
    "/confirm": "/ack",
    "/back": "/away",
    "/block": "/ignore",
    "/unignore": "/ignore",
    "/?": "/help",
}


def available(where: Where) -> list[SlashCommand]:
    """The rows for one interface."""
    return [command for command in TABLE if where in command.where]


def nearest(name: str) -> str | None:
    """What somebody who typed `name` may have meant."""
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    return next(iter(get_close_matches(name, COMMANDS, n=1, cutoff=0.6)), None)


def completions(start: str, where: Where) -> list[str]:
    """The commands that begin like this, in the table's order."""
    return [command.name for command in available(where) if command.name.startswith(start.lower())]


def help_lines(where: Where = Where.LINE) -> list[str]:
    """The commands; what a long one does stands on a line of its own, so that eighty columns are enough."""
    lines = []
    for command in available(where):
        if len(command.usage) < HELP_COLUMN:
            lines.append(f"{command.usage:{HELP_COLUMN}}{_(command.help)}")
        else:
            lines += [command.usage, f"{'':{HELP_COLUMN}}{_(command.help)}"]
    return lines
