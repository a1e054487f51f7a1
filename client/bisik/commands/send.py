"""bisik send: say something from a script."""

import sys
from pathlib import Path

import click
import trio

from bisik.chat import open_profile
from bisik.commands.common import home_option, json_option, put_json, run
from bisik.errors import NotOnDisk, NotStored, WrongUsage
from bisik.home import Home
from bisik.i18n import _


@click.command()
@click.argument("room")
@click.argument("text", required=False)
@click.option(
    "--file",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Say what is in this file, instead of TEXT.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until it is stored.",
)
@home_option
@json_option
def command(
    room: str, text: str | None, path: Path | None, timeout_s: float, home: Path | None, as_json: bool
) -> None:
    """Say TEXT (-: standard input) in ROOM ('#lobby', '@sari'), and return once the server has stored it.

    One message has at most 60000 bytes, to one person 16384.

    Exit code 5 means that it is in the outbox: it goes out with the next command that reaches the server.
    """
    if (text is None) == (path is None):
        raise WrongUsage(_("What is to be said? Either TEXT, or - for standard input, or --file."))
    if path is not None:
        text = _file(path)
    elif text == "-":
        text = _standard_input()
    run(_send, room=room, text=text, timeout_s=timeout_s, home=Home.locate(home), as_json=as_json)


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise WrongUsage(_("Standard input is not UTF-8 text.")) from None


def _file(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise WrongUsage(_("{path} is not UTF-8 text.").format(path=path)) from None
    except OSError as error:
        raise WrongUsage(_("Cannot read {path}: {error}.").format(path=path, error=error.strerror)) from None


async def _send(*, room: str, text: str, timeout_s: float, home: Home, as_json: bool) -> None:
    async with open_profile(home, home.require_default(), reader="send") as chat:
        try:
            outbox_id = await chat.queue(room, text)
        except NotOnDisk as error:  # the server's disk will do
            outbox_id = error.outbox_id
        with trio.move_on_after(timeout_s):
            receipt = await chat.stored(outbox_id, room)
            if as_json:
                fields = {"room": receipt.room, "seq": receipt.seq, "id": receipt.id, "time": receipt.time}
                put_json({"type": "stored", **fields})
            return
        why = chat.why_waiting(room) or chat.last_trouble or _("The server has not answered in time.")
    raise NotStored(_("{why} The message is kept in the outbox, and goes out with the next command.").format(why=why))
