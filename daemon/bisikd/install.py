"""Putting the units where systemd looks, and taking them away again. Never touches the state directory.

It owns what is written, in which order systemd is told, and what is said of what was left. Whoever calls it has
shown the plan to a person.
"""

import difflib
import shutil
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bisik_protocol.chat.text import harmless
from bisikd.config import ListenAddress
from bisikd.errors import BisikdError
from bisikd.log.files import REAL_FILES
from bisikd.replace import replace_file
from bisikd.units import SERVICE, SOCKET, Machine, service_unit, socket_unit

UNIT_DIRECTORY: Final = Path("/etc/systemd/system")
STATE_DIRECTORY: Final = Path("/var/lib/bisikd")  # what StateDirectory= in the unit comes to
CREDENTIALS: Final = Path("/etc/credstore.encrypted")
_MODE: Final = 0o644  # units are for everybody to read, and hold no secret

Systemctl = Callable[[Sequence[str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A unit as it should be, and as it is now: None where there is none."""

    path: Path
    old: str | None
    new: str

    @property
    def needed(self) -> bool:
        return self.old != self.new

    def shown(self) -> str:
        """The whole new file, or what would be different in it."""
        if self.old is None:
            return f"{self.path}:\n\n{self.new}"
        if not self.needed:
            return f"{self.path} is as it should be.\n"
        lines = difflib.unified_diff(
            self.old.splitlines(keepends=True), self.new.splitlines(keepends=True), str(self.path), "what it would be"
        )
        return "".join(lines)


def systemctl(arguments: Sequence[str]) -> None:
    """Run it. Raises BisikdError with what it said."""
    program = shutil.which("systemctl")
    if program is None:
        raise BisikdError("There is no systemctl: this machine does not run systemd. `bisikd run` needs none.")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = harmless(" ".join(done.stderr.split())) or f"exit code {done.returncode}"
        raise BisikdError(f"systemctl {' '.join(arguments)} failed: {said}")


def has_ipv6() -> bool:
    """Whether a UDP socket for every address can be an IPv6 one."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::", 0))
    except OSError:
        return False
    return True


def planned(machine: Machine, listen: ListenAddress, public_host: str, *, ipv6: bool, where: Path) -> list[Change]:
    """What `install` would write."""
    texts = {SOCKET: socket_unit(listen, ipv6=ipv6), SERVICE: service_unit(machine, public_host)}
    return [Change(path=where / name, old=_read(where / name), new=text) for name, text in texts.items()]


def install(changes: Sequence[Change], run: Systemctl = systemctl) -> None:
    """Write the units, then start what they describe; a service that ran before is started anew.

    Raises BisikdError or OSError. The units stay then: `uninstall` takes them away.
    """
    for change in changes:
        if change.needed:
            replace_file(change.path, change.new.encode(), REAL_FILES)
            change.path.chmod(_MODE)
    run(["daemon-reload"])
    # The service first: the socket cannot take over a port that an older service holds by itself.
    run(["stop", SERVICE])
    run(["enable", SOCKET, SERVICE])
    try:
        run(["restart", SOCKET])
    except BisikdError as error:
        raise BisikdError(
            f"{error} If another bisikd, started by hand, has the port: stop it and run this again."
        ) from None
    run(["start", SERVICE])


def uninstall(where: Path = UNIT_DIRECTORY, run: Systemctl = systemctl) -> list[Path]:
    """Stop the service and remove the units; which they were. Raises BisikdError or OSError."""
    there = [where / name for name in (SOCKET, SERVICE) if (where / name).exists()]
    if not there:
        return []
    run(["disable", "--now", *(path.name for path in there)])
    for path in there:
        path.unlink()
    run(["daemon-reload"])
    return there


def left_behind() -> list[str]:
    """A sentence for each thing of bisikd that `uninstall` does not touch and that is there."""
    sentences = []
    if STATE_DIRECTORY.exists():
        sentences.append(
            f"{STATE_DIRECTORY.resolve()} was kept: keys, accounts and everything that was said. Whoever wants it "
            "gone removes it by hand."
        )
    if CREDENTIALS.is_dir() and (sealed := sorted(path.name for path in CREDENTIALS.glob("bisikd.*"))):
        sentences.append(f"{CREDENTIALS} still holds sealed keys, and was kept: {', '.join(sealed)}.")
    return sentences


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
