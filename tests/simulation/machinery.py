"""Where the real programs touch the world, and what they touch here instead. No other file knows these seams.

Sockets, clocks, randomness, worker threads and name service of daemon and client are replaced for the time of one
run; everything between them is the product's own code. Time is Trio's mock clock; the scheduler, too, goes by the
seed.
"""

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import trio

import bisik.chat
import bisik.dial
import bisik.line
import bisik.link
import bisikd.service
from bisik.errors import Unreachable
from bisik.line import Line, Target
from bisik_protocol.transport.client import ClientEndpoint
from bisik_protocol.transport.config import TransportConfig
from bisik_protocol.transport.server import ServerEndpoint
from tests.simulation.network import SERVER_ADDRESS, Network, Process, VirtualSocket, current_process
from tests.simulation.trace import Trace
from tests.simulation.watch import Replace, Watch

EPOCH_S = 1_795_338_000.0
TIMEOUTS_AT_ONCE = 2_000  # calls of one endpoint's timer at one moment: more is a timer that spins
ASKED_AGAIN_S = 1.0  # the timer of a machine that sleeps


@contextmanager
def replacing() -> Iterator[Replace]:
    """Gives a function that sets an attribute of anything until the block ends."""
    with ExitStack() as stack:

        def replace(owner: Any, name: str, value: Any) -> None:
            before = getattr(owner, name)
            setattr(owner, name, value)
            stack.callback(setattr, owner, name, before)

        yield replace


@contextmanager
def deterministic_scheduling(seed: int) -> Iterator[None]:
    """Trio shuffles its tasks: give it the seed, and an order to shuffle (as Hypothesis does)."""
    run = trio._core._run
    before = run._ALLOW_DETERMINISTIC_SCHEDULING
    state = run._r.getstate()
    run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    run._r.seed(seed)
    try:
        yield
    finally:
        run._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]
        run._r.setstate(state)


class Clocks:
    """What the programs of a machine see when they look at a clock. A machine that sleeps sees nothing pass."""

    def monotonic(self) -> float:
        process = current_process.get()
        return trio.current_time() - (process.host.slept_s if process.host is not None else 0.0)

    def time(self) -> float:
        process = current_process.get()
        return EPOCH_S + trio.current_time() + (process.host.wall_offset_s if process.host is not None else 0.0)

    def time_ns(self) -> int:
        return round(self.time() * 1e9)


