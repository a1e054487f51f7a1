"""bisik send: say something from a script."""

import sys
from pathlib import Path

import click
import trio

from bisik.chat import open_profile
from bisik.commands.common import home_option, json_option, put_json, run
from bisik.errors import NotStored, WrongUsage
from bisik.home import Home
from bisik.i18n import _


@click.command()
@click.argument("room")
@click.argument("text")
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
def command(room: str, text: str, timeout_s: float, home: Path | None, as_json: bool) -> None:
    """Say TEXT in ROOM ('#lobby'), and return once the server has stored it. With - the text is standard input.

    Exit code 5 means that it is in the outbox: it goes out with the next command that reaches the server.
    """
    if text == "-":
        text = _standard_input()
    run(_send, room=room, text=text, timeout_s=timeout_s, home=Home.locate(home), as_json=as_json)


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise WrongUsage(_("Standard input is not UTF-8 text.")) from None


async def _send(*, room: str, text: str, timeout_s: float, home: Home, as_json: bool) -> None:
    async with open_profile(home, home.require_default(), reader="send") as chat:
        outbox_id = await chat.queue(room, text)
        with trio.move_on_after(timeout_s):
            receipt = await chat.stored(outbox_id, room)
            if as_json:
                fields = {"room": receipt.room, "seq": receipt.seq, "id": receipt.id, "time": receipt.time}
                put_json({"type": "stored", **fields})
            return
        why = chat.last_trouble or _("The server has not answered in time.")
    raise NotStored(_("{why} The message is kept in the outbox, and goes out with the next command.").format(why=why))
