"""bisik wait: until somebody says something, for scripts."""

from pathlib import Path

import click
import trio

from bisik.chat import Chat, open_profile
from bisik.commands.common import home_option, json_option, put_json, run
from bisik.errors import Silence
from bisik.events import Message
from bisik.home import Home
from bisik.i18n import _
from bisik.mentions import speaks_to
from bisik.render import Renderer
from bisik.visit import person_name
from bisik_protocol.chat.messages import Presence

REACH_S = 30.0


@click.command()
@click.option("--mention", is_flag=True, help="Only for a message that names you.")
@click.option("--room", "rooms", multiple=True, metavar="ROOM", help="Only this room; may be given several times.")
@click.option("--from", "author", metavar="NAME", help="Only what NAME said.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Give up after so long, with exit code 1 (default: never).",
)
@home_option
@json_option
def command(
    mention: bool,
    rooms: tuple[str, ...],
    author: str | None,
    timeout_s: float | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Wait for the next message that somebody else says, print it, and exit.

    The first wait of a home begins now; the next ones where the one before stopped, so that nothing falls between.
    """
    run(
        _wait,
        mention=mention,
        rooms=rooms,
        author=None if author is None else person_name(author),
        timeout_s=timeout_s,
        home=Home.locate(home),
        as_json=as_json,
    )


async def _wait(
    *, mention: bool, rooms: tuple[str, ...], author: str | None, timeout_s: float | None, home: Home, as_json: bool
) -> None:
    async with open_profile(home, home.require_default(), reader="wait") as chat:
        await chat.wait_admitted(REACH_S, patient=False)
        for room in rooms or chat.remembered_rooms():
            await chat.join(room, presence=Presence.READER, history=0)
            chat.begin_here(room)
        if not rooms:
            for room in await chat.list_directs():
                await chat.join(room, presence=Presence.READER, history=0)
                chat.begin_here(room)
            chat.follow_directs(presence=Presence.READER)
        with trio.move_on_after(float("inf") if timeout_s is None else timeout_s):
            _print(await _next(chat, mention, author), as_json=as_json)
            return
    raise Silence(_("Nobody said it in time."))


async def _next(chat: Chat, mention: bool, author: str | None) -> Message:
    async for event in chat.events():
        if not isinstance(event, Message) or event.author == chat.name:
            continue
        if author in (None, event.author) and (not mention or speaks_to(event, chat.name)):
            return event
    raise AssertionError("events do not end")


def _print(message: Message, *, as_json: bool) -> None:
    if as_json:
        put_json(message.as_json())
    else:
        click.echo(Renderer().line(message))
