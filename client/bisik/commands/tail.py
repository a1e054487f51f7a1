"""bisik tail: follow rooms, from where the last tail stopped."""

from pathlib import Path

import click

from bisik.chat import Chat, open_profile
from bisik.commands.common import home_option, json_option, put_json, run, say
from bisik.events import ChatEvent, Message
from bisik.home import Home
from bisik.render import Renderer
from bisik_protocol.chat.messages import Presence

REACH_S = 30.0


@click.command()
@click.option("--room", "rooms", multiple=True, metavar="ROOM", help="Only this room; may be given several times.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Stop after N messages.")
@home_option
@json_option
def command(rooms: tuple[str, ...], count: int | None, home: Path | None, as_json: bool) -> None:
    """Print what is said, as it is said, beginning where the last tail of this home stopped.

    The first tail begins with the last 50 lines. Nobody sees that you follow.
    """
    run(_tail, rooms=rooms, count=count, home=Home.locate(home), as_json=as_json)


async def _tail(*, rooms: tuple[str, ...], count: int | None, home: Home, as_json: bool) -> None:
    async with open_profile(home, home.require_default(), reader="tail") as chat:
        await chat.wait_admitted(REACH_S, patient=False)
        for room in rooms or chat.remembered_rooms():
            await chat.join(room, presence=Presence.READER)
        if not rooms:
            chat.follow_directs(presence=Presence.READER)
        await _print(chat, count, as_json=as_json, one=len(rooms) == 1)


async def _print(chat: Chat, count: int | None, *, as_json: bool, one: bool) -> None:
    renderer = Renderer()
    renderer.room = chat.rooms[0] if one else ""
    messages = 0
    async for event in chat.everything():
        if not isinstance(event, ChatEvent):
            line = renderer.line(event)
            if line is not None and event.type == "notice":
                say(line)
        elif as_json:
            put_json(event.as_json())
        else:
            click.echo(renderer.line(event))
        messages += isinstance(event, Message)
        if messages == count:
            return