class Machinery:
    """One run's replacements. `disk_delay` gives the seconds that the next piece of blocking work takes."""

    def __init__(self, rng: random.Random, network: Network, trace: Trace, watch: Watch) -> None:
        self.client_config = TransportConfig(keepalive_s=25.0, eager_s=120.0)
        self.server_config = TransportConfig(idle_timeout_s=24 * 3600.0)
        self.server_wall_offset_s = 0.0
        self.daemon_stalled = False
        self.disk_delay: Callable[[], float] = lambda: 0.0
        self._rng = rng
        self._network = network
        self._trace = trace
        self._watch = watch

    def install(self, replace: Replace) -> None:
        clocks, randomness = Clocks(), SimpleNamespace(random=self._rng.random)
        replace(trio.lowlevel, "wait_readable", _dispatch(trio.lowlevel.wait_readable, VirtualSocket.wait_readable))
        replace(
            trio.lowlevel, "notify_closing", _dispatch(trio.lowlevel.notify_closing, VirtualSocket.notify_closing)
        )
        replace(trio.to_thread, "run_sync", self._run_inline)
        replace(bisik.chat, "time", clocks)
        replace(bisik.link, "time", clocks)
        replace(bisik.link, "random", randomness)
        replace(bisik.dial, "resolve", self._resolve)
        replace(bisik.dial, "Line", self._line)
        replace(bisik.line, "_open_socket", lambda target: self._network.open_socket())
        replace(bisik.line, "ClientEndpoint", self._client_endpoint)
        replace(bisikd.service, "os", SimpleNamespace(urandom=self._rng.randbytes))
        replace(bisikd.service, "ServerEndpoint", self._server_endpoint)
        replace(bisikd.service, "wall_clock_ms", self._server_wall_clock_ms)
        replace(bisikd.service, "open_admin_socket", _no_admin_socket)
        replace(bisikd.service, "remove_admin_socket", lambda path: None)
        self._watch.install(replace)

    def _server_wall_clock_ms(self) -> int:
        return round((EPOCH_S + trio.current_time() + self.server_wall_offset_s) * 1000)

    async def _run_inline(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        limiter: trio.CapacityLimiter | None = None,
        abandon_on_cancel: bool = False,
    ) -> Any:
        """A worker thread that takes as long as the disk wants. Killed before its time, it has done nothing."""
        await trio.lowlevel.checkpoint()
        if limiter is None:
            return await self._work(function, arguments)
        token = object()
        await limiter.acquire_on_behalf_of(token)
        try:
            return await self._work(function, arguments)
        finally:
            limiter.release_on_behalf_of(token)

    async def _work(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        process = current_process.get()
        await self._wait(self.disk_delay())
        if not process.alive:
            await trio.sleep_forever()  # the kill's cancellation is under way
        result = function(*arguments)
        await self._wait(self.disk_delay())
        return result

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            with trio.CancelScope(shield=current_process.get().alive):  # nobody takes a thread's work from its hands
                await trio.sleep(seconds)

    async def _resolve(self, host: str, port: int) -> list[Target]:
        process = current_process.get()
        if process.host is not None and process.host.offline:
            raise Unreachable(f"{host} cannot be found (Temporary failure in name resolution).")
        return [Target(bisik.line.socket.AF_INET, SERVER_ADDRESS)]

    def _line(self, target: Target, fingerprint: bytes | None) -> Line:
        return Line(target, fingerprint, random=self._rng.randbytes)

    def _client_endpoint(self, *arguments: Any, **options: Any) -> ClientEndpoint:
        options["config"] = self.client_config
        return MemberEndpoint(self._trace, self._watch, *arguments, **options)

    def _server_endpoint(self, **options: Any) -> ServerEndpoint:
        options["config"] = self.server_config
        return DaemonEndpoint(self, self._trace, self._watch, **options)


class _TimerGuard:
    """A timer that is due again and again while time stands still never lets anything else happen."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._now = -1.0
        self._count = 0

    def on_timeout(self, now: float) -> None:
        self._count = self._count + 1 if now == self._now else 0
        self._now = now
        if self._count > TIMEOUTS_AT_ONCE:
            raise self._trace.violation("a timer spins: it is due again at once, and nothing comes of it")


class MemberEndpoint(ClientEndpoint):
    """The real one. On a machine that sleeps, nothing moves it; what it does is checked."""

    def __init__(self, trace: Trace, watch: Watch, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._process: Process = current_process.get()
        self._guard = _TimerGuard(trace)
        self._watch = watch

    def receive_datagram(self, datagram: bytes, address: Any, now: float) -> None:
        super().receive_datagram(datagram, address, now)
        if self.connection is not None:
            self._watch.check_connection(self.connection)

    def next_timeout(self) -> float | None:
        """No timer fires on a machine that sleeps. It is asked again now and then, so that none is forgotten."""
        return trio.current_time() + ASKED_AGAIN_S if self._process.frozen else super().next_timeout()

    def handle_timeout(self, now: float) -> None:
        self._guard.on_timeout(now)
        super().handle_timeout(now)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
        return [] if self._process.frozen else super().datagrams_to_send(now)


class DaemonEndpoint(ServerEndpoint):
    """The real one. While the daemon is stalled, it takes and gives nothing; what it does is checked."""

    def __init__(self, machinery: Machinery, trace: Trace, watch: Watch, **named: Any) -> None:
        super().__init__(**named)
        self._machinery = machinery
        self._guard = _TimerGuard(trace)
        self._watch = watch
        self._held: list[tuple[bytes, Any]] = []

    def receive_datagram(self, datagram: bytes, address: Any, now: float) -> None:
        if self._machinery.daemon_stalled:
            if len(self._held) < 400:
                self._held.append((datagram, address))
            return
        super().receive_datagram(datagram, address, now)
        if (connection := self._by_id.get(datagram[1:9])) is not None:
            self._watch.check_connection(connection)
        self._watch.check_server(self)

    def resume(self, now: float) -> None:
        """The stall is over: what waited in the socket comes at once."""
        held, self._held = self._held, []
        for datagram, address in held:
            self.receive_datagram(datagram, address, now)

    def next_timeout(self) -> float | None:
        return None if self._machinery.daemon_stalled else super().next_timeout()

    def handle_timeout(self, now: float) -> None:
        self._guard.on_timeout(now)
        super().handle_timeout(now)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
        return [] if self._machinery.daemon_stalled else super().datagrams_to_send(now)


def _dispatch(real: Callable[..., Any], virtual: Callable[..., Any]) -> Callable[..., Any]:
    def chosen(sock: Any) -> Any:
        return virtual(sock) if isinstance(sock, VirtualSocket) else real(sock)

    return chosen


def _no_admin_socket(path: Any) -> Awaitable[None]:
    raise FileNotFoundError(2, "there are no files here")
