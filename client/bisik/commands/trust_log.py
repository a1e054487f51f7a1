"""bisik trust-log: the person's word on a log that does not continue what this home has seen."""

import sys
from pathlib import Path

import click

from bisik.checkpoints import Alarm, LogAlarm
from bisik.commands.common import home_option, json_option, put_json, say
from bisik.errors import LogMismatch, WrongUsage
from bisik.home import Home
from bisik.i18n import _
from bisik.store import Store
from bisik_protocol.chat.checkpoint import read_checkpoint_untrusted


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@home_option
@json_option
def command(yes: bool, home: Path | None, as_json: bool) -> None:
    """Go on with a server whose log was rolled back or changed, once you know why.

    What waits in the outbox goes out with the next command that reaches the server. Exit code 4: you decided not to.
    """
    place = Home.locate(home)
    store = Store(place.require_default().store_path)
    try:
        _decide(store, yes=yes, as_json=as_json)
    finally:
        store.close()


def _decide(store: Store, *, yes: bool, as_json: bool) -> None:
    raised = store.log_alarm()
    if raised is None:
        say(_("The server's log continues what this device has seen. There is nothing to decide."))
        if as_json:
            put_json({"type": "log-trusted", "changed": False})
        return
    kind, held, note = raised
    shown = None if note is None else read_checkpoint_untrusted(note)
    alarm = LogAlarm(kind=Alarm(kind), held=held, shown=None if shown is None else shown.size)
    if alarm.kind is Alarm.UNSIGNED:
        raise LogMismatch(alarm.sentence)
    if not yes:
        _ask(alarm)
    store.trust_log(None if shown is None or note is None else (shown.size, note))
    if as_json:
        put_json({"type": "log-trusted", "changed": True, "held": held, "now": 0 if shown is None else shown.size})
    say(_("From now on this device holds the server to the log as it is now."))


def _ask(alarm: LogAlarm) -> None:
    """Raises Abort where the person says no, WrongUsage where there is nobody to ask."""
    say(alarm.sentence)
    if not sys.stdin.isatty():
        raise WrongUsage(_("There is nobody here to ask; --yes decides without asking."))
    if not click.confirm(_("Go on with the log as it is now?"), err=True):
        raise LogMismatch(_("Nothing was changed: what you write is kept here and not sent."))
