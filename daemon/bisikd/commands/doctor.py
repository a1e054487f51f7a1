"""`bisikd doctor`: a line for each thing that was looked at, and below those that are not well what to do."""

import json
from pathlib import Path
from typing import Final

import click

from bisikd.commands.common import config_option, flags_of, json_option, state_option
from bisikd.config import load
from bisikd.doctor import (
    Check,
    Finding,
    Health,
    check_clock,
    check_daemon,
    check_disk,
    check_invite,
    check_keys,
    check_port,
    check_state,
    examine,
    patient,
)
from bisikd.doctor_service import check_sandbox, check_units

CHECKS: Final[tuple[Check, ...]] = (
    check_daemon,
    check_port,
    check_invite,
    check_clock,
    check_disk,
    check_state,
    check_keys,
    check_units,
    check_sandbox,
)
WORDS: Final = {Health.OK: "ok", Health.WARNING: "hm", Health.BAD: "NO"}


@click.command("doctor")
@state_option
@config_option
@json_option
def doctor_command(state: Path | None, config: Path | None, as_json: bool) -> None:
    """Look at port, clock, disk, permissions, keys, units and sandbox, and say what to do.

    Changes nothing. Exit code 1 if anything keeps the server from serving as it should.
    """
    findings = examine(patient(load(flags_of(state=state, config=config)).settings), CHECKS)
    healthy = not any(finding.health is Health.BAD for finding in findings)
    if as_json:
        click.echo(json.dumps({"type": "doctor", "ok": healthy, "findings": list(map(_as_json, findings))}))
    else:
        for finding in findings:
            click.echo(f"{WORDS[finding.health]}  {finding.check:12} {finding.says}")
            if finding.do:
                click.echo(f"{'':16} {finding.do}")
    if not healthy:
        raise SystemExit(1)


def _as_json(finding: Finding) -> dict[str, str]:
    return {"check": finding.check, "health": finding.health.value, "says": finding.says, "do": finding.do}
