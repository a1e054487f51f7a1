"""`bisikd install` and `uninstall`: the systemd units of this machine, shown before anything is changed."""

import os
import sys
from pathlib import Path

import click

from bisikd.commands.common import flags_of
from bisikd.config import ListenAddress, load
from bisikd.errors import BisikdError, UsageProblem
from bisikd.install import (
    STATE_DIRECTORY,
    UNIT_DIRECTORY,
    has_ipv6,
    install,
    left_behind,
    planned,
    systemctl,
    uninstall,
)
from bisikd.sockets import primary_address
from bisikd.units import this_machine

yes_option = click.option("--yes", is_flag=True, help="Do it without asking.")


@click.command("install")
@click.option("--listen", metavar="[HOST]:PORT", help="UDP address; by default port 9999 of every address.")
@click.option(
    "--public-host", metavar="HOST[:PORT]", help="What invites say; by default this machine's own address now."
)
@click.option("--print", "prints", is_flag=True, help="Print the units, and change nothing.")
@yes_option
def install_command(listen: str | None, public_host: str | None, prints: bool, yes: bool) -> None:
    """Run bisikd as a systemd service: write the units for this machine, enable and start them.

    They are shown first. The state is in /var/lib/bisikd; what is there already is used.
    """
    if sys.platform != "linux":
        raise BisikdError("Only Linux has systemd. `bisikd run` needs none.")
    settings = load(flags_of(state=STATE_DIRECTORY, listen=listen, public_host=public_host), {}).settings
    named = public_host or ("" if settings.public_host else _seen_from_outside(settings.listen))
    changes = planned(this_machine(), settings.listen, named, ipv6=has_ipv6(), where=UNIT_DIRECTORY)
    if prints:
        click.echo("\n".join(change.new for change in changes), nl=False)
        return
    _must_be_root("install")
    click.echo("\n".join(change.shown() for change in changes))
    if not named and settings.public_host is None:
        click.echo(f"Invites will say {settings.listen.host}.", err=True)
    _confirm("Write this, enable it and start it?", yes=yes)
    install(changes)
    click.echo("bisikd runs, and will after every start of this machine.", err=True)
    click.echo("  bisikd invite           the link for your people", err=True)
    click.echo("  bisikd doctor           whether all is well", err=True)
    click.echo("  journalctl -u bisikd    what it has to say", err=True)


@click.command("uninstall")
@yes_option
def uninstall_command(yes: bool) -> None:
    """Stop the systemd service and remove its units. The state directory is kept."""
    _must_be_root("uninstall")
    _confirm(f"Stop bisikd and remove its units from {UNIT_DIRECTORY}?", yes=yes)
    removed = uninstall()
    click.echo(f"Removed {' and '.join(map(str, removed))}." if removed else "There were no units.", err=True)
    for sentence in left_behind():
        click.echo(sentence, err=True)


def _seen_from_outside(listen: ListenAddress) -> str:
    """The service has no network of its own to find it out with. Where it listens on one address, it knows that."""
    return "" if listen.host else primary_address()


def _must_be_root(what: str) -> None:
    if os.geteuid() != 0:
        raise BisikdError(f"Only root may do that: sudo {Path(sys.argv[0]).absolute()} {what}")
    systemctl(["--version"])


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageProblem("Nobody is here to ask. Nothing was changed; --yes does it without asking.")
    click.confirm(question, abort=True, err=True)
