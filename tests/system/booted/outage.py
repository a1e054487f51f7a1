"""Ending a service the hard way, and the time until somebody answers on its port again."""

import os
import select
import signal
import socket
import threading
from pathlib import Path
from time import monotonic
from typing import Final

from bisik_protocol.chat.invite import Invite
from bisik_protocol.crypto.handshake_client import ClientHandshake
from bisik_protocol.wire.handshake import TYPE_RETRY
from tests.support.booted import BootedMachine

UNIT: Final = "bisikd.service"
ASK_EVERY_S: Final = 0.005
PATIENCE_S: Final = 60.0


class Caller:
    """Knocks at a server's port. Its socket stays on the network that it was made on."""

    def __init__(self, invite: Invite) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._address = invite.host, invite.port
        self._hello = ClientHandshake(os.urandom, invite.fingerprint).hello()

    def close(self) -> None:
        self._socket.close()

    def until_answered(self, since: float) -> float:
        """Send HELLOs until one is answered; seconds since `since`."""
        while self._answer(0.0):
            pass  # what came late
        while monotonic() < since + PATIENCE_S:
            self._socket.sendto(self._hello, self._address)
            if self._answer(ASK_EVERY_S):
                return monotonic() - since
        raise AssertionError(f"nobody answered for {PATIENCE_S:.0f} s")

    def _answer(self, seconds: float) -> bool:
        if not select.select([self._socket], [], [], seconds)[0]:
            return False
        return self._socket.recv(2048)[0] == TYPE_RETRY


def after_kill(machine: BootedMachine, caller: Caller) -> float:
    """Seconds from SIGKILL to the first answer."""
    process = machine.main_process(UNIT)
    descriptor = os.pidfd_open(process)
    try:
        since = monotonic()
        os.kill(process, signal.SIGKILL)
        select.select([descriptor], [], [])  # so that the answer is not the last word of the dead
    finally:
        os.close(descriptor)
    return caller.until_answered(since)


def after_hang(machine: BootedMachine, caller: Caller) -> float:
    """Seconds from SIGSTOP, which nobody but the watchdog can notice, to the first answer."""
    process = machine.main_process(UNIT)
    since = monotonic()
    os.kill(process, signal.SIGSTOP)
    threading.Event().wait(ASK_EVERY_S)  # until it has stopped on every processor
    return caller.until_answered(since)


def cost_of_start(machine: BootedMachine) -> float:
    """Seconds of processor time that the service has had by now, its sandbox set up and all imported.

    Ask right after the first answer: unlike the time until that, it does not depend on what else this machine does.
    """
    used = Path(f"/proc/{machine.main_process(UNIT)}/stat").read_text().rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
