"""Floods a daemon with HELLOs from addresses that do not exist, while two people chat, and prints what it cost.

Then with handshakes from two hundred addresses that do exist, while members log in.

`make soak-flood`, with HELLOS, SOURCES, RATE (a second) and BUDGET (seconds, after which it stops wherever it is);
SLICE=1 for what CI runs. Exits 1 where a bound does not hold, and 0 with a word where there can be no network of its
own. Delays and shares of the processor are held to their bounds by the full run only: a slice is too short for them.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Final

import trio

from bisik_protocol.chat.messages import Admitted
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.crypto.handshake_client import ClientHandshake
from bisikd.udp import UdpDriver
from tests.flood import namespaces
from tests.support.chatter import Chatter, open_chatter
from tests.support.daemon_process import DaemonProcess, fresh_state, open_daemon
from tests.support.keys import device_key

MAX_GROWTH_BYTES: Final = 2 * 1024 * 1024
MAX_ECHO: Final = 0.7  # bytes out for each byte in
MAX_SLOWER: Final = 2.0
MAX_CPU: Final = 0.25  # of one processor, for handshakes by those who can receive, beyond what the chat takes
ATTACKERS: Final = 200
HANDSHAKES: Final = 500  # a second, which would take all of it
LONG_S: Final = 20.0  # from which on a share of the processor means anything
MIN_FOR_DELAYS: Final = 200  # messages under the flood
EVERY_S: Final = 0.05  # a message
WARM_UP: Final = 20_000  # HELLOs that teach the allocator its size
DIFFERENT: Final = 64  # HELLOs; each is answered anew anyway, for no state is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    hellos: int = 1_000_000
    sources: int = 10_000
    rate: int = 5_000
    budget_s: float = 600.0
    idle_s: float = 20.0
    handshakes_s: float = 30.0


SLICE: Final = Plan(hellos=20_000, sources=10_000, rate=4_000, budget_s=30.0, idle_s=3.0, handshakes_s=4.0)


class Conversation:
    """tama says something now and then, and it is measured when sari has it. `delays` in seconds."""

    def __init__(self, tama: Chatter, sari: Chatter) -> None:
        self.tama, self.sari = tama, sari
        self.delays: list[float] = []

    async def go_on(self) -> None:
        while True:
            began = monotonic()
            number = self.tama.say(LOBBY, f"kabar {len(self.delays)}")
            statement = self.tama.said[LOBBY][number - 1]
            await self.sari.until(lambda: any(e.statement == statement for e in self.sari.messages(LOBBY)[-4:]))  # noqa: B023
            self.delays.append(monotonic() - began)
            await trio.sleep(EVERY_S)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def resident_bytes(process: int) -> int:
    """Memory of its own that a process holds (proc(5), RssAnon)."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def p99(delays: list[float]) -> float:
    return sorted(delays)[int(len(delays) * 0.99)] if delays else 0.0


@asynccontextmanager
async def flooder() -> AsyncIterator[trio.Process]:
    """A process at the other end of a cable."""
    command = ["unshare", "--net", sys.executable, "-m", "tests.flood.flooder"]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        await answer(process)
        namespaces.connect(process.pid)
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def answer(process: trio.Process) -> dict[str, Any]:
    assert process.stdout is not None
    received = b""
    while not received.endswith(b"\n"):
        part = await process.stdout.receive_some()
        assert part, "the flooder ended"
        received += part
    value: dict[str, Any] = json.loads(received)
    return value


async def flood(plan: Plan, hellos: int, daemon: DaemonProcess, process: trio.Process) -> dict[str, Any]:
    fingerprint = daemon.invite.fingerprint
    assert fingerprint is not None
    order = {
        "host": namespaces.HERE,
        "port": daemon.invite.port,
        "datagrams": [ClientHandshake(os.urandom, fingerprint).hello().hex() for _ in range(DIFFERENT)],
        "sources": plan.sources,
        "count": hellos,
        "rate": plan.rate,
        "budget_s": plan.budget_s,
        "seed": 1,
    }
    assert process.stdin is not None
    before = namespaces.traffic()
    await process.stdin.send_all(json.dumps(order).encode() + b"\n")
    done = await answer(process)
    after = namespaces.traffic()
    return done | {name: now - then for name, now, then in zip(after._fields, after, before, strict=True)}


async def knocking(plan: Plan, daemon: DaemonProcess, process: trio.Process, chat: float) -> bool:
    """Handshakes by those who can receive, and members who come in meanwhile.

    `chat` is the share of a processor that the daemon takes for the conversation alone.
    """
    namespaces.receive_answers(process.pid)
    assert daemon.invite.fingerprint is not None
    order = {
        "host": namespaces.HERE,
        "port": daemon.invite.port,
        "fingerprint": daemon.invite.fingerprint.hex(),
        "sources": ATTACKERS,
        "rate": HANDSHAKES,
        "budget_s": plan.handshakes_s,
    }
    assert process.stdin is not None
    cpu, logins = cpu_seconds(daemon.process.pid), list[float]()
    await process.stdin.send_all(json.dumps(order).encode() + b"\n")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(come_in_again_and_again, daemon, logins)
        done = await answer(process)
        nursery.cancel_scope.cancel()
    share = (cpu_seconds(daemon.process.pid) - cpu) / done["seconds"] - chat
    say(f"{done['sent']} handshakes in {done['seconds']} s from {ATTACKERS} hosts; {done['failed']} got no cookie")
    middle, slowest = median(logins or [0.0]), max(logins, default=0.0)
    say(f"{len(logins)} logins meanwhile, p50 {middle:.2f} s, slowest {slowest:.2f} s")
    took = f"the daemon took {share:.0%} of a processor for both, and {chat:.0%} for the chat"
    if plan.handshakes_s < LONG_S:
        say(f"{took}; the burst that is allowed at once is most of that")
        held = True
    else:
        held = check(took, share <= MAX_CPU, f"at most {MAX_CPU:.0%} for both")
    return check("members could log in", bool(logins), "at least one") and held


