"""bisik login: bring a name to this device."""

from pathlib import Path

import click

from bisik.commands.common import home_option, json_option, name_option, pinned, put_json, run, say
from bisik.commands.publish import publish_key
from bisik.errors import Refused, WrongUsage
from bisik.gate import Gate, device_of, open_gate
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
@click.option(
    "--id-file",
    type=click.Path(allow_dash=True, path_type=Path, dir_okay=False),
    help="A file with the login ID, or - for standard input (default: it is asked for).",
)
@home_option
@json_option
def command(invite: str, name: str, id_file: Path | None, home: Path | None, as_json: bool) -> None:
    """Log in as NAME on this device, with an invite link and the name's login ID.

    A device that was admitted before needs no login ID.
    """
    run(_login, invite_text=invite, name_text=name, id_file=id_file, home=Home.locate(home), as_json=as_json)


async def _login(*, invite_text: str, name_text: str, id_file: Path | None, home: Home, as_json: bool) -> None:
    invite, name = read_invite(invite_text), person_name(name_text)
    fingerprint = pinned(invite)
    known = known_profile(home, invite)
    if known is not None:
        check_same_name(home, known, name)
    stdin = Stdin()
    password = invite.join_password
    if password is None:
        password = await ask(stdin, _("Password: "), secret=True)
    device = await device_of(home, fingerprint)
    async with open_gate(invite.host, invite.port, fingerprint, device) as gate:
        await gate.prove(password)
        await _log_in(gate, name, id_file, stdin)
        profile = home.save(name=name, host=invite.host, port=invite.port, fingerprint=fingerprint)
    if as_json:
        fields = {"type": "logged-in", "name": profile.name, "server": profile.address}
        put_json({**fields, "fingerprint": fingerprint_text(fingerprint)})
    say(_("You are {name} on {address}, on this device too.").format(name=profile.name, address=profile.address))
    await publish_key(home, profile)


async def _log_in(gate: Gate, name: str, id_file: Path | None, stdin: Stdin) -> None:
    """By the device's key where the server knows it, else by login ID."""
    try:
        await gate.login(name, None)
    except Refused as refused:
        if refused.code is not Code.LOGIN_ID_INCORRECT:
            raise
    else:
        return
    await gate.login(name, await _login_id(id_file, stdin))


async def _login_id(id_file: Path | None, stdin: Stdin) -> str:
    if id_file is None or str(id_file) == "-":
        login_id = (await ask(stdin, _("Login ID: "), secret=True)).strip()
    else:
        login_id = _read(id_file).strip()
    if not login_id:
        raise WrongUsage(_("There is no login ID there."))
    return login_id


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise WrongUsage(_("The login ID cannot be read from {path}.").format(path=path)) from None
