"""bisik unread: what waits to be read, for a prompt or a status bar."""

from pathlib import Path

import click

from bisik.chat import PERSON, Chat, open_profile
from bisik.commands.common import home_option, json_option, put_json, run
from bisik.events import Message
from bisik.home import Home
from bisik.i18n import _, ngettext
from bisik.mentions import speaks_to
from bisik_protocol.chat.text import harmless

REACH_S = 10.0
MOST = 1000  # messages of a room are not counted further


@click.command()
@home_option
@json_option
def command(home: Path | None, as_json: bool) -> None:
    """Print how many messages you have not read, in each room that you are in; nothing where there are none.

    What counts as read is what the interactive client has shown. More than 1000 are not counted.
    """
    run(_unread, home=Home.locate(home), as_json=as_json)


async def _unread(*, home: Home, as_json: bool) -> None:
    async with open_profile(home, home.require_default(), reader="unread") as chat:
        await chat.wait_admitted(REACH_S, patient=False)
        for room in chat.remembered_rooms() + await chat.list_directs():
            await chat.find_room(room)
            found, named = await _count(chat, room)
            if as_json:
                put_json({"type": "unread", "room": room, "messages": found, "mentions": named})
            elif found:
                told = ngettext("{n} message", "{n} messages", found).format(n=found)
                names_you = _(", {n} to you").format(n=named) if named else ""
                click.echo(f"{harmless(room)}  {told}{names_you}")


async def _count(chat: Chat, room: str) -> tuple[int, int]:
    found = named = 0
    async for page in chat.history(room).pages(after=chat.read_up_to(room, PERSON)):
        others = [event for event in page if isinstance(event, Message) and event.author != chat.name]
        found += len(others)
        named += sum(speaks_to(event, chat.name) for event in others)
        if found >= MOST:
            break
    return min(found, MOST), named