async def come_in_again_and_again(daemon: DaemonProcess, logins: list[float]) -> None:
    """A member from another host than this one, for hosts are what is counted."""
    assert daemon.invite.fingerprint is not None
    while True:
        began = monotonic()
        member = Chatter(device_key(1), (namespaces.HERE, daemon.invite.port), daemon.invite.fingerprint)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((namespaces.HERE, 0))
            driver = UdpDriver(sock, member.endpoint, member.on_events)
            member.flush = driver.flush
            async with trio.open_nursery() as nursery:
                nursery.start_soon(driver.run)
                assert isinstance(await member.login("tama"), Admitted)
                logins.append(monotonic() - began)
                member.close()
                nursery.cancel_scope.cancel()
        await trio.sleep(EVERY_S)


def check(words: str, holds: bool, bound: str) -> bool:
    say(f"{words:70} {'ok' if holds else 'NO'} ({bound})")
    return holds


async def measure(plan: Plan, scratch: Path) -> bool:
    async with open_daemon(fresh_state(scratch / "state"), listen="0.0.0.0:0") as daemon:
        address, fingerprint = ("127.0.0.1", daemon.invite.port), daemon.invite.fingerprint
        assert fingerprint is not None
        async with (
            open_chatter(device_key(1), address, fingerprint) as tama,
            open_chatter(device_key(2), address, fingerprint) as sari,
            flooder() as process,
            trio.open_nursery() as nursery,
        ):
            for name, chatter in (("tama", tama), ("sari", sari)):
                await chatter.enter(name, daemon.ready["join_password"])
                await chatter.join(LOBBY)
            talk = Conversation(tama, sari)
            await flood(plan, min(WARM_UP, plan.hellos), daemon, process)
            nursery.start_soon(talk.go_on)
            cpu = cpu_seconds(daemon.process.pid)
            await trio.sleep(plan.idle_s)
            chat = (cpu_seconds(daemon.process.pid) - cpu) / plan.idle_s
            idle, talk.delays = talk.delays, []
            memory, cpu = resident_bytes(daemon.process.pid), cpu_seconds(daemon.process.pid)
            done = await flood(plan, plan.hellos, daemon, process)
            busy = talk.delays
            growth = resident_bytes(daemon.process.pid) - memory
            cpu = cpu_seconds(daemon.process.pid) - cpu
            good = report(done, growth, cpu, idle, busy)
            good = await knocking(plan, daemon, process, chat) and good
            nursery.cancel_scope.cancel()
        return good


def report(done: dict[str, Any], growth: int, cpu: float, idle: list[float], busy: list[float]) -> bool:
    say(f"chat p50: {median(idle) * 1000:.1f} ms idle, {median(busy) * 1000:.1f} ms flooded")
    echo = done["bytes_out"] / done["bytes_in"]
    slower = p99(busy) / p99(idle)
    say(f"{done['sent']} HELLOs in {done['seconds']} s, {done['packets_out']} answered, {cpu:.1f} s of CPU for it")
    checks = [
        (f"memory grew by {growth / 1024:.0f} KiB", growth < MAX_GROWTH_BYTES, "under 2 MiB"),
        (f"bytes out / bytes in: {echo:.3f}", echo <= MAX_ECHO, f"at most {MAX_ECHO}"),
    ]
    delays = (
        f"chat p99: {p99(idle) * 1000:.1f} ms idle ({len(idle)}), {p99(busy) * 1000:.1f} ms ({len(busy)}) flooded"
    )
    if min(len(idle), len(busy)) >= MIN_FOR_DELAYS:
        checks.append((f"{delays}, {slower:.2f} times", slower < MAX_SLOWER, f"under {MAX_SLOWER:.0f} times"))
    else:
        say(delays)
    held = [check(*each) for each in checks]  # all of them are told, whatever the first one says
    return all(held) and bool(busy)


def plan_of(arguments: argparse.Namespace) -> Plan:
    if arguments.slice:
        return SLICE
    given = {name: value for name, value in vars(arguments).items() if value is not None and name != "slice"}
    return Plan(**given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hellos", type=int)
    parser.add_argument("--sources", type=int)
    parser.add_argument("--rate", type=int)
    parser.add_argument("--budget", dest="budget_s", type=float)
    parser.add_argument("--slice", action="store_true")
    plan = plan_of(parser.parse_args())
    if reason := namespaces.why_not():
        say(f"Nothing was flooded: {reason}.")
        return
    namespaces.leave_the_network()
    with TemporaryDirectory() as scratch:
        good = trio.run(measure, plan, Path(scratch))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
