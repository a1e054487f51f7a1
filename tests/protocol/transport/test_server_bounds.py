"""What strangers can make a server do: little, of bounded size, and never more than they did themselves."""

import random
from collections import Counter

import pytest

from bisik_protocol.crypto.handshake import ClientHandshake, ServerHandshake
from bisik_protocol.transport import server as server_module
from bisik_protocol.transport.half_open import MAX_HALF_OPEN_HOST
from bisik_protocol.transport.server import RESETS_A_SECOND, UNCONFIRMED_S
from bisik_protocol.wire.handshake import TYPE_HELLO, TYPE_KEX, TYPE_SKEX
from bisik_protocol.wire.packets import RESET_BYTES, RESET_TYPE, data_header, data_prefix
from tests.support.endpoints import Endpoints
from tests.support.simnet import Address, Conditions

STRANGER = ("203.0.113.9", 9)


def ask(stage: Endpoints, datagram: bytes, address: Address = STRANGER) -> list[bytes]:
    """Give the server a datagram; what it sends to that address at once."""
    stage.server.receive_datagram(datagram, address, stage.net.now)
    return [reply for reply, target in stage.server.datagrams_to_send(stage.net.now) if target == address]


def hello(stage: Endpoints, *, anonymous: bool = False) -> tuple[ClientHandshake, bytes]:
    handshake = ClientHandshake(random.Random(len(stage.server.drops)).randbytes, stage.identity.fingerprint)
    return handshake, handshake.hello(anonymous=anonymous)


def kex(stage: Endpoints, address: Address = STRANGER, nonce_seed: int = 0) -> tuple[bytes, bytes]:
    """Both parts of a KEX with a cookie that is good for the address."""
    handshake = ClientHandshake(random.Random(nonce_seed).randbytes, stage.identity.fingerprint)
    (retry,) = ask(stage, handshake.hello(), address)
    handshake.receive_retry_untrusted(retry)
    handshake.start_exchange()
    return handshake.kex()


class Balance:
    """Holds the law that nobody unproven is sent more than he sent."""

    def __init__(self, stage: Endpoints) -> None:
        self.received: Counter[Address] = Counter()
        self.sent: Counter[Address] = Counter()
        self._stage = stage
        stage.net.delivery_tap = self._on_delivery
        stage.net.tap = self._on_sent

    def _on_delivery(self, source: Address, target: Address, datagram: bytes) -> None:
        self.received[source] += len(datagram)

    def _on_sent(self, source: Address, target: Address, datagram: bytes) -> None:
        if source[1] == 9999 and not self._stage.opened:
            self.sent[target] += len(datagram)
            assert self.sent[target] <= self.received[target]


@pytest.mark.parametrize("loss", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(10))
def test_a_handshake_never_gets_more_bytes_than_it_brought(seed: int, loss: float) -> None:
    """At every moment of it, whatever was lost or repeated, until the client has proved itself."""
    stage = Endpoints(seed, Conditions(loss=loss, duplicate=0.2))
    balance = Balance(stage)
    stage.connect()
    assert balance.sent.total() > 1600


def test_a_hello_without_the_right_key_is_met_with_silence() -> None:
    """Who does not know the fingerprint, or the fixed key, does not even learn that somebody is there."""
    stage = Endpoints()
    _, good = hello(stage)
    assert len(ask(stage, good)) == 1
    for bad in (good[:-1] + b"\x00", bytes(1200), b"\x01" + bytes(1199), good[:1199], good + b"\x00", good[:100]):
        assert ask(stage, bad) == []
    assert stage.server.next_timeout() is None


def test_hellos_leave_nothing_behind() -> None:
    """Ten thousand of them: no memory, no timer, one smaller answer each."""
    stage = Endpoints()
    _, datagram = hello(stage)
    for number in range(10_000):
        (retry,) = ask(stage, datagram, ("203.0.113.9", number))
        assert len(retry) < len(datagram)
    assert stage.server.next_timeout() is None
    assert len(stage.server._half_open) == 0


def test_a_cookie_is_good_for_its_address_only() -> None:
    """A KEX from another port or host is refused, and starts nothing."""
    stage = Endpoints()
    first, second = kex(stage)
    for address in (("203.0.113.9", 10), ("203.0.113.10", 9)):
        assert ask(stage, first, address) == []
        assert ask(stage, second, address) == []
    assert stage.server.drops["cookie"] == 4
    assert len(stage.server._half_open) == 0


