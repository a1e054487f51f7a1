"""bisik history: what was said in a room."""

from pathlib import Path

import click

from bisik.chat import open_profile
from bisik.commands.common import home_option, json_option, put_json, run, say
from bisik.directs import room_name
from bisik.errors import Unreachable
from bisik.events import ChatEvent, Message, Notice
from bisik.home import Home
from bisik.i18n import _
from bisik.render import Renderer
from bisik_protocol.chat.names import LOBBY

REACH_S = 30.0


@click.command()
@click.argument("room", default=LOBBY)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Only the last N (default: everything).")
@click.option("--all", "with_presence", is_flag=True, help="Joins and leaves too, not only messages.")
@click.option("--offline", is_flag=True, help="Only what is on this device already.")
@home_option
@json_option
def command(
    room: str, count: int | None, with_presence: bool, offline: bool, home: Path | None, as_json: bool
) -> None:
    """Print what was said in ROOM (default #lobby), oldest first, from the server's log.

    Where the server cannot be reached, what was read on this device is printed, and the exit code is 3.
    """
    run(
        _history,
        room=room,
        count=count,
        with_presence=with_presence,
        offline=offline,
        home=Home.locate(home),
        as_json=as_json,
    )


async def _history(
    *, room: str, count: int | None, with_presence: bool, offline: bool, home: Home, as_json: bool
) -> None:
    async with open_profile(home, home.require_default(), reader="history") as chat:
        unreachable: Unreachable | None = None
        if not offline:
            try:
                await chat.wait_admitted(REACH_S, patient=False)
            except Unreachable as error:
                unreachable = error
                say(_("The server does not answer now: this is what was read on this device."))
        if offline or unreachable is not None:
            printer = _Printer(room_name(room), as_json=as_json, with_presence=with_presence)
            for message in await chat.searching.last(room_name(room), count):
                printer.put(message)
            if unreachable is not None:
                raise unreachable
            return
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
