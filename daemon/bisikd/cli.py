"""The command line. Owns words, flags and exit codes; what is done is done elsewhere.

Data goes to stdout, talk to stderr. Every expected mistake is one sentence and an exit code: 1 refused or failed,
2 wrong usage, 3 nobody answers, 130 interrupted. A traceback on the screen is a bug.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from bisikd.admin import ask
from bisikd.commands.administration import administration_commands
from bisikd.commands.backup import backup, restore
from bisikd.commands.common import config_option, flags_of, json_option, set_option, state_option
from bisikd.commands.config import config as config_commands
from bisikd.commands.doctor import doctor_command
from bisikd.commands.install import install_command, uninstall_command
from bisikd.commands.invite import invite
from bisikd.commands.log import log as log_commands
from bisikd.commands.users import users
from bisikd.config import load, load_settings
from bisikd.errors import BisikdError
from bisikd.service import serve
from bisikd.status import status_for_people

INTERRUPTED: Final = 130
OWN_FLAGS: Final = ("--version", "--help", "-h")


class DefaultsToRun(click.Group):
    """`bisikd` and `bisikd --json` mean `bisikd run` and `bisikd run --json`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in OWN_FLAGS):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=DefaultsToRun, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bisik", prog_name="bisikd")
def cli() -> None:
    """The bisik daemon: private group chat for bad networks. Without a command it runs."""


@cli.command()
@state_option
@config_option
@click.option(
    "--listen",
    metavar="[HOST]:PORT",
    help="UDP address to listen on; by default port 9999 of every address. Port 0 picks a free one.",
)
@click.option(
    "--public-host",
    metavar="HOST[:PORT]",
    help="What invites say, where that is not the address listened on.",
)
@set_option
@json_option
def run(as_json: bool, **flags: Any) -> None:
    """Serve until told to stop, and print what happens."""
    serve(load(flags_of(**flags)), as_json=as_json)


cli.add_command(config_commands)
cli.add_command(log_commands)
for command in administration_commands:
    cli.add_command(command)
cli.add_command(doctor_command)
cli.add_command(install_command)
cli.add_command(uninstall_command)


cli.add_command(invite)


@cli.command()
@state_option
@config_option
@json_option
def status(state: Path | None, config: Path | None, as_json: bool) -> None:
    """Ask the running daemon how it is: sessions and their links, rooms, refusals, log."""
    answer = ask(load_settings(state=state, config=config).state, "status")
    click.echo(json.dumps(answer) if as_json else "\n".join(status_for_people(answer)))


cli.add_command(users)
cli.add_command(backup)
cli.add_command(restore)


def main(arguments: list[str] | None = None) -> NoReturn:
    """The program `bisikd`. Ends the process with the exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a terminal that knows no UTF-8
    try:
        code = cli.main(arguments, prog_name="bisikd", standalone_mode=False)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):
        code = INTERRUPTED
    except BisikdError as error:
        code = _say(str(error), error.exit_code)
    except OSError as error:
        code = _say(f"{error.filename or 'The system'}: {error.strerror or error}.", 1)
    sys.exit(_flushed(code if isinstance(code, int) else 0))


def _say(sentence: str, code: int) -> int:
    click.echo(f"bisikd: {sentence}", err=True)
    return code


def _flushed(code: int) -> int:
    """Leave nothing for the interpreter to fail at on its way out, such as a pipe that nobody reads."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code
