"""`bisikd invite`: the link with the join password, and invites of their own with an end, uses and a label.

The running daemon does it; where none runs, the state's lock is taken and the files are changed.
"""

import json
import time
from io import StringIO
from pathlib import Path
from typing import Any, Final

import click

from bisik_protocol.chat.text import harmless
from bisikd.admin import ask
from bisikd.commands.common import DurationType, config_option, json_option, state_option
from bisikd.config import Flags, load_settings, locate_state
from bisikd.errors import NotRunning
from bisikd.invitation import invites_as_json, made_invite, ready_of
from bisikd.invites import MAX_LABEL_CHARACTERS, MAX_USES, open_invites
from bisikd.state import StateDirectory

OVER: Final = "over: it "
qr_option: Final = click.option("--qr", is_flag=True, help="As a picture for a camera too.")


def shown_link(link: str, *, qr: bool) -> str:
    """The link, and with `qr` above it a QR code of half blocks, for any terminal."""
    if not qr:
        return link
    import segno  # noqa: PLC0415 # nobody else needs it

    picture = StringIO()
    segno.make(link, error="l").terminal(picture, compact=True)
    return f"{picture.getvalue()}{link}"


@click.group(invoke_without_command=True)
@state_option
@config_option
@click.option("--renew", is_flag=True, help="Make a new join password first. Members stay members.")
@qr_option
@json_option
@click.pass_context
def invite(
    context: click.Context, state: Path | None, config: Path | None, renew: bool, qr: bool, as_json: bool
) -> None:
    """Print the invite link, which holds the join password; `invite new` makes others."""
    if context.invoked_subcommand is not None:
        return
    settings = load_settings(state=state, config=config)
    try:
        ready = ask(settings.state, "invite", renew=renew)
    except NotRunning:
        if renew:
            with StateDirectory.open_or_create(settings.state) as directory:
                directory.rotate_join_password()
        ready = ready_of(settings, StateDirectory.open_existing(settings.state)).as_json()
    click.echo(json.dumps(ready) if as_json else shown_link(ready["invite"], qr=qr))


@invite.command()
@state_option
@config_option
@click.option("--for", "lasts_s", type=DurationType(), metavar="TIME", help="Like 30m, 2h, 7d; else for ever.")
@click.option("--uses", type=click.IntRange(1, MAX_USES), metavar="N", help="So many people; else any number.")
@click.option("--label", default="", help="For you to know it by.")
@qr_option
@json_option
def new(
    state: Path | None,
    config: Path | None,
    lasts_s: int | None,
    uses: int | None,
    label: str,
    qr: bool,
    as_json: bool,
) -> None:
    """Make an invite with a secret of its own, and print its link. It is shown this once."""
    if len(label) > MAX_LABEL_CHARACTERS:
        raise click.UsageError(f"A label has at most {MAX_LABEL_CHARACTERS} characters.")
    wanted: dict[str, Any] = {"lasts_s": lasts_s, "max_uses": uses, "label": label}
    settings = load_settings(state=state, config=config)
    try:
        made = ask(settings.state, "invite-new", **wanted)
    except NotRunning:
        with StateDirectory.open_or_create(settings.state) as directory:
            record, secret = open_invites(settings.state).create(_now_ms(), **wanted)
            made = made_invite(ready_of(settings, directory), record, secret, _now_ms())
    click.echo(json.dumps(made) if as_json else shown_link(made["link"], qr=qr))


@invite.command("list")
@state_option
@config_option
@json_option
def list_invites(state: Path | None, config: Path | None, as_json: bool) -> None:
    """Print the invites, and who came in by them. Their secrets are nowhere."""
    directory = locate_state(Flags(state=state, config=config))
    try:
        known = ask(directory, "invites")
    except NotRunning:
        StateDirectory.open_existing(directory)
        known = invites_as_json(open_invites(directory), _now_ms())
    for each in known:
        click.echo(json.dumps(each) if as_json else _line(each))


@invite.command()
@click.argument("id_", metavar="ID")
@state_option
@config_option
def revoke(id_: str, state: Path | None, config: Path | None) -> None:
    """Take an invite away. Who came in by it stays."""
    directory = locate_state(Flags(state=state, config=config))
    try:
        ask(directory, "invite-revoke", id=id_)
    except NotRunning:
        with StateDirectory.open_or_create(directory):
            open_invites(directory).revoke(id_)


def _line(value: dict[str, Any]) -> str:
    uses = f"{value['uses']} of {value['max_uses']} uses" if value["max_uses"] else f"{value['uses']} uses"
    ends = f"until {value['expires']}" if value["expires"] else "without an end"
    over = f"  {OVER}{value['over']}" if value["over"] else ""
    label = f"  {harmless(value['label'])}" if value["label"] else ""
    guests = f"  ({', '.join(map(harmless, value['guests']))})" if value["guests"] else ""
    return f"{value['id']}  {uses}, {ends}{over}{label}{guests}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
