"""The command line. Owns words, flags and exit codes; what is done is done elsewhere.

A subcommand is imported when it is called: what a start of the daemon imports is most of what it costs.

Data goes to stdout, talk to stderr. Every expected mistake is one sentence and an exit code: 1 refused or failed,
2 wrong usage, 3 nobody answers, 130 interrupted. A traceback on the screen is a bug.
"""

import gc
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from bisikd.commands.common import config_option, flags_of, json_option, set_option, state_option
from bisikd.config import load
from bisikd.errors import BisikdError

INTERRUPTED: Final = 130
OWN_FLAGS: Final = ("--version", "--help", "-h")

# By module of bisikd.commands: its commands, which are called so in there too, or so with `_command` behind it.
COMMANDS: Final = {
    "administration": (
        "rooms",
        "room",
        "kick",
        "ban",
        "unban",
        "bans",
        "mute",
        "unmute",
        "topic",
        "reload",
        "drain",
        "status",
    ),
    "backup": ("backup", "restore"),
    "config": ("config",),
    "doctor": ("doctor",),
    "install": ("install", "uninstall"),
    "invite": ("invite",),
    "log": ("log",),
    "users": ("users",),
}
MODULES: Final = {name: module for module, names in COMMANDS.items() for name in names}


class DefaultsToRun(click.Group):
    """`bisikd` and `bisikd --json` mean `bisikd run` and `bisikd run --json`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *MODULES])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in MODULES:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"bisikd.commands.{MODULES[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command", None) or getattr(module, cmd_name)
        return command

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
    gc.disable()  # nothing of what is imported is garbage; `serve` enables it again
    from bisikd.service import serve  # noqa: PLC0415 # the whole daemon: for who runs it

    serve(load(flags_of(**flags)), as_json=as_json)


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
