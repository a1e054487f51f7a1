"""bisik join: from an invite link into the room."""

from pathlib import Path

import click

from bisik.commands.common import home_option, run
from bisik.home import Home
from bisik.room import enter


@click.command()
@click.argument("invite")
@click.option("--name", metavar="NAME", help="The name to register (default: it is asked for).")
@home_option
def command(invite: str, name: str | None, home: Path | None) -> None:
    """Come in with an invite link: everything that it does not say is asked for, once."""
    run(enter, home=Home.locate(home), invite_text=invite, name_text=name)
