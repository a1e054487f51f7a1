"""bisik register: take a name on a server, and print the login ID."""

from pathlib import Path

import click

from bisik import gate
from bisik.commands.common import home_option, json_option, name_option, pinned, put_json, run, say
from bisik.commands.publish import publish_key
from bisik.errors import Refused
from bisik.home import Home
from bisik.i18n import _
from bisik.stdin import Stdin
from bisik.visit import check_same_name, known_profile, person_name, read_invite
from bisik.visitor import ask
from bisik_protocol.chat.messages import Code
from bisik_protocol.crypto.identity import fingerprint_text


@click.command()
@click.argument("invite")
@name_option
@home_option
@json_option
def command(invite: str, name: str, home: Path | None, as_json: bool) -> None:
    """Register NAME with an invite link, bind it to this device, and print its login ID.

    Where the link does not hold the password, it is asked for (or read from standard input).
    """
    run(_register, invite_text=invite, name_text=name, home=Home.locate(home), as_json=as_json)


async def _register(*, invite_text: str, name_text: str, home: Home, as_json: bool) -> None:
    invite, name = read_invite(invite_text), person_name(name_text)
    fingerprint = pinned(invite)
    known = known_profile(home, invite)
    if known is not None:
        check_same_name(home, known, name)
        raise Refused(
            Code.ALREADY_ADMITTED, _("You are {name} on that server already; nothing was done.").format(name=name)
        )
    password = invite.join_password
    if password is None:
        password = await ask(Stdin(), _("Password: "), secret=True)
    profile, login_id = await gate.register(
        home,
        host=invite.host,
        port=invite.port,
        fingerprint=fingerprint,
        join_password=password,
        name=name,
    )
    if as_json:
        put_json(
            {
                "type": "registered",
                "name": profile.name,
                "login_id": login_id,
                "server": profile.address,
                "fingerprint": fingerprint_text(fingerprint),
            }
        )
    elif login_id is not None:
        click.echo(login_id)
    if login_id is None:
        say(_("An earlier try was cut off before its login ID came; it cannot be shown again."))
    say(_("You are {name} on {address}.").format(name=profile.name, address=profile.address))
    if login_id is not None:
        say(
            _(
                "Keep the login ID as you keep a password: it brings your name to another device, and is not"
                " shown again."
            )
        )
    await publish_key(home, profile)
