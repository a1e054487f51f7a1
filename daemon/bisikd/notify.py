"""What the service manager is told, and what it asked for: sd_notify(3) over the socket that systemd names.

It owns the datagrams and nothing of when they are due. Without a service manager every call does nothing; a
message that cannot be delivered is no reason for a chat server to stop.
"""

import os
import socket
from collections.abc import Mapping
from typing import Final, Self

_MICROSECONDS: Final = 1_000_000


class Notifier:
    """Made by `from_environment`; `close` when the process ends."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        """`address` is a path, or `@` and a name in Linux's abstract space; None says nothing to nobody."""
        self._address: str | None = None
        self._socket: socket.socket | None = None
        self._watchdog_s = watchdog_s
        if address and address[0] in "/@":
            self._address = "\0" + address[1:] if address[0] == "@" else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, *, pid: int | None = None) -> Self:
        """From NOTIFY_SOCKET, and WATCHDOG_USEC where WATCHDOG_PID is missing or ours."""
        values = os.environ if environment is None else environment
        own_pid = os.getpid() if pid is None else pid
        watchdog_s = None
        if values.get("WATCHDOG_PID", str(own_pid)) == str(own_pid):
            microseconds = values.get("WATCHDOG_USEC", "")
            if microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0:
                watchdog_s = int(microseconds) / _MICROSECONDS
        return cls(values.get("NOTIFY_SOCKET"), watchdog_s)

    @property
    def active(self) -> bool:
        """Whether there is a service manager that wants to hear."""
        return self._socket is not None

    @property
    def watchdog_interval_s(self) -> float | None:
        """How often to call `watchdog`: half of what the manager allows, as sd_watchdog_enabled(3) advises."""
        return None if self._watchdog_s is None else self._watchdog_s / 2

    def ready(self, status: str = "") -> bool:
        """Start-up is finished: datagrams are being served."""
        return self._send("READY=1", *([_status(status)] if status else []))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(_status(text))

    def stopping(self, status: str = "") -> bool:
        """Shutting down has begun."""
        return self._send("STOPPING=1", *([_status(status)] if status else []))

    def watchdog(self) -> bool:
        """Still alive. Call it from the loop whose life matters, not from a thread of its own."""
        return self._send("WATCHDOG=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> bool:
        """Whether the manager got it."""
        if self._socket is None or self._address is None:
            return False
        try:
            self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError:  # nobody listens, or its queue is full: it will ask again or do without
            return False
        return True


def _status(text: str) -> str:
    """A line feed would begin a new assignment."""
    return "STATUS=" + " ".join(text.split())
