"""The simulator's own parts: a network, a clock and a report that are wrong would find nothing, or find ghosts."""

import random

import pytest
import trio
import trio.testing

from tests.simulation.clock import VirtualTime
from tests.simulation.network import SERVER_ADDRESS, Host, Network, Process, Seen, VirtualSocket, current_process
from tests.simulation.plan import FAULTS, draw_plan
from tests.simulation.trace import Trace, Violation
from tests.simulation.world import World, simulate


class Stage:
    """A network with one member's host and the daemon's socket."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []
        self.time = VirtualTime(self.failures.append)
        self.trace = Trace(0, self.time.now)
        self.network = Network(random.Random(0), self.trace, self.time)
        self.host: Host = self.network.add_host("ana")
        self.member = Process("ana", self.host)
        self.daemon = Process("daemon")
        self.server = self.network.bind_server(self.daemon)

    def open_socket(self) -> VirtualSocket:
        current_process.set(self.member)
        return self.network.open_socket()

    def run(self, seconds: float) -> None:
        trio.run(trio.sleep, seconds, clock=self.time.clock)


def in_virtual_time(stage: Stage, act: object) -> None:
    async def main() -> None:
        await act()  # type: ignore[operator]

    trio.run(main, clock=stage.time.clock)


def test_a_datagram_goes_there_and_back() -> None:
    """It arrives after the link's delay, from the public address, and the answer finds its way to the socket."""
    stage = Stage()
    sock = stage.open_socket()

    async def act() -> None:
        sock.send(b"hello")
        await stage.server.wait_readable()
        assert trio.current_time() == pytest.approx(0.02)
        data, source = stage.server.recvfrom(2000)
        assert (data, source[0]) == (b"hello", stage.host.public_ip)
        stage.server.sendto(b"yes", source)
        await sock.wait_readable()
        assert sock.recv(2000) == b"yes"
        with pytest.raises(BlockingIOError):
            sock.recv(2000)

    in_virtual_time(stage, act)


@pytest.mark.parametrize("change", [Host.rebind_ports, Host.rebind_address])
def test_what_is_on_its_way_to_a_mapping_that_is_gone_is_lost(change: object) -> None:
    """And what is sent afterwards comes from another address."""
    stage = Stage()
    sock = stage.open_socket()

    async def act() -> None:
        sock.send(b"hello")
        await trio.sleep(0.1)
        _, before = stage.server.recvfrom(2000)
        change(stage.host)  # type: ignore[operator]
        stage.server.sendto(b"", before)
        await trio.sleep(0.1)
        with pytest.raises(BlockingIOError):
            sock.recv(2000)
        sock.send(b"hello")
        await trio.sleep(0.1)
        assert stage.server.recvfrom(2000)[1] != before

    in_virtual_time(stage, act)


def test_a_machine_that_moved_cannot_use_its_old_sockets() -> None:
    """They were bound to an address that is gone; new ones work."""
    stage = Stage()
    sock = stage.open_socket()
    stage.host.roam()
    with pytest.raises(OSError, match="unreachable"):
        stage.network.send_up(sock, b"")
    stage.host.offline = True
    with pytest.raises(OSError, match="unreachable"):
        stage.open_socket()


def test_a_killed_process_reaches_nobody_and_is_not_reached() -> None:
    """Its datagrams vanish, and so does what comes for it."""
    stage = Stage()
    sock = stage.open_socket()
    stage.member.alive = False
    sock.send(b"a ghost")
    stage.run(1.0)
    assert stage.network.counts["up"] == 0
    assert not sock.deliver(b"", SERVER_ADDRESS)


def test_three_times_what_came_and_not_a_byte_more() -> None:
    """Until its owner has shown that something arrived there, an address is given three times what came from it."""
    stage = Stage()
    victim = ("203.0.113.9", 1)
    stage.network.arrive_up(Seen(True, victim, SERVER_ADDRESS, bytes(100), ()))
    stage.server.sendto(bytes(300), victim)
    with pytest.raises(Violation, match="amplification"):
        stage.server.sendto(b"x", victim)


def test_who_has_shown_that_it_receives_may_be_sent_anything() -> None:
    """A datagram that was sent after another had arrived is the proof."""
    stage = Stage()
    sock = stage.open_socket()

    async def act() -> None:
        sock.send(bytes(100))
        await trio.sleep(0.1)
        address = stage.host.public_address(sock)
        stage.server.sendto(bytes(300), address)
        await trio.sleep(0.1)
        sock.send(b"got it")
        await trio.sleep(0.1)
        stage.server.sendto(bytes(10_000), address)

    in_virtual_time(stage, act)


def test_events_and_deadlines_come_in_the_order_of_their_times() -> None:
    """Whether a task sleeps until a moment or the network does something then."""
    seen: list[str] = []
    time = VirtualTime(pytest.fail)

    async def main() -> None:
        for moment in (3.0, 1.0):
            time.at(moment, lambda moment=moment: seen.append(f"event {moment}"))  # type: ignore[misc]
        for moment in (2.0, 4.0):
            await trio.sleep_until(moment)
            assert trio.current_time() == moment
            seen.append(f"task {moment}")

    trio.run(main, clock=time.clock)
    assert seen == ["event 1.0", "task 2.0", "event 3.0", "task 4.0"]


def test_what_fails_between_tasks_is_told() -> None:
    """An event's exception does not become Trio's own."""
    stage = Stage()
    stage.time.at(0.5, lambda: stage.server.sendto(b"x", ("203.0.113.9", 1)))
    stage.run(1.0)
    assert [type(failure) for failure in stage.failures] == [Violation]


def test_the_first_violation_is_the_one_that_is_reported() -> None:
    """With the seed, the way to see it again, and the events before it."""
    trace = Trace(17, lambda: 1.5)
    trace.note("said", "ana", "#lobby")
    trace.violation("this came first")
    trace.violation("this followed from it")
    assert trace.broken == "this came first"
    report = trace.report()
    assert "make soak SEED=17" in report
    assert report.index("1.5000  said") < report.index("1.5000  VIOLATION")


def test_every_kind_of_trouble_is_drawn_and_handled() -> None:
    """A fault that no plan draws, or that the run does not know, tests nothing."""
    plans = [draw_plan(seed) for seed in range(300)]
    assert {fault.kind for plan in plans for fault in plan.faults} == set(FAULTS)
    handled = World._trouble_daemon.__code__.co_consts + World._trouble_member.__code__.co_consts
    assert set(FAULTS) <= {constant for constant in handled if isinstance(constant, str)}
    assert {trick for plan in plans if plan.hostile for trick in plan.hostile.tricks} == {
        "replay",
        "mutate",
        "garbage",
        "half-open",
        "move",
        "reset",
    }


def test_a_run_gives_everything_back_that_it_replaced() -> None:
    """The next test has its own clock, sockets and limits again."""
    before = (trio.to_thread.run_sync, trio.lowlevel.wait_readable, trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING)
    simulate(5)
    assert before == (
        trio.to_thread.run_sync,
        trio.lowlevel.wait_readable,
        trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING,
    )
