"""Looks at everything that keeps a server from serving, changes nothing, and says for each what to do.

A check is a function that yields findings. It never raises: what it cannot find out is a finding too. Words about
what was found come before words about what to do, and the second are missing where there is nothing to do.
"""

import os
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from bisik_protocol.chat.invite import parse_invite
from bisik_protocol.chat.text import harmless
from bisik_protocol.crypto.handshake_client import ClientHandshake
from bisik_protocol.wire.handshake import TYPE_RETRY
from bisikd.admin import ask
from bisikd.config import Settings
from bisikd.errors import BisikdError
from bisikd.sockets import BUFFER_BYTES, ListenError, open_udp_socket
from bisikd.state import StateDirectory
from bisikd.users import UserStore

LITTLE_DISK_BYTES: Final = 1024 * 1024 * 1024
NO_DISK_BYTES: Final = 64 * 1024 * 1024
KNOCK_S: Final = 2.0
CLOCK_SLACK_S: Final = 5.0
SEALED: Final = Path("/etc/credstore.encrypted")
KEYS: Final = ("signing.pem", "decryption.pem", "reset.key")


class Health(Enum):
    """How a finding is. Only BAD makes the doctor's exit code 1."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`check` is a word to filter by, `says` what is, `do` what to do about it."""

    check: str
    health: Health
    says: str
    do: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What the checks look at. `status` is what the running daemon said of itself, None while none runs."""

    settings: Settings
    status: dict[str, Any] | None
    silence: str = ""  # why there is no status


Check = Callable[[Patient], Iterator[Finding]]


def patient(settings: Settings) -> Patient:
    """Ask the daemon, if there is one."""
    try:
        return Patient(settings=settings, status=ask(settings.state, "status"))
    except BisikdError as error:  # none runs, or it does not answer us
        return Patient(settings=settings, status=None, silence=str(error))


def examine(subject: Patient, checks: tuple[Check, ...]) -> list[Finding]:
    return [finding for check in checks for finding in check(subject)]


# The daemon -----------------------------------------------------------------------------------------------------


def check_daemon(subject: Patient) -> Iterator[Finding]:
    """Does it run, and is it content."""
    status = subject.status
    if status is None:
        yield Finding(check="daemon", health=Health.WARNING, says=subject.silence, do="systemctl start bisikd")
        return
    count = len(status["sessions"])
    yield Finding(check="daemon", health=Health.OK, says=f"It runs on {status['listen']}, with {count} sessions.")
    refused = {reason: number for reason, number in status["drops"].items() if reason.startswith("send-E")}
    if refused:
        shown = ", ".join(f"{harmless(reason)} {number}" for reason, number in sorted(refused.items()))
        yield Finding(
            check="daemon",
            health=Health.WARNING,
            says=f"Since its start the system would not send some datagrams: {shown}.",
            do="See the errno in docs/operating.md, 'What was dropped'; send-EPERM is a firewall on this machine.",
        )
    if status["log"]["times_full"]:
        yield Finding(
            check="daemon",
            health=Health.WARNING,
            says=f"The disk was full {status['log']['times_full']} times since its start.",
            do="Make room; nothing has to be restarted.",
        )


# The port -------------------------------------------------------------------------------------------------------


def check_port(subject: Patient) -> Iterator[Finding]:
    """Where a daemon runs, a handshake is begun with it; where none runs, its port is tried."""
    if subject.status is not None:
        yield _knock(subject.settings)
    elif not subject.silence.startswith("Not allowed"):
        try:
            open_udp_socket(subject.settings.listen).close()
        except ListenError as error:
            yield Finding(check="port", health=Health.BAD, says=str(error), do="ss -ulpn shows who has a port.")
        else:
            yield Finding(check="port", health=Health.OK, says=f"UDP port {subject.settings.listen.port} is free.")
    yield from _buffers()


def _knock(settings: Settings) -> Finding:
    try:
        invite = parse_invite(ask(settings.state, "invite")["invite"])
    except BisikdError as error:
        return Finding(check="port", health=Health.BAD, says=str(error), do="Run this as root.")
    hosts = [settings.listen.host] if settings.listen.host else ["::1", "127.0.0.1"]
    if any(_answers(host, invite.port, invite.fingerprint) for host in hosts):
        return Finding(check="port", health=Health.OK, says=f"UDP port {invite.port} answers on this machine.")
    return Finding(
        check="port",
        health=Health.BAD,
        says=f"It runs, but UDP port {invite.port} does not answer on this machine.",
        do="Look at the firewall of this machine (nft list ruleset), and at journalctl -u bisikd.",
    )


def _answers(host: str, port: int, fingerprint: bytes | None) -> bool:
    hello = ClientHandshake(os.urandom, fingerprint).hello()
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    for family, _, _, _, address in found:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(KNOCK_S)
            try:
                sock.sendto(hello, address)
                if sock.recv(2048)[0] == TYPE_RETRY:
                    return True
            except OSError:
                continue
    return False


def _buffers() -> Iterator[Finding]:
    try:
        allowed = int(Path("/proc/sys/net/core/rmem_max").read_text())
    except (OSError, ValueError):
        return  # not Linux
    if allowed < BUFFER_BYTES:
        yield Finding(
            check="port",
            health=Health.OK,
            says=f"The kernel allows a program {allowed // 1024} KiB of waiting datagrams; bisikd.socket gets 4096.",
        )


def check_invite(subject: Patient) -> Iterator[Finding]:
    """Whether an invite leads here from anywhere but this machine."""
    if subject.status is None:
        return
    try:
        host = parse_invite(ask(subject.settings.state, "invite")["invite"]).host
    except BisikdError:
        return  # told by the check of the port
    try:
        address = ip_address(host)
    except ValueError:
        yield Finding(check="invite", health=Health.OK, says=f"Invites name {host}.")
        return
    if address.is_loopback or address.is_unspecified:
        words, health = "which leads nobody here from another machine", Health.BAD
    elif address.is_private or address.is_link_local:
        words, health = "which leads here from your own network only", Health.WARNING
    else:
        yield Finding(check="invite", health=Health.OK, says=f"Invites name {host}.")
        return
    do = "bisikd install --public-host NAME, or public_host in bisikd.toml; behind NAT, forward the UDP port."
    yield Finding(check="invite", health=health, says=f"Invites name {host}, {words}.", do=do)


# The machine ----------------------------------------------------------------------------------------------------


def check_clock(subject: Patient) -> Iterator[Finding]:
    """Times of entries come from it, and people see them."""
    newest = max((_changed(path) for path in _files(subject.settings.state / "log")), default=0.0)
    if newest > time.time() + CLOCK_SLACK_S:
        yield Finding(
            check="clock",
            health=Health.BAD,
            says=f"The clock is {newest - time.time():.0f} s behind the newest entry of the log.",
            do="Set the clock, and let something keep it: timedatectl set-ntp true",
        )
    elif Path("/run/systemd/timesync").is_dir() and not Path("/run/systemd/timesync/synchronized").exists():
        yield Finding(
            check="clock",
            health=Health.WARNING,
            says="The clock was not set by a time server since this machine started.",
            do="timedatectl timesync-status says why.",
        )
    else:
        yield Finding(check="clock", health=Health.OK, says="The clock is past the newest entry of the log.")


def check_disk(subject: Patient) -> Iterator[Finding]:
    """Room for what will be said."""
    place = subject.settings.state
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
        files = os.statvfs(place)
    except OSError as error:
        yield Finding(check="disk", health=Health.BAD, says=f"{place}: {error.strerror or error}.")
        return
    says = f"{free // (1024 * 1024)} MiB are free for {subject.settings.state}."
    health = Health.OK if free >= LITTLE_DISK_BYTES else Health.WARNING if free >= NO_DISK_BYTES else Health.BAD
    yield Finding(check="disk", health=health, says=says, do="" if health is Health.OK else "Make room.")
    if files.f_files and files.f_favail < 1000:
        yield Finding(check="disk", health=Health.BAD, says="The file system has no room for new files.", do=_INODES)


_INODES: Final = "Remove files, many small ones most likely: df -i shows where."


# The state directory --------------------------------------------------------------------------------------------


def check_state(subject: Patient) -> Iterator[Finding]:
    """There, its owner's, and closed to others."""
    path = subject.settings.state.resolve()  # systemd makes it a link into /var/lib/private
    try:
        owner = path.stat()
    except FileNotFoundError:
        yield Finding(check="state", health=Health.WARNING, says=f"{path} is not there yet.", do="Start bisikd once.")
        return
    except OSError as error:
        yield Finding(check="state", health=Health.BAD, says=f"{path}: {error.strerror}.", do="Run this as root.")
        return
    wrong = [f"{place} is open to others" for place in _open_to_others(path)]
    wrong += [f"{place} has another owner" for place in _files(path) if _owner(place) not in (owner.st_uid, None)]
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        do = (
            f"chown -R --reference={path} {path} and chmod -R go= {path}; keys that others could read are theirs now."
        )
        yield Finding(check="permissions", health=Health.BAD, says=", ".join(wrong[:3]) + more + ".", do=do)
    else:
        yield Finding(check="permissions", health=Health.OK, says=f"{path} is for its owner only.")
    try:
        damaged = UserStore.open(path / "users").damaged if (path / "users").is_dir() else []
    except (BisikdError, OSError) as error:
        yield Finding(check="accounts", health=Health.BAD, says=str(error), do="Run this as root.")
        return
    for damage in damaged:
        yield Finding(check="accounts", health=Health.BAD, says=harmless(str(damage)), do="Restore it from a backup.")


def check_keys(subject: Patient) -> Iterator[Finding]:
    """Whole, and of one piece; or sealed."""
    identity = subject.settings.state / "identity"
    if not _is_there(identity):
        return
    sealed = [name for name in KEYS if _is_there(SEALED / f"bisikd.{name}") and not _is_there(identity / name)]
    if sealed:
        says = f"Sealed to this machine: {', '.join(sealed)}."
        yield Finding(check="keys", health=Health.OK, says=says, do="Keep a copy elsewhere: these open here only.")
        return
    try:
        StateDirectory.open_existing(subject.settings.state)
    except BisikdError as error:
        yield Finding(check="keys", health=Health.BAD, says=str(error))
    else:
        yield Finding(check="keys", health=Health.OK, says="The keys are whole and belong together.")


def _files(directory: Path) -> list[Path]:
    try:
        return list(directory.rglob("*"))
    except OSError:
        return []


def _open_to_others(path: Path) -> list[Path]:
    """Of the directory and the secrets in it. Sockets are guarded by whom they ask."""
    places = [path, *(place for place in _files(path) if not place.is_socket())]
    return [place for place in places if _is_there(place) and stat.S_IMODE(place.lstat().st_mode) & 0o077]


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except OSError:
        return None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
