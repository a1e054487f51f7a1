"""`bisikd backup` and `bisikd restore`: words, flags, and where the password comes from, which is never a flag."""

import json
import sys
from pathlib import Path

import click

from bisikd.backup.making import Contents, make_backup, restore_backup
from bisikd.backup.sealed import BackupError
from bisikd.commands.common import config_option, existing_state, json_option, state_option
from bisikd.config import load_settings
from bisikd.errors import UsageProblem

password_option = click.option(
    "--password-file",
    metavar="FILE",
    help="Read the password from the first line of FILE, or of standard input with -; without it, it is asked for.",
)
MIN_PASSWORD_CHARACTERS = 12


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@password_option
@state_option
@config_option
@json_option
def backup(file: Path, password_file: str | None, state: Path | None, config: Path | None, as_json: bool) -> None:
    """Save keys, accounts and log in FILE, encrypted with a password; the daemon may go on meanwhile.

    FILE appears once it was read again and proved to hold a whole log.
    """
    directory = existing_state(state, config).path
    password = _password(password_file, again=True)
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise UsageProblem(f"The password needs at least {MIN_PASSWORD_CHARACTERS} characters: it guards the keys.")
    contents = make_backup(directory, file.absolute(), password)
    _say("backup", file, contents, as_json=as_json)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@password_option
@state_option
@config_option
@json_option
def restore(file: Path, password_file: str | None, state: Path | None, config: Path | None, as_json: bool) -> None:
    """Make an empty or new state directory of the backup in FILE, after proving the log in it.

    Clients that have seen what was said after the backup will notice that it is gone: tell people before you start.
    """
    directory = load_settings(state=state, config=config).state
    contents = restore_backup(file.absolute(), directory, _password(password_file, again=False))
    _say("restored", file, contents, as_json=as_json)
    if not as_json:
        click.echo(
            f"Start bisikd with --state {directory} as the user that owns it. Whoever has seen messages from after "
            "the backup is told that the log was put back, and has to decide.",
            err=True,
        )


def _password(source: str | None, *, again: bool) -> str:
    if source is None:
        if not sys.stdin.isatty():
            raise UsageProblem("There is nobody to ask for the password: give it with --password-file FILE or -.")
        return str(click.prompt("Password of the backup", hide_input=True, confirmation_prompt=again, err=True))
    try:
        text = sys.stdin.readline() if source == "-" else Path(source).read_text("utf-8").split("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BackupError(f"The password cannot be read from {source} ({why}).") from None
    return text.rstrip("\r\n")


def _say(kind: str, file: Path, contents: Contents, *, as_json: bool) -> None:
    report = contents.log
    if as_json:
        click.echo(
            json.dumps(
                {
                    "type": kind,
                    "file": str(file),
                    "files": contents.files,
                    "bytes": contents.size,
                    "messages": report.messages,
                    "records": report.records,
                    "root": report.root.hex(),
                }
            )
        )
        return
    click.echo(
        f"{file}: {contents.files} files, {contents.size} bytes, {report.messages} messages. The log in it is whole, "
        "and every signature fits."
    )
