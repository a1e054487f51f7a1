"""The whole chat over a wire that loses, doubles and reorders: real endpoints and real handshakes in virtual time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from bisik_protocol.chat.messages import Presence
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.transport.events import CloseCode, ConnectionOpened
from bisik_protocol.transport.server import ServerEndpoint
from bisikd.blocking import Blocking
from bisikd.chat import Chat
from bisikd.guard import Guard
from bisikd.passwords import Passwords
from bisikd.sessions import Sessions
from bisikd.users import UserStore
from tests.support.chatter import Chatter
from tests.support.keys import device_key, server_identity
from tests.support.memory_log import MemoryLog
from tests.support.stage import CHEAP, JOIN_PASSWORD, AtOnce
from tests.support.wire import Wire

ADDRESS = ("server", 9999)


class WiredDaemon:
    """The daemon's chat behind a real endpoint on a wire. `crash` ends it as a kill does; another may follow."""

    def __init__(self, wire: Wire, directory: Path, log: MemoryLog, nursery: trio.Nursery) -> None:
        directory.mkdir(exist_ok=True)
        self.wire = wire
        self.scope = nursery.cancel_scope
        self.endpoint = ServerEndpoint(
            identity=server_identity(),
            cookie_key=wire.random.randbytes(32),
            reset_key=b"reset key that outlives the process",
            random=wire.random.randbytes,
        )
        passwords = Passwords(CHEAP)
        join_hash = passwords.hash(JOIN_PASSWORD)
        self.node = wire.attach(self.endpoint, ADDRESS, self._on_events)
        self.chat = Chat(
            log=log,  # type: ignore[arg-type]
            users=UserStore.open(directory),
            passwords=passwords,
            join_hash=lambda: join_hash,
            blocking=Blocking(hashing=AtOnce(), writing=AtOnce(), reading=AtOnce()),
            now=trio.current_time,
            now_ms=lambda: 1_795_338_000_000,
            flush=self.node.flush,
            on_entry=lambda entry, statement: None,
            tell=lambda sentence: None,
            guard=Guard(),
        )
        self.failures: list[str] = []
        self.sessions = Sessions(self.chat, nursery, self.failures.append)
        nursery.start_soon(self.chat.journal.run)

    def _on_events(self) -> None:
        while (event := self.endpoint.next_event()) is not None:
            if isinstance(event, ConnectionOpened):
                self.sessions.open(event.connection)
            else:
                self.sessions.on_ready(event.connection)


@asynccontextmanager
async def daemon_on(wire: Wire, directory: Path, log: MemoryLog) -> AsyncIterator[WiredDaemon]:
    """A daemon until the block ends, and then it is gone without a word."""
    async with trio.open_nursery() as nursery:
        daemon = WiredDaemon(wire, directory, log, nursery)
        yield daemon
        wire.detach(ADDRESS)
        nursery.cancel_scope.cancel()
    assert daemon.failures == []


def client(wire: Wire, number: int, attempt: int = 0, said: dict[str, list[bytes]] | None = None) -> Chatter:
    chatter = Chatter(
        device_key(number),
        ADDRESS,
        server_identity().fingerprint,
        random=wire.random.randbytes,
        said=said,
    )
    node = wire.attach(chatter.endpoint, (f"client {number}", attempt), chatter.on_events)
    chatter.flush = node.flush
    return chatter


