"""bisik who: who is in a room."""

from pathlib import Path

import click

from bisik.chat import open_profile
from bisik.commands.common import home_option, json_option, put_json, run
from bisik.home import Home
from bisik.render import member_lines
from bisik_protocol.chat.names import LOBBY

REACH_S = 30.0


@click.command()
@click.argument("room", default=LOBBY)
@home_option
@json_option
def command(room: str, home: Path | None, as_json: bool) -> None:
    """Print who is in ROOM (default #lobby) now."""
    run(_who, room=room, home=Home.locate(home), as_json=as_json)


async def _who(*, room: str, home: Home, as_json: bool) -> None:
    async with open_profile(home, home.require_default(), reader="who") as chat:
        await chat.wait_admitted(REACH_S, patient=False)
        room = await chat.find_room(room)
        members = await chat.who(room)
    if as_json:
        for member in members:
            put_json({"type": "member", "room": room, "name": member.name, "quiet_s": member.quiet_s})
    else:
        for line in member_lines(members):
            click.echo(line)
