"""What moderators have decided: bans, mutes, and each room's topic and rules. Survives restarts as one small file.

It owns the decisions and their file, `moderation.toml`, and answers whom they concern. It must not know of sessions,
of who may decide what, or of the log, in which every decision stands as well. Times are milliseconds of the wall
clock, so that a ban ends when it was said to end, whatever was restarted in between.
"""

from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bisik_protocol.chat.messages import BanKind
from bisikd.log.files import REAL_FILES, FileSystem
from bisikd.replace import replace_file
from bisikd.state import StateError

FILE_NAME: Final = "moderation.toml"
MAX_BANS: Final = 4_096
MAX_MUTES: Final = 4_096
MAX_FILE_BYTES: Final = 8 * 1024 * 1024

_HEAD: Final = b"# Written by bisikd; change it with its commands. What is here is in the log as well.\n"


class Ban(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Somebody, or something, that is kept off the server."""

    what: BanKind
    target: str
    by: str
    since_ms: int
    until_ms: int | None = None
    reason: str = ""


class Mute(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Somebody whose posts are refused; without a room, in all of them."""

    name: str
    by: str
    since_ms: int
    room: str | None = None
    until_ms: int | None = None
    reason: str = ""


class RoomRules(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What holds in one room."""

    topic: str = ""
    private: bool = False
    read_only: bool = False
    allowed: tuple[str, ...] = ()  # whom a private room lets in, beside moderators


class Decisions(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Everything. A change makes a new one."""

    bans: tuple[Ban, ...] = ()
    mutes: tuple[Mute, ...] = ()
    rooms: Mapping[str, RoomRules] = {}


NO_RULES: Final = RoomRules()


class Moderation:
    """`save` is given every change before it holds; it blocks, and raises OSError where the change cannot be kept."""

    def __init__(self, decisions: Decisions | None = None, save: Callable[[Decisions], None] | None = None) -> None:
        self.decisions = Decisions() if decisions is None else decisions
        self._save = save

    def store(self, decisions: Decisions) -> None:
        """Put these in the place of those that hold. Blocks on the disk; raises OSError, and then nothing changed."""
        if self._save is not None:
            self._save(decisions)
        self.decisions = decisions

    def rules(self, room: str) -> RoomRules:
        return self.decisions.rooms.get(room, NO_RULES)

    def ban_of(self, now_ms: int, names: Collection[str], device: str) -> Ban | None:
        """The ban on one of the names of an account, or on its device (a fingerprint's text)."""
        for ban in self.decisions.bans:
            if _holds(ban.until_ms, now_ms) and (
                (ban.what is BanKind.NAME and ban.target in names)
                or (ban.what is BanKind.DEVICE and ban.target == device)
            ):
                return ban
        return None

    def address_ban_of(self, now_ms: int, host: str) -> Ban | None:
        """The ban on the address somebody comes from."""
        for ban in self.decisions.bans:
            if ban.what is BanKind.ADDRESS and _holds(ban.until_ms, now_ms) and is_in_range(host, ban.target):
                return ban
        return None

    def mute_of(self, now_ms: int, names: Collection[str], room: str) -> Mute | None:
        for mute in self.decisions.mutes:
            if mute.name in names and mute.room in (None, room) and _holds(mute.until_ms, now_ms):
                return mute
        return None


def without_ended(decisions: Decisions, now_ms: int) -> Decisions:
    """What still holds: the file does not grow with what is over."""
    return msgspec.structs.replace(
        decisions,
        bans=tuple(ban for ban in decisions.bans if _holds(ban.until_ms, now_ms)),
        mutes=tuple(mute for mute in decisions.mutes if _holds(mute.until_ms, now_ms)),
        rooms={name: rules for name, rules in decisions.rooms.items() if rules != NO_RULES},
    )


def _holds(until_ms: int | None, now_ms: int) -> bool:
    return until_ms is None or now_ms < until_ms


# Addresses ---------------------------------------------------------------------------------------------------------


def canonical_range(text: str) -> str:
    """One spelling of an address or a range of addresses. Raises ValueError."""
    network = ip_network(text.strip(), strict=False)
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        network = IPv4Network((network.network_address.ipv4_mapped, max(0, network.prefixlen - 96)))
    return str(network)


def is_in_range(host: str, wanted: str) -> bool:
    """Whether an address is in a canonical range. An IPv4 address is the same however it is written."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address in ip_network(wanted)


# The file ----------------------------------------------------------------------------------------------------------


def open_moderation(directory: Path, files: FileSystem = REAL_FILES) -> Moderation:
    """What was decided before. Raises StateError where that cannot be read: to forget bans would be no better."""
    path = directory / FILE_NAME

    def save(decisions: Decisions) -> None:
        replace_file(path, _HEAD + msgspec.toml.encode(decisions), files)

    return Moderation(read_decisions(path, files), save)


def read_decisions(path: Path, files: FileSystem = REAL_FILES) -> Decisions:
    """Raises StateError with file and place."""
    if path.name not in files.names(path.parent):
        return Decisions()
    try:
        file = files.open(path, writable=False)
        try:
            content = file.read(0, MAX_FILE_BYTES)
        finally:
            file.close()
        decisions = msgspec.toml.decode(content, type=Decisions)
        for ban in decisions.bans:
            if ban.what is BanKind.ADDRESS:
                ip_network(ban.target)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise StateError(
            f"{path} is damaged: {error}. It was kept as it is; repair it or restore it from a backup, or remove it "
            "to lift every ban and mute and to open every private room."
        ) from None
    except OSError as error:
        raise StateError(f"{path} cannot be read ({error.strerror or error}).") from None
    return decisions
