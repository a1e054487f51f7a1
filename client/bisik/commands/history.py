"""bisik history: what was said in a room."""

from pathlib import Path

import click

from bisik.chat import open_profile
from bisik.commands.common import home_option, json_option, put_json, run, say
from bisik.events import ChatEvent, Message, Notice
from bisik.home import Home
from bisik.render import Renderer
from bisik_protocol.chat.names import LOBBY

REACH_S = 30.0


@click.command()
@click.argument("room", default=LOBBY)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Only the last N (default: everything).")
@click.option("--all", "with_presence", is_flag=True, help="Joins and leaves too, not only messages.")
@home_option
@json_option
def command(room: str, count: int | None, with_presence: bool, home: Path | None, as_json: bool) -> None:
    """Print what was said in ROOM (default #lobby), oldest first, from the server's log."""
    run(
        _history,
        room=room,
        count=count,
        with_presence=with_presence,
        home=Home.locate(home),
        as_json=as_json,
    )


async def _history(*, room: str, count: int | None, with_presence: bool, home: Home, as_json: bool) -> None:
    async with open_profile(home, home.require_default(), reader="history") as chat:
        await chat.wait_admitted(REACH_S, patient=False)
        room = await chat.find_room(room)
        printer = _Printer(room, as_json=as_json, with_presence=with_presence)
        archive = chat.history(room)
        if count is not None:
            for event in await archive.last(count, messages_only=not with_presence):
                printer.put(event)
            return
        async for page in archive.pages():
            for event in page:
                printer.put(event)


class _Printer:
    def __init__(self, room: str, *, as_json: bool, with_presence: bool) -> None:
        self._as_json = as_json
        self._with_presence = with_presence
        self._renderer = Renderer()
        self._renderer.room = room

    def put(self, event: ChatEvent | Notice) -> None:
        if isinstance(event, Notice):
            say(event.text)
        elif not isinstance(event, Message) and not self._with_presence:
            return
        elif self._as_json:
            put_json(event.as_json())
        else:
            day = self._renderer.day_line(event)
            if day is not None:
                say(day)
            click.echo(self._renderer.line(event))
