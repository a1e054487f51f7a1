"""What the daemon says about itself, as entries of systemd's journal that an operator can filter by.

It speaks the journal's own protocol: one datagram of fields to its socket (systemd.io/JOURNAL_NATIVE_PROTOCOL). Each
kind of message has an ID that stays the same whatever its words become; docs/operating.md lists them. Where stderr
does not go to the journal there is none of this, and the same sentences go to stderr.

Text passes `harmless` here, whoever wrote it. No secret may come here at all: many may read a journal, and it is
kept for long.
"""

import os
import socket
import struct
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Final, Self

from bisik_protocol.chat.text import harmless

SOCKET: Final = Path("/run/systemd/journal/socket")
MAX_MESSAGE_CHARACTERS: Final = 8_000  # far below what fits into one datagram
NOTICE, WARNING, ERROR = 5, 4, 3  # syslog(3)


class Happening(Enum):
    """Name, MESSAGE_ID and priority. An ID is never given to anything else again."""

    READY = ("ready", "fb7d2f5de25a410cac8f4c233736b434", NOTICE)
    STOPPING = ("stopping", "66884e2533c144f096fc0a5bb22fd95a", NOTICE)
    DRAINING = ("draining", "a9442618f54c4058ac9604f6806b48e0", NOTICE)
    RELOADED = ("reloaded", "0368d94049134aeb97c629f4ea9cbe12", NOTICE)
    RELOAD_REFUSED = ("reload-refused", "7213a344507a4246821714b750846446", WARNING)
    DISK = ("disk", "5fd19e5f946a486c9f8b0e797575f9ed", WARNING)
    DROPPED = ("dropped", "2224fc4614b049f193794b525effdd5c", NOTICE)
    SESSION_FAILED = ("session-failed", "b48b121873a24e229dd3cf19aa7ca061", ERROR)
    STATE = ("state", "4d1413d4353f4335bbe0407bbc97238d", WARNING)
    ACCOUNT_DAMAGED = ("account-damaged", "22dd3d92bb784a47b8c563d2e7a7a808", WARNING)
    LIMITED = ("limited", "d26196aaf28743498de8f6542a944df0", WARNING)

    def __init__(self, label: str, message_id: str, priority: int) -> None:
        self.label = label
        self.message_id = message_id
        self.priority = priority


class JournalSocket:
    """Made by `from_environment`. Never blocks; what cannot be sent is for the caller to say elsewhere."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, *, descriptor: int = 2, path: Path = SOCKET
    ) -> Self | None:
        """One where stderr goes to the journal: JOURNAL_STREAM then names its device and inode (systemd.exec(5))."""
        try:
            status = os.fstat(descriptor)
        except OSError:
            return None
        if environment.get("JOURNAL_STREAM") != f"{status.st_dev}:{status.st_ino}" or not path.exists():
            return None
        return cls(path)

    def send(self, happening: Happening, text: str, **fields: str) -> bool:
        """Whether the journal took it. `fields` get the prefix BISIKD_ and are for machines to filter by."""
        shown = harmless(text, multiline=True)[:MAX_MESSAGE_CHARACTERS]
        entry = {
            "MESSAGE": shown,
            "MESSAGE_ID": happening.message_id,
            "PRIORITY": str(happening.priority),
            "SYSLOG_IDENTIFIER": "bisikd",
            "BISIKD_EVENT": happening.label,
        } | {f"BISIKD_{name.upper()}": harmless(value) for name, value in fields.items()}
        try:
            self._socket.sendto(b"".join(_field(name, value) for name, value in entry.items()), self._path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


def _field(name: str, value: str) -> bytes:
    """`NAME=value`, or where there is a line feed in the value, its length before it."""
    data = value.encode("utf-8", "replace")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
