"""A client that moves is followed at once; until it answers, its new address gets at most thrice what it sent."""

from collections import Counter

import pytest

from bisik_protocol.transport.connection import Connection
from tests.protocol.transport.test_delivery import by_lane, settle
from tests.protocol.transport.test_silence import settled_pair
from tests.support.pair import CLIENT_ADDRESS, SERVER_ADDRESS
from tests.support.simnet import Address, Conditions, SimNet

NEW_PORT = (CLIENT_ADDRESS[0], 50_000)
NEW_HOST = ("elsewhere", 7)


class Limit:
    """Holds the law: an address that has not proved itself is sent at most three times what came from it."""

    def __init__(self, net: SimNet, server: Connection) -> None:
        self.received: Counter[Address] = Counter()
        self.sent: Counter[Address] = Counter()
        self.proved: set[Address] = {CLIENT_ADDRESS}
        self._server = server
        net.delivery_tap = self._on_delivery
        net.tap = self._on_sent

    def _on_delivery(self, source: Address, target: Address, datagram: bytes) -> None:
        if target == SERVER_ADDRESS:
            self.received[source] += len(datagram)

    def _on_sent(self, source: Address, target: Address, datagram: bytes) -> None:
        if source != SERVER_ADDRESS:
            return
        if self._server.path.validated:
            self.proved.add(self._server.path.address)
        self.sent[target] += len(datagram)
        if target not in self.proved:
            assert self.sent[target] <= 3 * self.received[target]


