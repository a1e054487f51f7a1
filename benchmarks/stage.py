"""Where a benchmark takes place: a directory, a fleet, and programs on loopback that end when it does."""

import json
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, Final

import trio

from benchmarks.fleet import Fleet
from benchmarks.link import Conditions, Counts
from benchmarks.peers.aioquic_chat import make_certificate
from bisik.demo.processes import Program, run_program
from bisik.files import create_once, make_private_directory
from bisik.home import Home
from bisik_protocol.chat.invite import Invite, parse_invite
from bisik_protocol.crypto.identity import SigningKey, parse_fingerprint
from bisikd.state import StateDirectory

ROOT: Final = Path(__file__).parents[1]
MESSAGE_BYTES: Final = 90
START_S: Final = 60.0

# One user has as many sessions as a benchmark needs, and they may all come at once.
DAEMON_CONFIGURATION: Final = "[limits]\nsessions_per_user = 20000\nunadmitted_sessions = 2048\n"


@cache
def device_key(number: int) -> SigningKey:
    """A device's key, made once a process: making keys is measured where it belongs to what is measured."""
    return SigningKey.generate()


@cache
def _state_template() -> Path:
    directory = Path(mkdtemp(prefix="bisik-benchmark-"))
    state = directory / "state"
    StateDirectory.open_or_create(state).close()
    (state / "bisikd.toml").write_text(DAEMON_CONFIGURATION)
    return state


def forget_template() -> None:
    """Remove what was kept between benchmarks of this process."""
    if _state_template.cache_info().currsize:
        shutil.rmtree(_state_template().parent)
        _state_template.cache_clear()


@dataclass(slots=True, kw_only=True)
class Server:
    """A running server. `port` is on 127.0.0.1."""

    program: Program
    port: int
    fingerprint: bytes = b""  # ours
    invite: Invite | None = None  # bisikd's
    certificate: Path = Path()  # aioquic's

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port


@dataclass(slots=True)
class FlowCounts:
    """What one front of the relay saw, each way."""

    up: Counts
    down: Counts


class RelayProgram:
    """A relay that runs; `ports` are its fronts."""

    def __init__(self, program: Program, ports: list[int]) -> None:
        self.ports = ports
        self._program = program
        self._turns = trio.Lock()

    def address(self, front: int = 0) -> tuple[str, int]:
        return "127.0.0.1", self.ports[front]

    async def blackout(self, seconds: float) -> float:
        """Carry nothing, either way, from now on for so long; the monotonic time at which the link returns."""
        return float((await self._ask({"do": "blackout", "seconds": seconds}))["until"])

    async def counts(self) -> list[FlowCounts]:
        answer = await self._ask({"do": "counts"})
        return [FlowCounts(Counts(**flow["up"]), Counts(**flow["down"])) for flow in answer["fronts"]]

    async def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        async with self._turns:
            before = len(self._program.lines)
            await self._program.write(command)
            await self._program.until(lambda program: len(program.lines) > before)
            return self._program.lines[-1]


@dataclass(slots=True)
class Stage:
    """Made by `open_stage`."""

    directory: Path
    nursery: trio.Nursery
    fleet: Fleet
    _names: int = 0
    _homes: int = 0

    def new_path(self, name: str) -> Path:
        """A path in the directory that nothing is at yet."""
        self._names += 1
        return self.directory / f"{name}-{self._names}"

    def new_home(self, fingerprint: bytes) -> Path:
        """A home that has a key for the server with this fingerprint, and was never there."""
        self._homes += 1
        home = self.new_path("home")
        folder = Home(home).folder(fingerprint)
        make_private_directory(folder)
        create_once(folder / "device.pem", device_key(self._homes).to_pem())
        return home

    def new_state(self) -> Path:
        """A bisikd state directory as a first start leaves it, all of a process with the same identity."""
        state = self.new_path("state")
        shutil.copytree(_state_template(), state)
        return state

    async def start(self, name: str, arguments: Sequence[str]) -> Program:
        """Run this Python with these arguments, until the benchmark ends or before."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("BISIK", "NOTIFY_"))}
        environment["PYTHONPATH"] = str(ROOT)  # wherever it was started from
        program: Program = await self.nursery.start(partial(run_program, name, arguments, environment=environment))
        with trio.fail_after(START_S):
            await program.first("ready")
        return program

    async def start_relay(
        self,
        servers: Sequence[Server],
        *,
        conditions: Conditions,
        seed: int,
        down: Conditions | None = None,
        large_bytes: int = MESSAGE_BYTES,
    ) -> RelayProgram:
        """One link, the same both ways unless `down` differs, and a front for each of `servers`."""
        job = {
            "servers": [server.address for server in servers],
            "up": conditions.as_dict(),
            "down": (down or conditions).as_dict(),
            "seed": seed,
            "large_bytes": large_bytes,
        }
        program = await self.start("relay", ["-m", "benchmarks.relay", json.dumps(job)])
        return RelayProgram(program, (await program.first("ready"))["ports"])

    async def start_daemon(self) -> Server:
        """The real thing: bisikd, with its log on this machine's disk."""
        state = str(self.new_state())
        arguments = ["-m", "bisikd", "run", "--json", "--state", state, "--listen", "127.0.0.1:0"]
        arguments += ["--set", "limits.messages_per_second=0"]  # what is measured is how fast it can
        program = await self.start("bisikd", arguments)
        invite = parse_invite((await program.first("ready"))["invite"])
        assert invite.fingerprint is not None
        return Server(program=program, port=invite.port, fingerprint=invite.fingerprint, invite=invite)

    async def start_transport(self) -> Server:
        """Our transport without the chat."""
        state = str(self.new_state())
        program = await self.start("transport", ["-m", "benchmarks.peers.transport_chat", state])
        ready = await program.first("ready")
        return Server(program=program, port=ready["port"], fingerprint=parse_fingerprint(ready["fingerprint"]))

    async def start_bare(self) -> Server:
        """Datagrams without a protocol."""
        program = await self.start("bare", ["-m", "benchmarks.peers.bare_chat"])
        return Server(program=program, port=(await program.first("ready"))["port"])

    async def start_aioquic(self) -> Server:
        """The same chat as `start_transport`'s, on aioquic."""
        directory = self.new_path("aioquic")
        directory.mkdir()
        certificate = make_certificate(directory)
        program = await self.start("aioquic", ["-m", "benchmarks.peers.aioquic_chat", str(directory)])
        return Server(program=program, port=(await program.first("ready"))["port"], certificate=certificate)


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Everything that was started on it ends with it."""
    fleet = Fleet()
    try:
        with TemporaryDirectory(prefix="bisik-benchmark-") as directory:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fleet.run)
                yield Stage(Path(directory), nursery, fleet)
                nursery.cancel_scope.cancel()
    finally:
        fleet.close()
