"""bisik search: what was said, by its words."""

from pathlib import Path

import click

from bisik.chat import Chat, open_profile
from bisik.commands.common import home_option, json_option, put_json, run, say
from bisik.directs import room_name
from bisik.errors import NotKnown, Unreachable
from bisik.home import Home
from bisik.i18n import _
from bisik.render import Renderer
from bisik.visit import person_name

REACH_S = 15.0


@click.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--room", metavar="ROOM", help="Only in this room.")
@click.option("--from", "author", metavar="NAME", help="Only what NAME said.")
@click.option("--count", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="At most N.")
@click.option("--offline", is_flag=True, help="Only what is on this device already.")
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to fetch what is not on this device yet.",
)
@home_option
@json_option
def command(
    words: tuple[str, ...],
    room: str | None,
    author: str | None,
    count: int,
    offline: bool,
    patience_s: float,
    home: Path | None,
    as_json: bool,
) -> None:
    """Print the newest messages that hold all WORDS, oldest first; the last word may be the beginning of one.

    The rooms that you have joined are searched, on this device; what it does not have yet is fetched first. Exit code
    1 means that nothing was found.
    """
    run(
        _search,
        query=" ".join(words),
        room=None if room is None else room_name(room),
        author=None if author is None else person_name(author),
        count=count,
        patience_s=0.0 if offline else patience_s,
        home=Home.locate(home),
        as_json=as_json,
    )


async def _rooms(chat: Chat, room: str | None) -> list[str]:
    rooms = [room] if room else chat.remembered_rooms() + await chat.list_directs()
    return [await chat.find_room(each) for each in rooms]


async def _search(
    *,
    query: str,
    room: str | None,
    author: str | None,
    count: int,
    patience_s: float,
    home: Home,
    as_json: bool,
) -> None:
    async with open_profile(home, home.require_default(), reader="search") as chat:
        if patience_s:
            try:
                await chat.wait_admitted(min(REACH_S, patience_s), patient=False)
                whole = await chat.searching.catch_up(await _rooms(chat, room), patience_s)
            except Unreachable:
                whole = False
            if not whole:
                say(_("Not everything could be fetched: this is what is on this device."))
        found = await chat.searching.search(query, room=room, author=author, count=count)
    renderer = Renderer()
    renderer.room = room or ""
    for message in found:
        if as_json:
            put_json(message.as_json())
        else:
            day = renderer.day_line(message)
            if day is not None:
                say(day)
            click.echo(renderer.line(message))
    if not found:
        raise NotKnown(_("Nothing was found."))
