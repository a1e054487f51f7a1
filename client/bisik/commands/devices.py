"""bisik devices: which devices may log in with one's name, and taking that from one that is lost."""

from pathlib import Path

import click

from bisik.chat import Chat, open_profile
from bisik.commands.common import home_option, json_option, put_json, run, say
from bisik.errors import WrongUsage
from bisik.events import rfc3339
from bisik.home import Home
from bisik.i18n import _
from bisik_protocol.crypto.identity import fingerprint_text

REACH_S = 30.0


@click.command()
@click.option("--revoke", metavar="DEVICE", help="The device, by its first letters, that may not log in any more.")
@home_option
@json_option
def command(revoke: str | None, home: Path | None, as_json: bool) -> None:
    """Print the devices that may log in with your name; the one that you use has a star.

    A device that was revoked needs your login ID to come in again. If that was lost with the device, ask whoever runs
    the server for a new one: bisikd users reset-id.
    """
    run(_devices, revoke=revoke, home=Home.locate(home), as_json=as_json)


async def _devices(*, revoke: str | None, home: Home, as_json: bool) -> None:
    async with open_profile(home, home.require_default(), reader="devices") as chat:
        await chat.wait_admitted(REACH_S, patient=False)
        if revoke is not None:
            await _revoke(chat, revoke)
            return
        for info in await chat.devices():
            name, this = fingerprint_text(info.key_hash), info.key_hash == chat.device
            if as_json:
                fields = {"device": name, "added": rfc3339(info.added), "online": info.online, "this": this}
                put_json({"type": "device", **fields})
            else:
                state = _("online") if info.online else ""
                click.echo(f"{'*' if this else ' '} {name[:16]}  {rfc3339(info.added)[:10]}  {state}".rstrip())


async def _revoke(chat: Chat, start: str) -> None:
    found = [info for info in await chat.devices() if fingerprint_text(info.key_hash).startswith(start.lower())]
    if len(found) != 1:
        raise WrongUsage(
            _("{n} of your devices begin with {start}: name exactly one of those that bisik devices prints.").format(
                n=len(found), start=start
            )
        )
    await chat.revoke_device(found[0].key_hash)
    say(_("That device cannot log in any more, and its sessions are over."))