@pytest.mark.parametrize("seed", range(6))
async def test_everybody_gets_everything_once_and_in_order(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, seed: int
) -> None:
    """Four people talk at once over a wire that loses 30% and doubles 10%."""
    wire = Wire(seed, loss=0.3, duplicate=0.1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.run)
        async with daemon_on(wire, tmp_path / "users", MemoryLog()):
            people = [client(wire, number) for number in range(1, 5)]
            for number, person in enumerate(people):
                await person.enter(f"user{number}", JOIN_PASSWORD)
                await person.join(LOBBY)
            for count in range(20):
                for number, person in enumerate(people):
                    person.say(LOBBY, f"{number} says {count}")
                await trio.sleep(0.2)
            for person in people:
                await person.until(lambda person=person: len(person.texts(LOBBY)) == 80)  # type: ignore[misc]
            texts = people[0].texts(LOBBY)
            for number, person in enumerate(people):
                assert person.texts(LOBBY) == texts
                own = [text for text in texts if text.startswith(f"{number} ")]
                assert own == [f"{number} says {count}" for count in range(20)]
        assert wire.lost > wire.carried * 0.25
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(6))
async def test_a_crash_in_the_middle_loses_and_doubles_nothing(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, seed: int
) -> None:
    """The daemon dies while posts are under way; the client dials again and repeats what it has no receipt for."""
    wire, log = Wire(seed, loss=0.2), MemoryLog()
    said: dict[str, list[bytes]] = {}
    received: list[str] = []
    cursor = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.run)
        for attempt in range(3):
            async with daemon_on(wire, tmp_path / "users", log):
                tama = client(wire, 1, attempt, said)
                await tama.enter("tama", JOIN_PASSWORD)
                joined = await tama.join(LOBBY, after=cursor)
                for seq in range(joined.chain_seq + 1, len(said.get(LOBBY, [])) + 1):
                    tama.repeat(LOBBY, seq)
                for _ in range(10):
                    tama.say(LOBBY, f"message {len(said.get(LOBBY, [])) + 1}")
                    await trio.sleep(0.05)
                enough = 30 - len(received) if attempt == 2 else 3
                await tama.until(lambda enough=enough, tama=tama: len(tama.texts(LOBBY)) >= enough)  # type: ignore[misc]
                received += tama.texts(LOBBY)
                cursor = tama.entries(LOBBY)[-1].seq
        nursery.cancel_scope.cancel()
    assert received == [f"message {number}" for number in range(1, 31)]
    assert log.heads()[LOBBY] == 31  # and one join: coming back after a crash shows nothing


async def test_a_client_learns_of_a_restart_within_one_round_trip(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Its next packet is answered with a reset, because the reset key outlives the process."""
    wire = Wire(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.run)
        async with daemon_on(wire, tmp_path / "users", MemoryLog()):
            tama = client(wire, 1)
            await tama.enter("tama", JOIN_PASSWORD)
            await tama.join(LOBBY)
        async with daemon_on(wire, tmp_path / "users", MemoryLog()):
            start = trio.current_time()
            tama.say(LOBBY, "hello?")
            closed = await tama.until_closed()
            assert closed.code == CloseCode.RESET
            assert trio.current_time() - start < 0.25
        nursery.cancel_scope.cancel()


async def test_one_whose_link_is_dead_costs_the_others_nothing(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """What waits for it stays bounded while the others talk, and when it is back it has everything, once."""
    wire = Wire(3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.run)
        async with daemon_on(wire, tmp_path / "users", MemoryLog()) as daemon:
            tama, dead = client(wire, 1), client(wire, 2)
            for person, name in ((tama, "tama"), (dead, "dewi")):
                await person.enter(name, JOIN_PASSWORD)
                await person.join(LOBBY, history=0)
            node = wire._nodes.pop(("client 2", 0))
            for number in range(60):
                tama.say(LOBBY, f"{number} {'x' * 4000}")
                await trio.sleep(0.3)
            assert len(tama.texts(LOBBY)) >= 59
            behind = [session.feed.behind for session in daemon.sessions if session.user.name == "dewi"]
            assert behind == [[LOBBY]]
            wire._nodes[node.address] = node
            wire.poke()
            with trio.fail_after(60):
                await dead.until(lambda: len(dead.texts(LOBBY)) == 60)
            assert dead.texts(LOBBY) == tama.texts(LOBBY)
            tama.say(LOBBY, "live again")
            await dead.until(lambda: dead.texts(LOBBY)[-1] == "live again")
        nursery.cancel_scope.cancel()


async def test_a_reader_gets_a_long_absence_in_one_go(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Hundreds of entries after a cursor, over a lossy wire: no gap, no repetition."""
    wire = Wire(5, loss=0.1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.run)
        async with daemon_on(wire, tmp_path / "users", MemoryLog()):
            tama = client(wire, 1)
            await tama.enter("tama", JOIN_PASSWORD)
            await tama.join(LOBBY)
            for number in range(400):
                tama.say(LOBBY, str(number))
                await trio.sleep(0.01)
            await tama.receipt(LOBBY, 400)
            reader = client(wire, 1, 1)
            await reader.enter("tama", JOIN_PASSWORD)
            await reader.join(LOBBY, Presence.READER, after=0)
            await reader.until(lambda: len(reader.entries(LOBBY)) == 401)
            assert [entry.seq for entry in reader.entries(LOBBY)] == list(range(1, 402))
        nursery.cancel_scope.cancel()
