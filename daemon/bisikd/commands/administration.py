"""Commands for a running daemon: how it is, rooms, people, a new configuration, an end. Each needs it to answer."""

import json
import time
from typing import Any, Final

import click

from bisik_protocol.chat.text import harmless
from bisikd.commands.common import DurationType, Where, json_option, where_options
from bisikd.draining import DRAIN_S
from bisikd.errors import NotRunning
from bisikd.reloading import reload_for_people
from bisikd.status import rooms_for_people, status_for_people

LOOK_EVERY_S: Final = 0.2


for_option = click.option(
    "--for", "lasts_s", type=DurationType(), metavar="TIME", help="Like 30m, 2h, 7d; else for ever."
)
reason_option = click.option("--reason", default="", help="For everybody to read.")
device_option = click.option("--device", metavar="FINGERPRINT", help="A device, instead of a name.")
address_option = click.option("--address", metavar="RANGE", help="An address or a range of them, instead of a name.")


@click.command()
@where_options
@json_option
def status(where: Where, as_json: bool) -> None:
    """Ask the running daemon how it is: sessions and their links, rooms, refusals, log."""
    answer = where.ask("status")
    click.echo(json.dumps(answer) if as_json else "\n".join(status_for_people(answer)))


@click.command()
@where_options
@json_option
def rooms(where: Where, as_json: bool) -> None:
    """Print the rooms: who is there, topic, rules."""
    found = where.ask("rooms")
    if as_json:
        for each in found:
            click.echo(json.dumps({"type": "room", **each}))
    else:
        click.echo("\n".join(rooms_for_people(found)))


@click.command()
@click.argument("room")
@where_options
@click.option("--private/--public", default=None, help="Only who was allowed comes in, and who is in it now.")
@click.option("--read-only/--writable", default=None, help="Only moderators write.")
@click.option("--allow", multiple=True, metavar="NAME", help="Let somebody into a private room.")
@click.option("--disallow", multiple=True, metavar="NAME", help="Let them in no longer, and put them out.")
def room(
    room: str,
    where: Where,
    private: bool | None,
    read_only: bool | None,
    allow: tuple[str, ...],
    disallow: tuple[str, ...],
) -> None:
    """Change a room's rules."""
    if private is not None or read_only is not None:
        where.ask("room", room=room, private=private, read_only=read_only)
    for name in allow:
        where.ask("allow", room=room, name=name)
    for name in disallow:
        where.ask("allow", room=room, name=name, allowed=False)


@click.command()
@click.argument("name")
@click.argument("room", required=False)
@where_options
@reason_option
def kick(name: str, room: str | None, where: Where, reason: str) -> None:
    """Put somebody out of a room, or of every room. They may come back."""
    where.ask("kick", name=name, room=room, reason=reason)


@click.command()
@click.argument("name", required=False)
@where_options
@device_option
@address_option
@for_option
@reason_option
def ban(
    name: str | None,
    where: Where,
    device: str | None,
    address: str | None,
    lasts_s: int | None,
    reason: str,
) -> None:
    """Keep a name, a device or a range of addresses off the server, and put out who is there."""
    what, target = _target(name, device, address)
    where.ask("ban", what=what, target=target, lasts_s=lasts_s, reason=reason)


@click.command()
@click.argument("name", required=False)
@where_options
@device_option
@address_option
def unban(name: str | None, where: Where, device: str | None, address: str | None) -> None:
    """Take a ban back."""
    what, target = _target(name, device, address)
    where.ask("unban", what=what, target=target)


@click.command()
@where_options
@json_option
def bans(where: Where, as_json: bool) -> None:
    """Print who is banned, and who is muted."""
    found = where.ask("bans")
    for each in [*found["bans"], *found["mutes"]]:
        click.echo(json.dumps(each) if as_json else _decision(each))


@click.command()
@click.argument("name")
@click.argument("room", required=False)
@where_options
@for_option
@reason_option
def mute(name: str, room: str | None, where: Where, lasts_s: int | None, reason: str) -> None:
    """Refuse what somebody says, in one room or in all."""
    where.ask("mute", name=name, room=room, lasts_s=lasts_s, reason=reason)


@click.command()
@click.argument("name")
@click.argument("room", required=False)
@where_options
def unmute(name: str, room: str | None, where: Where) -> None:
    """Let somebody speak again."""
    where.ask("unmute", name=name, room=room)


@click.command()
@click.argument("room")
@click.argument("text", default="")
@where_options
def topic(room: str, text: str, where: Where) -> None:
    """Set a room's topic; without TEXT take it away."""
    where.ask("topic", room=room, topic=text)


@click.command()
@where_options
@json_option
def reload(where: Where, as_json: bool) -> None:
    """Take in a changed bisikd.toml; on any mistake in it the old one stays."""
    answer = where.ask("reload")
    click.echo(json.dumps(answer) if as_json else reload_for_people(answer))


@click.command()
@where_options
@click.option(
    "--within",
    "within_s",
    type=click.FloatRange(0, 3600),
    default=DRAIN_S,
    show_default=True,
    help="Seconds at most.",
)
@click.option("--no-wait", is_flag=True, help="Return at once.")
def drain(where: Where, within_s: float, no_wait: bool) -> None:
    """Take nothing new, and stop when everybody has what was stored."""
    answer = where.ask("drain", within_s=within_s)
    click.echo(
        f"{answer['sessions']} sessions; it stops when they have everything, or in {within_s:.0f} s.", err=True
    )
    while not no_wait:
        time.sleep(LOOK_EVERY_S)
        try:
            where.ask("rooms")
        except NotRunning:
            return


def _target(name: str | None, device: str | None, address: str | None) -> tuple[str, str]:
    given = [(what, text) for what, text in (("name", name), ("device", device), ("address", address)) if text]
    if len(given) != 1:
        raise click.UsageError("Give a NAME, or --device, or --address: one of them.")
    return given[0]


def _decision(value: dict[str, Any]) -> str:
    if value["type"] == "ban":
        what = f"ban on {value['what']} {harmless(value['target'])}"
    else:
        what = f"mute of {harmless(value['name'])}" + (f" in {harmless(value['room'])}" if value["room"] else "")
    until = f"until {value['until']}" if value["until"] else "until it is taken back"
    reason = f": {harmless(value['reason'])}" if value["reason"] else ""
    return f"{what}, {until}, by {harmless(value['by'])} at {value['since']}{reason}"