def test_a_cookie_expires() -> None:
    """A KEX that comes half a minute late is refused."""
    stage = Endpoints()
    first, _ = kex(stage)
    stage.net.now += 31.0
    assert ask(stage, first) == []
    assert stage.server.drops["cookie"] == 1


def test_a_repeated_kex_is_answered_from_memory_and_makes_no_second_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """One part in, the same part out, as often as it comes; the arithmetic is done once."""
    work: list[bytes] = []
    honest = ServerHandshake.complete_untrusted

    def counted(self: ServerHandshake, nonce: bytes, cookie: bytes, *chunks: bytes) -> object:
        work.append(nonce)
        return honest(self, nonce, cookie, *chunks)

    monkeypatch.setattr(ServerHandshake, "complete_untrusted", counted)
    stage = Endpoints()
    parts = kex(stage)
    assert ask(stage, parts[0]) == []
    answers = ask(stage, parts[1])
    assert [answer[0] for answer in answers] == [TYPE_SKEX, TYPE_SKEX]
    for _ in range(50):
        for index in (0, 1):
            (again,) = ask(stage, parts[index])
            assert again == answers[index]
            assert len(again) < len(parts[index])
    assert len(work) == 1


def test_one_host_has_a_bounded_number_of_half_open_exchanges() -> None:
    """First parts without second ones, with good cookies: past the bound they are refused; others still get in."""
    stage = Endpoints()
    for number in range(MAX_HALF_OPEN_HOST + 10):
        ask(stage, kex(stage, nonce_seed=number)[0])
    assert stage.server.drops["half-open"] == 10
    assert len(stage.server._half_open) == MAX_HALF_OPEN_HOST
    parts = kex(stage, ("203.0.113.10", 9), nonce_seed=1000)
    ask(stage, parts[0], ("203.0.113.10", 9))
    assert len(ask(stage, parts[1], ("203.0.113.10", 9))) == 2


def test_a_session_that_is_never_used_is_forgotten() -> None:
    """A client that completes the exchange and vanishes costs ten seconds of memory, and hears nothing more."""
    stage = Endpoints()
    for part in kex(stage):
        ask(stage, part)
    assert len(stage.server) == 0
    stage.net.poke(stage.server)
    stage.net.run_for(UNCONFIRMED_S - 0.1)
    assert stage.server.drops["unconfirmed"] == 0
    stage.net.run_for(0.2)
    assert stage.server.drops["unconfirmed"] == 1
    assert stage.server.next_timeout() is None
    assert stage.opened == []


def test_unused_sessions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound new exchanges are refused, before any arithmetic; when old ones are forgotten, there is room."""
    monkeypatch.setattr(server_module, "MAX_UNCONFIRMED", 3)
    stage = Endpoints()
    for number in range(5):
        for part in kex(stage, nonce_seed=number):
            ask(stage, part)
    assert stage.server.drops["full"] == 2
    stage.net.poke(stage.server)
    stage.net.run_for(UNCONFIRMED_S + 1.0)
    stage.connect()


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full server refuses newcomers and keeps those it has; one that leaves makes room."""
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 2)
    stage = Endpoints()
    first, _ = stage.connect()
    stage.connect()
    waiting = stage.call()
    stage.net.run_for(20.0)
    assert waiting.connected_at is None
    assert stage.server.drops["full"] > 0
    stage.close(first)
    stage.net.run(lambda: waiting.connected_at is not None, 30.0)


def unknown_packet(size: int, connection_id: bytes = b"nobody's") -> bytes:
    return data_header(data_prefix(connection_id, 0), 5).ljust(size, b"\xaa")


@pytest.mark.parametrize("size", [32, 33, 100, 1200])
def test_a_packet_for_nobody_is_answered_with_a_shorter_reset(size: int) -> None:
    """So that two servers, or a liar's address, never answer each other without end."""
    stage = Endpoints()
    (reset,) = ask(stage, unknown_packet(size))
    assert (reset[0], len(reset)) == (RESET_TYPE, RESET_BYTES)
    assert len(reset) < size


@pytest.mark.parametrize("size", [0, 1, 15, 25, 31])
def test_a_packet_too_short_to_be_one_is_not_answered(size: int) -> None:
    """Nothing that could be a reset itself causes one."""
    stage = Endpoints()
    assert ask(stage, unknown_packet(100)[:size]) == []


