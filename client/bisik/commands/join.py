"""bisik join: from an invite link into the room."""

from pathlib import Path

import click

from bisik.commands.common import home_option
from bisik.entrance import come_in
from bisik.home import Home


@click.command()
@click.argument("invite")
@click.option("--name", metavar="NAME", help="The name to register (default: it is asked for).")
@click.option("--plain", is_flag=True, help="One line for each event, for screen readers and plain terminals.")
@click.option("--lines", is_flag=True, help="Lines above the one that is typed, instead of the full screen.")
@home_option
def command(invite: str, name: str | None, plain: bool, lines: bool, home: Path | None) -> None:
    """Come in with an invite link: everything that it does not say is asked for, once."""
    come_in(Home.locate(home), plain=plain, lines=lines, invite_text=invite, name_text=name)
