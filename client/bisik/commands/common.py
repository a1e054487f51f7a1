"""What the subcommands share: --home and --json, and running a coroutine."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import trio

from bisik.errors import WrongUsage
from bisik.home import HOME_VARIABLE
from bisik.i18n import _
from bisik_protocol.chat.invite import Invite
from bisik_protocol.chat.text import harmless

F = TypeVar("F", bound=Callable[..., Any])

home_option: Final = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar=HOME_VARIABLE,
    metavar="DIR",
    help="Where this client keeps who you are (default: the system's place for a program's data).",
)
json_option: Final = click.option("--json", "as_json", is_flag=True, help="JSON lines, for programs.")
name_option: Final = click.option("--name", required=True, metavar="NAME", help="Your name on that server.")


def run(function: Callable[..., Awaitable[None]], **arguments: Any) -> None:
    """Run a command's coroutine to its end."""
    trio.run(partial(function, **arguments))


def say(sentence: str) -> None:
    """Talk to the person."""
    click.echo(harmless(sentence, multiline=True), err=True)


def put_json(fields: dict[str, Any]) -> None:
    """A JSON line. It is plain ASCII, so that nothing in it can act on a terminal."""
    click.echo(json.dumps(fields))


def pinned(invite: Invite) -> bytes:
    """The fingerprint in an invite. Raises WrongUsage: there is nobody here to compare one by eye."""
    if invite.fingerprint is None:
        raise WrongUsage(
            _("That says where the server is and not which one it is: a whole invite link (with fp) is needed.")
        )
    return invite.fingerprint
