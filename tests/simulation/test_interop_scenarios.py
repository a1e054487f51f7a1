"""The QUIC interop runner's cases, by their names, as far as they mean something here.

Left out: chacha20 and v2 (there is one suite and one version), zerortt and http3 (there is neither), ecn, ipv6 (the
core does not know address families), crosstraffic (in benchmarks/, where two senders share one link). Files become
messages of 48 KiB on lanes; the runner's network is 10 Mbit/s, 15 ms each way, with a queue of 25 packets.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bisik_protocol.transport.client import ClientEndpoint
from bisik_protocol.transport.config import CLIENT_CONFIG, SERVER_CONFIG
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.events import CloseCode, Closed
from bisik_protocol.wire.handshake import TYPE_HELLO, TYPE_KEX, TYPE_RETRY
from bisik_protocol.wire.packets import PHASE_MASK, is_data
from tests.simulation.watch import unsent
from tests.support.endpoints import SERVER_ADDRESS, Caller, Endpoints
from tests.support.simnet import Address, Conditions

RUNNER = Conditions(delay=0.015, rate=1_250_000, queue=25 * 1200 / 1_250_000)
MESSAGE_BYTES = 48 * 1024
FAR = 120.0  # seconds of virtual time that no case needs


def message(number: int, size: int = MESSAGE_BYTES) -> bytes:
    """Bytes that tell which message they are of."""
    return (b"%08d" % number * (size // 8 + 1))[:size]


def transfer(stage: Endpoints, caller: Caller, connection: Connection, *, files: int = 6, lanes: int = 2) -> None:
    """Send messages both ways at once, until each has arrived once and in order, and nothing is in flight."""
    sent = [(number % lanes, message(number)) for number in range(files)]
    for lane, data in sent:
        stage.send(caller, lane, data)
        stage.send_back(connection, lane, data)
    before_up, before_down = len(stage.received[connection]), len(caller.messages)

    def arrived() -> bool:
        return (
            len(stage.received[connection]) - before_up == len(caller.messages) - before_down == files
            and unsent(caller.connection) is None
            and unsent(connection) is None
        )

    stage.net.run(arrived, FAR)
    for came in (stage.received[connection][before_up:], caller.messages[before_down:]):
        for lane in range(lanes):
            assert [data for _, on, data in came if on == lane] == [data for on, data in sent if on == lane]


def each(stage: Endpoints, seconds: float, act: Callable[[], None], times: int) -> None:
    """Do something again and again."""
    for n in range(1, times + 1):
        stage.net.at(stage.net.now + n * seconds, act)


def test_handshake() -> None:
    """Client and server meet, and a few bytes go each way."""
    stage = Endpoints(0, RUNNER)
    caller, connection = stage.connect()
    transfer(stage, caller, connection, files=1)
    assert caller.connection.channel_binding == connection.channel_binding


def test_transfer() -> None:
    """Several long messages at once, limited by flow control and by the link."""
    stage = Endpoints(0, RUNNER)
    caller, connection = stage.connect()
    transfer(stage, caller, connection, files=30, lanes=3)


def test_longrtt() -> None:
    """Over a round trip of a second and a half nobody loses patience, and nothing is taken for lost."""
    stage = Endpoints(0, replace(RUNNER, delay=0.75, queue=1.0))
    start = stage.net.now
    caller, connection = stage.connect()
    assert stage.net.now - start < 4.5  # two round trips, and the way back to the server
    transfer(stage, caller, connection)
    assert caller.connection.stats(stage.net.now).packets_lost == 0


def test_multiplexing() -> None:
    """Two thousand small messages on a hundred lanes, which is more than flow control lets out at once."""
    stage = Endpoints(0, RUNNER)
    caller, connection = stage.connect()
    for number in range(1999):
        stage.send(caller, number % 100, message(number, 32))
    stage.net.run(lambda: len(stage.received[connection]) == 1999, FAR)
    for lane in range(100):
        came = [data for _, on, data in stage.received[connection] if on == lane]
        assert came == [message(number, 32) for number in range(lane, 1999, 100)]


def test_retry() -> None:
    """Every client is made to prove its address: no KEX without the cookie that a RETRY brought."""
    stage = Endpoints(0, RUNNER)
    kinds: list[int] = []
    stage.net.tap = lambda source, target, datagram: kinds.append(datagram[0])
    stage.connect()
    assert kinds.index(TYPE_HELLO) < kinds.index(TYPE_RETRY) < kinds.index(TYPE_KEX)


def test_resumption() -> None:
    """Who comes again knows the way: with the round trip remembered, the second handshake is as good as the first."""
    stage = Endpoints(0, RUNNER)
    caller, connection = stage.connect()
    transfer(stage, caller, connection, files=1)
    remembered = caller.connection.stats(stage.net.now).srtt_s
    stage.close(caller)
    stage.net.run(lambda: connection in stage.ended)
    assert stage.ended[connection] == Closed(code=CloseCode.NORMAL, reason="", by_peer=True)
    again, second = stage.connect(config=replace(CLIENT_CONFIG, initial_rtt_s=remembered))
    transfer(stage, again, second, files=1)
    assert again.connection.channel_binding != caller.connection.channel_binding


def test_blackhole() -> None:
    """The link is dead two seconds out of seven, and the transfer goes on each time that it is back."""
    stage = Endpoints(0, RUNNER)
    caller, connection = stage.connect()
    links = [stage.net.link(caller.endpoint, stage.server), stage.net.link(stage.server, caller.endpoint)]

    def toggle() -> None:
        for link in links:
            link.conditions.cut = not link.conditions.cut
        stage.net.at(stage.net.now + (2.0 if links[0].conditions.cut else 5.0), toggle)

    stage.net.at(stage.net.now + 0.5, toggle)
    transfer(stage, caller, connection, files=60)
    assert links[0].counts["lost"]


def test_keyupdate() -> None:
    """Keys change many times under a transfer, in both directions, and no packet is lost over it."""
    stage = Endpoints(0, replace(RUNNER, queue=1.0), server_config=replace(SERVER_CONFIG, ratchet_packets=40))
    phases: dict[Address, list[int]] = {}

    def tap(source: Address, target: Address, datagram: bytes) -> None:
        if is_data(datagram):
            seen = phases.setdefault(source, [0])
            if seen[-1] != (phase := datagram[0] & PHASE_MASK):
                seen.append(phase)

    stage.net.tap = tap
    caller, connection = stage.connect(config=replace(CLIENT_CONFIG, ratchet_packets=40))
    transfer(stage, caller, connection, files=12)
    assert len(phases) == 2
    assert all(len(seen) > 5 for seen in phases.values())
    assert stage.server.drops["decrypt"] == 0
    assert caller.connection.stats(stage.net.now).packets_lost == 0


@pytest.mark.parametrize("dropped", [range(1, 8), range(12), range(2, 20)])
def test_amplificationlimit(dropped: range) -> None:
    """Whatever is lost in the handshake, the server sends less than three times what it has received."""
    stage = Endpoints(0, RUNNER)
    counts = {"up": 0, "down": 0, "datagrams": 0}

    def tap(source: Address, target: Address, datagram: bytes) -> None:
        counts["down" if source == SERVER_ADDRESS else "up"] += len(datagram)
        if not stage.opened:
            assert counts["down"] <= 3 * counts["up"]

    stage.net.tap = tap
    caller = stage.call()
    down = stage.net.link(stage.server, caller.endpoint)
    carry = down.carry

    def dropping(datagram: bytes, now: float) -> list[tuple[float, bytes]]:
        counts["datagrams"] += 1
        return [] if counts["datagrams"] - 1 in dropped else carry(datagram, now)

    down.carry = dropping  # type: ignore[method-assign]
    stage.net.run(lambda: bool(stage.opened), FAR)
    transfer(stage, caller, stage.opened[0])


def test_handshakeloss() -> None:
    """Fifty clients, one after another, over a link that loses three datagrams in ten."""
    stage = Endpoints(7, replace(RUNNER, loss=0.3))
    for _ in range(50):
        caller, connection = stage.connect()
        stage.send(caller, 0, b"a file of a kilobyte".ljust(1024))
        stage.net.run(lambda: bool(stage.received[connection]), FAR)  # noqa: B023 # called before the next round
        stage.close(caller)


def test_transferloss() -> None:
    """Two datagrams in a hundred are lost."""
    stage = Endpoints(0, replace(RUNNER, loss=0.02))
    caller, connection = stage.connect()
    transfer(stage, caller, connection, files=30)


def test_handshakecorruption() -> None:
    """Fifty clients, one after another, over a link that damages three datagrams in ten."""
    stage = Endpoints(7, replace(RUNNER, corrupt=0.3))
    for _ in range(50):
        caller, connection = stage.connect()
        stage.send(caller, 0, b"a file of a kilobyte".ljust(1024))
        stage.net.run(lambda: bool(stage.received[connection]), FAR)  # noqa: B023 # called before the next round
        stage.close(caller)


def test_transfercorruption() -> None:
    """Two datagrams in a hundred are damaged, and none of the damage is taken for data."""
    stage = Endpoints(0, replace(RUNNER, corrupt=0.02))
    caller, connection = stage.connect()
    transfer(stage, caller, connection, files=30)


def moving(port: bool) -> Callable[[Endpoints, Caller], None]:
    def move(stage: Endpoints, caller: Caller) -> None:
        host, number = caller.address
        new = (host, number + 1) if port else (f"{host}1", number)
        stage.net.rebind(caller.address, new)
        caller.address = new

    return move


@pytest.mark.parametrize("move", [moving(port=True), moving(port=False)], ids=["rebind-port", "rebind-addr"])
def test_rebind(move: Callable[[Endpoints, Caller], None]) -> None:
    """A NAT gives the client another port, or address, ten times in a transfer; the client knows nothing of it."""
    stage = Endpoints(0, RUNNER)
    caller, connection = stage.connect()
    each(stage, 0.7, lambda: move(stage, caller), 10)
    transfer(stage, caller, connection, files=60)
    stage.net.run_for(8.0)
    transfer(stage, caller, connection, files=1)
    assert connection.peer_address == caller.address
    assert connection.path.validated


def test_connectionmigration() -> None:
    """The client goes to another network and says so; the transfer goes on from there, once the path is proved."""
    stage = Endpoints(0, RUNNER)
    caller, connection = stage.connect()

    def migrate() -> None:
        moving(port=False)(stage, caller)
        endpoint: ClientEndpoint = caller.endpoint
        endpoint.network_changed(stage.net.now)
        stage.net.poke(endpoint)

    each(stage, 0.5, migrate, 1)
    transfer(stage, caller, connection, files=30)
    assert connection.peer_address == caller.address != ("198.51.100.1", 4242)
    assert connection.path.validated


def test_goodput() -> None:
    """A long transfer spends little on repeats: what goes over the link is hardly more than what is in it."""
    stage = Endpoints(0, RUNNER)
    caller, connection = stage.connect()
    files = 100
    for number in range(files):
        stage.send(caller, number % 3, message(number))
    stage.net.run(lambda: len(stage.received[connection]) == files, FAR)
    link = stage.net.link(caller.endpoint, stage.server)
    assert link.counts["bytes"] < 1.2 * files * MESSAGE_BYTES