@pytest.mark.parametrize("address", [NEW_PORT, NEW_HOST])
@pytest.mark.parametrize("loss", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_a_client_that_moved_is_followed(seed: int, loss: float, address: Address) -> None:
    """Its next packet is enough: what the server says goes to the new address, and nothing is lost or doubled."""
    pair = settled_pair(seed, Conditions(loss=loss))
    limit = Limit(pair.net, pair.server)
    pair.net.rebind(CLIENT_ADDRESS, address)
    for number in range(20):
        pair.send(pair.client, 1, b"up %d" % number)
        pair.send(pair.server, 1, b"down %d" % number)
        pair.net.run_for(0.1)
    pair.net.run(lambda: len(pair.to_server) == len(pair.to_client) == 20, 30.0)
    assert by_lane(pair.to_client) == {1: [b"down %d" % number for number in range(20)]}
    assert by_lane(pair.to_server) == {1: [b"up %d" % number for number in range(20)]}
    assert pair.server.peer_address == address
    pair.net.run(lambda: pair.server.path.validated, 30.0)
    assert address in limit.proved
    settle(pair)


def test_what_the_server_says_next_goes_to_the_new_address() -> None:
    """One packet from there is enough, before anything is proved."""
    pair = settled_pair()
    pair.net.rebind(CLIENT_ADDRESS, NEW_HOST)
    pair.send(pair.client, 1, b"here I am")
    pair.net.run_for(0.051)
    assert pair.server.peer_address == NEW_HOST
    pair.send(pair.server, 1, b"there you are")
    pair.net.run_for(0.051)
    assert [data for _, _, data in pair.to_client] == [b"there you are"]


@pytest.mark.parametrize("seed", range(5))
def test_bulk_to_a_new_address_waits_for_its_proof(seed: int) -> None:
    """A short packet from nowhere does not draw a flood; once the address has answered, the rest follows quickly."""
    pair = settled_pair(seed)
    limit = Limit(pair.net, pair.server)
    for number in range(200):
        pair.server.send(1, b"%04d" % number * 250)
    pair.net.poke(pair.server)
    pair.net.run_for(0.12)
    pair.net.rebind(CLIENT_ADDRESS, NEW_HOST)
    pair.send(pair.client, 1, b"hm")
    moved = pair.net.now
    pair.net.run(lambda: pair.server.path.validated and pair.server.path.address == NEW_HOST, 5.0)
    assert pair.net.now - moved < 0.2
    pair.net.run(lambda: len(pair.to_client) == 200, 30.0)
    settle(pair)
    assert limit.sent[NEW_HOST] > 100_000


def test_messages_too_large_for_an_unproven_path_spin_no_timer() -> None:
    """While the limit holds everything back the server waits for an arrival, and then lets everything out."""
    pair = settled_pair()
    Limit(pair.net, pair.server)
    pair.net.rebind(CLIENT_ADDRESS, NEW_HOST)
    pair.down.conditions.cut = True  # the challenge is lost, so the path stays unproven
    pair.client.ping()
    pair.net.poke(pair.client)
    pair.net.run_for(0.06)
    for number in range(4):
        pair.send(pair.server, number, bytes(1000))
    pair.net.run_for(5.0)
    pair.down.conditions.cut = False
    pair.send(pair.client, 1, b"again")
    pair.net.run(lambda: len(pair.to_client) == 4, 5.0)
    settle(pair)


@pytest.mark.parametrize("seed", range(30))
def test_a_path_whose_challenges_were_lost_is_not_limited_for_ever(seed: int) -> None:
    """At half the datagrams lost, five challenges in a row get no answer now and then: the server asks again."""
    pair = settled_pair(seed, Conditions(loss=0.5))
    pair.net.rebind(CLIENT_ADDRESS, NEW_HOST)
    pair.send(pair.client, 1, b"moved")
    pair.net.run(lambda: pair.server.peer_address == NEW_HOST, 30.0)
    for number in range(60):
        pair.send(pair.server, 1, b"%04d" % number * 250)
    pair.net.run(lambda: len(pair.to_client) == 60, 60.0)
    assert pair.server.path.validated


def test_a_port_change_keeps_window_and_round_trip() -> None:
    """A NAT that forgot its mapping is the same way; another host is another way, and is measured afresh."""
    for address, kept in ((NEW_PORT, True), (NEW_HOST, False)):
        pair = settled_pair()
        pair.net.run_for(1.0)
        for number in range(60):
            pair.server.send(1, b"%04d" % number * 250)
        pair.net.poke(pair.server)
        settle(pair)
        grown = pair.server.stats(pair.net.now).window_bytes
        assert grown > 15_000
        pair.net.rebind(CLIENT_ADDRESS, address)
        pair.send(pair.client, 1, b"moved")
        pair.net.run_for(0.051)
        assert (pair.server.stats(pair.net.now).window_bytes == grown) is kept


def test_an_old_packet_from_elsewhere_moves_nobody() -> None:
    """Only the newest packet's source is followed: one that was overtaken tells where the client was."""
    pair = settled_pair()
    held: list[bytes] = []
    pair.net.tap = lambda source, target, datagram: held.append(datagram) if source == CLIENT_ADDRESS else None
    pair.up.conditions.cut = True
    pair.send(pair.client, 1, b"held back")
    pair.up.conditions.cut = False
    pair.send(pair.client, 1, b"passes")
    pair.net.run_for(0.06)
    pair.server.receive_datagram(held[0], NEW_HOST, pair.net.now)
    assert pair.server.peer_address == CLIENT_ADDRESS
    assert [data for _, _, data in pair.to_server] == []
    pair.take()
    assert [data for _, _, data in pair.to_server] == [b"held back", b"passes"]


def test_a_relayed_packet_moves_the_path_only_until_the_client_speaks() -> None:
    """Someone on the way can pull replies to an address of his; the client's next packet pulls them back."""
    pair = settled_pair()
    limit = Limit(pair.net, pair.server)
    pair.net.attach(_Nobody(), NEW_HOST)
    relayed: list[bytes] = []
    pair.up.conditions.cut = True
    pair.net.tap = lambda source, target, datagram: relayed.append(datagram)
    pair.send(pair.client, 1, b"relayed")
    pair.up.conditions.cut = False
    Limit.__init__(limit, pair.net, pair.server)
    pair.net.transmit(NEW_HOST, SERVER_ADDRESS, relayed[0])
    pair.net.run_for(0.06)
    assert pair.server.peer_address == NEW_HOST
    for number in range(10):
        pair.send(pair.server, 1, b"%d" % number * 500)
    pair.net.run_for(5.0)
    pair.send(pair.client, 1, b"I am still here")
    pair.net.run(lambda: len(pair.to_client) == 10, 10.0)
    assert pair.server.peer_address == CLIENT_ADDRESS
    settle(pair)


def test_a_replay_from_elsewhere_moves_nobody() -> None:
    """A packet that was seen before is no packet."""
    pair = settled_pair()
    copies: list[bytes] = []
    pair.net.tap = lambda source, target, datagram: copies.append(datagram) if source == CLIENT_ADDRESS else None
    pair.send(pair.client, 1, b"once")
    pair.net.run_for(0.2)
    for copy in copies:
        pair.server.receive_datagram(copy, NEW_HOST, pair.net.now)
    assert pair.server.peer_address == CLIENT_ADDRESS


def test_a_client_that_knows_it_moved_earns_the_server_room() -> None:
    """`network_changed` sends a full datagram, so that three times it is enough to answer with."""
    pair = settled_pair()
    sizes: list[int] = []
    pair.net.rebind(CLIENT_ADDRESS, NEW_HOST)
    pair.net.tap = lambda source, target, datagram: sizes.append(len(datagram)) if source == NEW_HOST else None
    pair.client.network_changed(pair.net.now)
    pair.net.poke(pair.client)
    assert sizes == [1200]


def test_the_server_may_answer_from_another_of_its_addresses() -> None:
    """The client takes authentic packets from wherever they come, and keeps sending where it was told to."""
    pair = settled_pair()
    pair.net.rebind(SERVER_ADDRESS, ("server's other address", 9999))
    pair.send(pair.server, 1, b"from the other one")
    pair.net.run_for(0.06)
    assert [data for _, _, data in pair.to_client] == [b"from the other one"]
    assert pair.client.peer_address == SERVER_ADDRESS


class _Nobody:
    """Receives and never answers."""

    def receive_datagram(self, datagram: bytes, address: Address, now: float) -> None: ...

    def handle_timeout(self, now: float) -> None: ...

    def next_timeout(self) -> float | None:
        return None

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        return []


@pytest.mark.parametrize("seed", range(5))
def test_a_client_that_keeps_moving_misses_nothing(seed: int) -> None:
    """A new address each second, on a lossy link, while both talk."""
    pair = settled_pair(seed, Conditions(loss=0.2))
    Limit(pair.net, pair.server)
    address: Address = CLIENT_ADDRESS
    for number in range(100):
        if number % 10 == 0:
            following = (f"host {number // 20}", number)
            pair.net.rebind(address, following)
            address = following
        pair.send(pair.client, 1, b"up %d" % number)
        pair.send(pair.server, 1, b"down %d" % number)
        pair.net.run_for(0.1)
    pair.net.run(lambda: len(pair.to_server) == len(pair.to_client) == 100, 60.0)
    assert by_lane(pair.to_client) == {1: [b"down %d" % number for number in range(100)]}
    settle(pair)