def test_resets_are_bounded_in_a_second() -> None:
    """A flood of packets for nobody is answered a bounded number of times, and again in the next second."""
    stage = Endpoints()
    for second in range(3):
        stage.net.now = 2000.0 + second
        answered = sum(len(ask(stage, unknown_packet(100))) for _ in range(5 * RESETS_A_SECOND))
        assert answered == RESETS_A_SECOND
    assert stage.server.drops["unknown-connection"] == 15 * RESETS_A_SECOND


def test_two_clients_behind_one_address_are_told_apart() -> None:
    """Connections are known by their IDs; an address may be shared by all the clients of a house."""
    stage = Endpoints()
    first, one = stage.connect()
    second, other = stage.connect()
    datagrams: list[bytes] = []
    stage.net.tap = lambda source, target, datagram: datagrams.append(datagram) if target[1] == 9999 else None
    for caller, text in ((first, b"from the first"), (second, b"from the second")):
        caller.connection.send(1, text)
        stage.net.poke(caller.endpoint)
    for datagram in datagrams:
        stage.server.receive_datagram(datagram, STRANGER, stage.net.now)
    stage.take()
    assert [data for _, _, data in stage.received[one]] == [b"from the first"]
    assert [data for _, _, data in stage.received[other]] == [b"from the second"]


def test_ten_thousand_random_and_mutated_datagrams_change_nothing() -> None:
    """Replayed, changed, cut, invented: no exception, no reply larger than its cause, and the talk goes on."""
    stage = Endpoints()
    stage.echo = True
    genuine: list[bytes] = []
    stage.net.tap = lambda source, target, datagram: genuine.append(datagram) if target[1] == 9999 else None
    caller, connection = stage.connect()
    for number in range(50):
        stage.send(caller, number % 3, b"%d" % number * 20)
        stage.net.run_for(0.2)
    stage.net.tap = None
    before = connection.stats(stage.net.now)
    rng = random.Random(7)
    for number in range(10_000):
        cause = mutate(rng, rng.choice(genuine))
        replies = ask(stage, cause, ("203.0.113.9", number % 5))
        assert sum(map(len, replies)) <= len(cause)
        if number % 100 == 0:
            stage.net.now += 1.0
    after = connection.stats(stage.net.now)
    assert after.datagrams_received == before.datagrams_received
    assert connection.peer_address == caller.address
    assert len(stage.server) == 1
    caller.messages.clear()
    stage.send(caller, 1, b"undisturbed")
    stage.net.run(lambda: bool(caller.messages), 5.0)
    assert [data for _, _, data in caller.messages] == [b"undisturbed"]


def test_a_client_is_not_impressed_by_noise_either() -> None:
    """Five thousand datagrams of the same kind at the client: no exception, no event, no answer."""
    stage = Endpoints()
    genuine: list[bytes] = []
    stage.net.tap = lambda source, target, datagram: genuine.append(datagram)
    caller, connection = stage.connect()
    stage.send_back(connection, 1, b"hello")
    stage.net.run_for(5.0)
    events = len(caller.events)
    rng = random.Random(8)
    for _ in range(5000):
        caller.endpoint.receive_datagram(mutate(rng, rng.choice(genuine)), STRANGER, stage.net.now)
        assert caller.endpoint.datagrams_to_send(stage.net.now) == []
    caller.take(stage.net.now)
    assert len(caller.events) == events
    assert len(caller.messages) == 1
    stage.send_back(connection, 1, b"again")
    stage.net.run(lambda: len(caller.messages) == 2, 5.0)


def mutate(rng: random.Random, datagram: bytes) -> bytes:
    """A replay, a forgery or an invention."""
    kind = rng.randrange(6)
    if kind == 0:
        return datagram
    if kind == 1:
        return datagram[: rng.randrange(len(datagram))]
    if kind == 2:
        return datagram + rng.randbytes(rng.randrange(1, 50))
    if kind == 3:
        return rng.randbytes(rng.randrange(1300))
    if kind == 4:
        first = bytes((rng.choice((TYPE_HELLO, 2, TYPE_KEX, 4, 5, 0x40, 0x41)),))
        return first + rng.randbytes(rng.randrange(1300))
    at = rng.randrange(len(datagram))
    return datagram[:at] + bytes((datagram[at] ^ rng.randrange(1, 256),)) + datagram[at + 1 :]
