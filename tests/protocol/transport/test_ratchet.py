"""Keys that move on while the link loses, repeats and reorders; and no key that ever meets a nonce twice."""

from collections import Counter

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bisik_protocol.crypto import protection
from bisik_protocol.transport.config import TransportConfig
from bisik_protocol.transport.events import CloseCode, Closed
from tests.protocol.transport.test_delivery import by_lane, settle
from tests.support.pair import CLIENT_ADDRESS, SERVER_ADDRESS, Pair
from tests.support.simnet import Address, Conditions

ROUGH = Conditions(loss=0.3, duplicate=0.2, reorder=0.3, corrupt=0.05)


def quick(packets: int = 10, seconds: float = 600.0) -> dict[str, TransportConfig]:
    """Configurations of both ends that change keys all the time."""
    return {
        "client_config": TransportConfig(keepalive_s=25.0, ratchet_packets=packets, ratchet_s=seconds),
        "server_config": TransportConfig(ratchet_packets=packets, ratchet_s=seconds),
    }


class Phases:
    """Counts how often each sender flipped the key-phase bit, by what it put on the wire."""

    def __init__(self, pair: Pair) -> None:
        self.flips: Counter[Address] = Counter()
        self._last: dict[Address, int] = {}
        pair.net.tap = self._tap

    def _tap(self, source: Address, target: Address, datagram: bytes) -> None:
        phase = datagram[0] & 1
        self.flips[source] += self._last.get(source, 0) != phase
        self._last[source] = phase


@pytest.mark.parametrize("packets", [1, 3, 20])
@pytest.mark.parametrize("seed", range(5))
def test_keys_move_on_over_a_rough_link(seed: int, packets: int) -> None:
    """Dozens of phases each way under loss, repeats and reordering: nothing is lost, doubled or refused for good."""
    pair = Pair(seed, ROUGH, **quick(packets))
    phases = Phases(pair)
    for number in range(150):
        pair.send(pair.client, number % 2, b"up %d" % number)
        pair.send(pair.server, number % 2, b"down %d" % number)
        pair.net.run_for(0.05)
    pair.net.run(lambda: len(pair.to_server) == len(pair.to_client) == 150, 60.0)
    settle(pair)
    assert by_lane(pair.to_server) == {
        lane: [b"up %d" % number for number in range(lane, 150, 2)] for lane in range(2)
    }
    least = 5 if packets == 20 else 15
    assert phases.flips[CLIENT_ADDRESS] >= least
    assert phases.flips[SERVER_ADDRESS] >= least


def test_a_clean_link_changes_keys_by_the_number_of_packets() -> None:
    """Every ten packets, and no more often."""
    pair = Pair(**quick(10))
    phases = Phases(pair)
    for number in range(100):
        pair.send(pair.client, 1, b"%d" % number)
        pair.net.run_for(0.2)
    assert 9 <= phases.flips[CLIENT_ADDRESS] <= 10


def test_keys_change_with_time_too() -> None:
    """Ten minutes, on a connection that says next to nothing."""
    pair = Pair(**quick(1 << 20, 600.0))
    phases = Phases(pair)
    pair.net.run_for(3600.0)
    assert 5 <= phases.flips[CLIENT_ADDRESS] <= 6


def test_a_side_that_only_acknowledges_changes_keys_too() -> None:
    """The server never says anything of its own; what it owes to its key it asks for by a PING now and then."""
    pair = Pair(**quick(20))
    phases = Phases(pair)
    for number in range(300):
        pair.send(pair.client, 1, b"%d" % number)
        pair.net.run_for(0.2)
    assert phases.flips[SERVER_ADDRESS] >= 10
    assert pair.down.counts["offered"] < 330


def test_a_key_that_nobody_acknowledges_ends_its_connection_and_not_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the key may seal no more, the connection is closed as broken, and the far side told of it."""
    for module in ("bisik_protocol.crypto.protection", "bisik_protocol.transport.sealing"):
        monkeypatch.setattr(f"{module}.MAX_NUMBERS_PER_KEY", 2000)
    pair = Pair(**quick(20))
    pair.down.conditions.cut = True
    for _ in range(3000):
        pair.client.ping()
        pair.net.poke(pair.client)
        pair.net.run_for(0.05)
    closed = pair.closed(pair.client_events)
    assert closed is not None
    assert (closed.code, closed.by_peer) == (CloseCode.PROTOCOL, False)
    assert pair.client.finished
    assert pair.closed(pair.server_events) == Closed(code=closed.code, reason=closed.reason, by_peer=True)


class NonceJudge:
    """AESGCM, and a record of every (key, nonce) that sealed."""

    sealed: set[tuple[bytes, bytes]]

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._aead = AESGCM(key)
        self.decrypt = self._aead.decrypt

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        assert (self._key, nonce) not in self.sealed, "a key met a nonce twice"
        self.sealed.add((self._key, nonce))
        return self._aead.encrypt(nonce, data, associated_data)


@pytest.mark.parametrize("seed", range(5))
def test_no_key_ever_meets_a_nonce_twice(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Repairs, retransmissions, outages, key changes and goodbyes: each datagram has a nonce of its own."""
    NonceJudge.sealed = set()
    monkeypatch.setattr(protection, "AESGCM", NonceJudge)
    pair = Pair(seed, ROUGH, **quick(7))
    for number in range(60):
        pair.send(pair.client, number % 2, b"up %d" % number)
        pair.send(pair.server, number % 2, b"down %d" % number * 300)
        pair.net.run_for(0.05)
        if number == 30:
            pair.up.conditions.cut = True
            pair.net.run_for(5.0)
            pair.up.conditions.cut = False
    pair.net.run(lambda: len(pair.to_server) == len(pair.to_client) == 60, 60.0)
    pair.client.close(CloseCode.NORMAL)
    pair.net.poke(pair.client)
    pair.net.run(lambda: pair.client.finished and pair.server.closed, 60.0)
    assert len(NonceJudge.sealed) == pair.up.counts["offered"] + pair.down.counts["offered"]
    assert len({key for key, _ in NonceJudge.sealed}) > 10
