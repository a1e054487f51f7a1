"""The daemon of a run: the real service, life after life, over one disk."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import trio

from bisik_protocol.chat.direct_names import is_direct
from bisik_protocol.chat.messages import Entry, Presence
from bisik_protocol.chat.statements import Statement
from bisikd.chat import missing_devices
from bisikd.config import ListenAddress, Settings
from bisikd.console import Console
from bisikd.log.errors import LogFailed
from bisikd.passwords import Passwords
from bisikd.service import Opened, Service
from bisikd.users import UserStore
from tests.daemon.log.disks import MemoryFiles
from tests.simulation.machinery import EPOCH_S, DaemonEndpoint
from tests.simulation.network import SERVER_ADDRESS, Address, Process, current_process
from tests.simulation.store import Mounted, SimulatedLog
from tests.simulation.trace import Violation
from tests.simulation.watch import unsent
from tests.support.keys import server_identity
from tests.support.stage import CHEAP, JOIN_PASSWORD

if TYPE_CHECKING:
    from tests.simulation.world import World

USERS = Path("/users")
PASSWORDS = Passwords(CHEAP)
JOIN_HASH = PASSWORDS.hash(JOIN_PASSWORD)


class SimulatedConsole(Console):
    """What the operator is told is compared with the log, and must not be of a failure in the daemon."""

    def __init__(self, world: "World") -> None:
        super().__init__(as_json=False)
        self._world = world

    async def run(self) -> None:
        await trio.sleep_forever()

    def entry(self, entry: Entry, statement: Statement | None) -> None:
        if is_direct(entry.room):
            raise self._world.trace.violation(f"the console was shown something of {entry.room}")
        if self._world.log.entry(entry.room, entry.seq) != entry:
            raise self._world.trace.violation(f"the console was shown {entry.seq} of {entry.room}; it is not stored")

    def note(self, text: str, happening: object) -> None:
        if "failed" in text:
            raise self._world.trace.violation(f"the daemon says: {text}")

    def ready(self, ready: Any) -> None:
        self._world.trace.note("daemon", "is ready")


class Daemon:
    """`crash`, `stop` and `stall` are what may happen to it; it comes back by itself."""

    def __init__(self, world: "World", log: SimulatedLog) -> None:
        self.log = log
        self.service: Service | None = None
        self.pause = 0.0  # between this life and the next
        self._world = world
        self._users = MemoryFiles()
        self._reset_key = world.rng.randbytes(32)
        self._process = Process("daemon", alive=False)
        self._scope = trio.CancelScope()
        self._stop = trio.Event()

    def add_user(self, name: str, device: Any) -> None:
        """An account, or a device more, made before the run."""
        store = UserStore.open(USERS, self._users)
        now_ms = round(EPOCH_S * 1000)
        if store.get(name) is None:
            store.create(name, device.public.modulus, JOIN_HASH, now_ms)
        else:
            store.add_device(name, device.public.modulus, now_ms)

    @property
    def endpoint(self) -> DaemonEndpoint | None:
        """While it is up."""
        return None if self.service is None else self.service._endpoint  # type: ignore[return-value]

    async def run(self) -> None:
        """Live and be restarted, until cancelled."""
        while True:
            self._world.watch.restarts += 1
            self.pause = 0.5
            try:
                await self._live()
            except* LogFailed:
                self._world.trace.note("daemon", "ended: its disk failed")
            except* Violation:
                raise
            except* Exception as errors:
                raise self._world.trace.violation(f"the daemon died of {errors.exceptions!r}") from errors
            await trio.sleep(self.pause)

    async def _live(self) -> None:
        self._process = process = Process("daemon")
        current_process.set(process)
        self._stop = trio.Event()
        log = Mounted(self.log, process)
        users = UserStore.open(USERS, self._users)
        with self._world.network.bind_server(process) as sock, trio.CancelScope() as self._scope:
            await self._serve(process, log, users, sock)

    async def _serve(self, process: Process, log: Any, users: UserStore, sock: Any) -> None:
        world = self._world
        log.append(list(missing_devices(log, users, 0)))
        console = SimulatedConsole(world)
        state = SimpleNamespace(
            identity=server_identity(),
            reset_key=self._reset_key,
            join_hash=JOIN_HASH,
            join_password=JOIN_PASSWORD,
            path=Path("/state"),
            warnings=[],
        )
        self.service = Service(
            Opened(
                settings=Settings(
                    state=Path("/state"), listen=ListenAddress(host=SERVER_ADDRESS[0], port=SERVER_ADDRESS[1])
                ),
                state=state,  # type: ignore[arg-type]
                users=users,
                log=log,
                sock=sock,
                console=console,
                passwords=PASSWORDS,
            )
        )
        try:
            await self.service._serve(self._stop.wait)
            world.trace.note("daemon", "stopped")
        finally:
            self.service = None
            process.alive = False

    # What may happen to it -----------------------------------------------------------------------------------------

    def crash(self, down_s: float) -> None:
        """kill -9; what was not committed is gone."""
        self.pause = down_s
        self._process.alive = False
        self._scope.cancel()

    def stop(self, down_s: float) -> None:
        """SIGTERM."""
        self.pause = down_s
        self._stop.set()

    def stall(self) -> None:
        """Everything stands still, as on a machine that swaps."""
        self._world.machinery.daemon_stalled = True

    def resume(self) -> None:
        self._world.machinery.daemon_stalled = False
        current_process.set(self._process)  # what begins now is the daemon's
        if self.service is not None and self.endpoint is not None:
            self.endpoint.resume(trio.current_time())
            self.service._on_events()
            self.service._driver.flush()

    def lingering(self, room: str) -> set[str]:
        """Who has gone from a room without a word, and may come back: noticed already, or not yet."""
        found = None if self.service is None else self.service._chat.hub.get(room)
        return set() if found is None else {*found.presence._vanished, *found.presence._sessions}

    def unrest(self, living: dict[bytes, Address | None]) -> str | None:
        """What keeps it from being at rest, in words. `living`: what members hold, and where they are."""
        if self.service is None:
            return "the daemon is down"
        chat = self.service._chat
        if chat.journal._queue:
            return "the journal has something to write"
        for room in chat.hub:
            if room.underway:
                return f"{room.underway} entries of {room.name} are on their way to the log"
            behind = [
                member.name
                for member in room.memberships
                if not member.live
                and member.presence is not Presence.WRITER
                and member.connection.channel_binding in living
            ]
            if behind:
                return f"{behind} are behind in {room.name}"
        return self._unrest_of_connections(living)

    def _unrest_of_connections(self, living: dict[bytes, Address | None]) -> str | None:
        assert self.service is not None
        connections = self.service._endpoint.connections
        if unknown := living.keys() - {connection.channel_binding for connection in connections}:
            return f"{len(unknown)} connections are unknown to the daemon, and their members do not know it"
        for connection in connections:
            binding, address = connection.channel_binding, connection.peer_address
            if binding in living and living[binding] != address:
                return f"{address} is not where that member is: {living[binding]}"
            if binding in living and (rest := unsent(connection)) is not None:
                return f"to {address}: {rest}"
        return None
