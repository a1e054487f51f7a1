"""Two networks with one cable between them, which nobody else sees and which go with the processes in them.

This process moves into the first; the second belongs to a child. Whatever comes from the child's end, under any
source address, arrives here; answers go back and are dropped there. Needs root.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

HERE, THERE = "10.77.0.1", "10.77.0.2"
SOURCES: Final = "10.66.0.0/16"  # where the flood says that it comes from
CABLE: Final = "flood0"
HEADERS_BYTES: Final = 14 + 20 + 8  # of Ethernet, IPv4 and UDP, which the interface counts too
_CLONE_NEWNET: Final = 0x40000000


def why_not() -> str | None:
    """What keeps this machine from having networks of its own, or None."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "there is no ip (Debian: apt-get install iproute2)"
    return None


def leave_the_network() -> None:
    """Move this process, and what it starts from now on, into a new and empty network."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    ip("link", "set", "lo", "up")


def connect(child: int) -> None:
    """Lay the cable to the network of the process `child`, which has one of its own, and set up both ends."""
    ip("link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", str(child))
    ip("address", "add", f"{HERE}/24", "dev", CABLE)
    ip("link", "set", CABLE, "up")
    there = ("nsenter", "-t", str(child), "-n")
    ip("address", "add", f"{THERE}/24", "dev", CABLE, within=there)
    ip("link", "set", CABLE, "up", within=there)
    ip("route", "add", SOURCES, "via", THERE)


def receive_answers(child: int) -> None:
    """From now on the sources of the child's network are addresses of its own, at which it can be answered."""
    ip("route", "add", "local", SOURCES, "dev", "lo", within=("nsenter", "-t", str(child), "-n"))


def ip(*arguments: str, within: tuple[str, ...] = ()) -> None:
    subprocess.run([*within, "ip", *arguments], check=True)


class Traffic(NamedTuple):
    """What went over our end of the cable since it was laid. Bytes are those that UDP carried."""

    bytes_in: int
    packets_in: int
    bytes_out: int
    packets_out: int


def traffic() -> Traffic:
    """The interface's counters, as they are now (proc(5), net/dev)."""
    lines = Path("/proc/self/net/dev").read_text().splitlines()
    fields = next(line for line in lines if line.strip().startswith(CABLE)).split(":")[1].split()
    bytes_in, packets_in, bytes_out, packets_out = (int(fields[index]) for index in (0, 1, 8, 9))
    return Traffic(
        bytes_in - HEADERS_BYTES * packets_in, packets_in, bytes_out - HEADERS_BYTES * packets_out, packets_out
    )
