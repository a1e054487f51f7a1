"""The command line's entrance: which subcommands there are, and how everything ends.

Subcommands are loaded when they are called. Every expected mistake is one sentence on stderr and an exit code of the
contract: 0 done, 1 refused, 2 wrong usage, 3 unreachable, 4 identity mismatch, 5 queued and not stored yet, 130
interrupted. A traceback on the screen is a bug; BISIK_DEBUG=1 shows it.
"""

import os
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import Final

import click

from bisik.i18n import _

INTERRUPTED: Final = 130
DEBUG_VARIABLE: Final = "BISIK_DEBUG"
COMPLETE_VARIABLE: Final = "_BISIK_COMPLETE"  # click's: a shell asks how a command may go on

COMMANDS: Final = {
    "join": "Come in with an invite link.",
    "register": "Take a name on a server and print its login ID.",
    "login": "Bring your name to this device.",
    "send": "Say something, from a script.",
    "wait": "Wait until somebody says something.",
    "unread": "Print what waits to be read.",
    "tail": "Print what is said, as it is said.",
    "history": "Print what was said in a room.",
    "search": "Find what was said by its words.",
    "who": "Print who is in a room.",
    "config": "Make or show the configuration file.",
    "completion": "Print what a shell needs to complete commands.",
    "devices": "Print your devices on this server, or revoke one.",
    "servers": "Print the servers that are known here.",
    "verify": "Prove that a message is genuine and in the server's log.",
    "trust-log": "Decide to go on with a server whose log was rolled back or changed.",
    "demo": "Show the main job on a bad network, with a crash in the middle.",
}


class LazyGroup(click.Group):
    """Finds a subcommand in a module of its own, and imports that only if it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def load(self, name: str) -> click.Command | None:
        """The subcommand as its source has it, in English."""
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"bisik.commands.{name.replace('-', '_')}").command
        command.name = name
        return command

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = self.load(cmd_name)
        return command and _translated(command)

    def get_help(self, ctx: click.Context) -> str:
        _translated(self)
        return super().get_help(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _(summary)) for name, summary in COMMANDS.items()])


def _translated(command: click.Command) -> click.Command:
    """Its help in the person's language; to do it twice changes nothing."""
    command.help = command.help and _(cleandoc(command.help))
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            parameter.help = parameter.help and _(parameter.help)
    if isinstance(command, click.Group) and not isinstance(command, LazyGroup):
        for inner in command.commands.values():
            _translated(inner)
    return command


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="BISIK_HOME",
    metavar="DIR",
    help="Where this client keeps who you are (default: the system's place for a program's data).",
)
@click.option("--plain", is_flag=True, help="One line for each event, for screen readers and plain terminals.")
@click.option("--lines", is_flag=True, help="Lines above the one that is typed, instead of the full screen.")
@click.version_option(package_name="bisik", prog_name="bisik")
@click.pass_context
def cli(ctx: click.Context, home: Path | None, plain: bool, lines: bool) -> None:
    """Private group chat for bad networks.

    Without a command: into the room. The first time it asks where and as whom; after that it knows.
    """
    if ctx.invoked_subcommand is not None:
        if home is not None:
            os.environ["BISIK_HOME"] = str(home)  # where the subcommand looks next, if it is given none itself
        return
    import_module("bisik.entrance").come_in(import_module("bisik.home").Home.locate(home), plain=plain, lines=lines)


def main(arguments: list[str] | None = None) -> None:
    """Run a command line and exit."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run a command line; its exit code.

    Not by click's own `main`, which has exit codes and words of its own for ^C and for a pipe that was closed.
    """
    if COMPLETE_VARIABLE in os.environ:
        cli.main(prog_name="bisik")
    try:
        with cli.make_context("bisik", sys.argv[1:] if arguments is None else list(arguments)) as context:
            cli.invoke(context)
        sys.stdout.flush()
    except BaseException as error:  # the one place where everything ends
        return _end(_culprit(error))
    return 0


def _end(error: BaseException) -> int:
    """Say what there is to say about how it ended, and the exit code."""
    if isinstance(error, click.ClickException):
        error.show()
    elif isinstance(error, KeyboardInterrupt | click.Abort):
        _say(_("Interrupted."))
        return INTERRUPTED
    elif isinstance(error, BrokenPipeError):  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    elif isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    elif not hasattr(error, "exit_code"):
        kind = type(error).__name__
        sentence = _("Something went wrong inside ({kind}). Please report it, with what {variable}=1 shows.")
        _say(sentence.format(kind=kind, variable=DEBUG_VARIABLE))
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exception(error)
    elif not isinstance(error, click.exceptions.Exit):  # a BisikError, without importing it
        _say(str(error))
    return int(getattr(error, "exit_code", 1))


def _culprit(error: BaseException) -> BaseException:
    """Of a group, the one that says most: what the person did, then what is expected to happen, then bugs."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_culprit(inner) for inner in error.exceptions]
    return min(leaves, key=_rank)


def _rank(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return 0
    if isinstance(error, BrokenPipeError):
        return 1
    return 2 if hasattr(error, "exit_code") else 3


def _say(sentence: str) -> None:
    harmless = import_module("bisik_protocol.chat.text").harmless
    with suppress(OSError):  # the terminal may be what is gone
        click.echo(f"bisik: {harmless(sentence, multiline=True)}", err=True)
