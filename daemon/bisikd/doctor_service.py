"""The doctor's look at the systemd service: its units, how it fares, and how much its sandbox leaves open."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bisik_protocol.chat.text import harmless
from bisikd.config import ListenAddress
from bisikd.doctor import Finding, Health, Patient
from bisikd.errors import BisikdError
from bisikd.install import UNIT_DIRECTORY, planned
from bisikd.units import SERVICE, SOCKET, this_machine

BOOTED: Final = Path("/run/systemd/system")  # sd_booted(3)
MAX_EXPOSURE: Final = 0.3
ASK_S: Final = 30.0
# What an operator chooses when installing; all else should be as this version writes it.
_CHOSEN: Final = ("Environment=BISIKD_PUBLIC_HOST=", "ListenDatagram=")

_REINSTALL: Final = "bisikd install shows the difference, and takes over what is new."


def check_units(subject: Patient) -> Iterator[Finding]:
    """Are they there, and what this version would write for this machine."""
    if not BOOTED.is_dir():
        yield Finding(check="units", health=Health.OK, says="This machine does not run systemd; none are needed.")
        return
    missing = [name for name in (SOCKET, SERVICE) if not (UNIT_DIRECTORY / name).exists()]
    if missing:
        says = f"bisikd is not a service of this machine: there is no {' and no '.join(missing)}."
        yield Finding(check="units", health=Health.WARNING, says=says, do="bisikd install makes it one.")
        return
    try:
        changes = planned(this_machine(), ListenAddress(), "", ipv6=True, where=UNIT_DIRECTORY)
    except BisikdError as error:
        yield Finding(check="units", health=Health.WARNING, says=str(error))
        return
    stale = [change.path.name for change in changes if _lines(change.old or "") != _lines(change.new)]
    if stale:
        says = f"{' and '.join(stale)} would be written differently now: Python moved, or bisik is newer."
        yield Finding(check="units", health=Health.WARNING, says=says, do=_REINSTALL)
    else:
        yield Finding(check="units", health=Health.OK, says="The units are what this version writes.")
    yield from _fares()


def check_sandbox(subject: Patient) -> Iterator[Finding]:
    """By systemd's own count, drop-ins included."""
    if not BOOTED.is_dir() or not (UNIT_DIRECTORY / SERVICE).exists():
        return
    said = _ask("systemd-analyze", "security", "--no-pager", SERVICE)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said or "")
    if found is None:
        yield Finding(check="sandbox", health=Health.WARNING, says="systemd-analyze does not say how tight it is.")
    elif float(found[1]) <= MAX_EXPOSURE:
        yield Finding(check="sandbox", health=Health.OK, says=f"systemd counts an exposure of {found[1]} of 10.")
    else:
        yield Finding(
            check="sandbox",
            health=Health.WARNING,
            says=f"systemd counts an exposure of {found[1]} of 10, and as installed it is at most {MAX_EXPOSURE}.",
            do="systemctl cat bisikd shows which drop-in opens it.",
        )


def _fares() -> Iterator[Finding]:
    said = _ask("systemctl", "show", SERVICE, "--property=ActiveState,Result,NRestarts")
    if said is None:
        return
    shown = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    state, restarts = harmless(shown.get("ActiveState", "?")), shown.get("NRestarts", "0")
    look = "journalctl -u bisikd says why."
    if state == "failed":
        says = f"The service failed ({harmless(shown.get('Result', '?'))}) and is not started again by itself."
        yield Finding(check="service", health=Health.BAD, says=says, do=f"{look} Then: systemctl reset-failed bisikd")
    elif state != "active":
        yield Finding(
            check="service", health=Health.WARNING, says=f"The service is {state}.", do="systemctl start bisikd"
        )
    elif restarts not in ("0", ""):
        says = f"The service runs, and had to be started anew {harmless(restarts)} times."
        yield Finding(check="service", health=Health.WARNING, says=says, do=look)
    else:
        yield Finding(check="service", health=Health.OK, says="The service runs, and never had to be started anew.")


def _lines(unit: str) -> list[str]:
    lines = [line for line in unit.splitlines() if line and not line.startswith("#")]
    return [line for line in lines if not line.startswith(_CHOSEN)]


def _ask(program: str, *arguments: str) -> str | None:
    """What a program says; None where it is not there, fails, or takes too long."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
