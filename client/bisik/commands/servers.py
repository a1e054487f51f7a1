"""bisik servers: where one is known, and as whom."""

from pathlib import Path

import click

from bisik.commands.common import home_option, json_option, put_json, say
from bisik.home import Home
from bisik.i18n import _
from bisik_protocol.chat.text import harmless
from bisik_protocol.crypto.identity import fingerprint_text


@click.command()
@home_option
@json_option
def command(home: Path | None, as_json: bool) -> None:
    """Print the servers that this home knows; the one that is used by default has a star."""
    place = Home.locate(home)
    default = place.default()
    profiles = place.profiles()
    for profile in profiles:
        is_default = default is not None and profile.fingerprint == default.fingerprint
        fingerprint = fingerprint_text(profile.fingerprint)
        if as_json:
            put_json(
                {
                    "type": "server",
                    "name": profile.name,
                    "host": profile.host,
                    "port": profile.port,
                    "fingerprint": fingerprint,
                    "default": is_default,
                }
            )
        else:
            star = "*" if is_default else " "
            click.echo(f"{star} {harmless(profile.name)}  {harmless(profile.address)}  {fingerprint}")
    if not profiles:
        say(
            _("No server is known in {path}. Join one: bisik join INVITE, or bisik for a dialogue.").format(
                path=place.path
            )
        )
