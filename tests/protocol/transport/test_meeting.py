"""Client and server meet: the handshake over links that lose and damage, strangers, first visits, and patience."""

from collections import Counter
from dataclasses import replace

import pytest

from bisik_protocol.crypto.handshake import ServerHandshake
from bisik_protocol.errors import LocalProtocolError
from bisik_protocol.transport.addresses import address_bytes
from bisik_protocol.transport.events import CloseCode, Closed, Connected, IdentityMismatch, ServerIdentified
from bisik_protocol.wire.handshake import TYPE_HELLO, TYPE_KEX, TYPE_RETRY, TYPE_SKEX
from bisik_protocol.wire.packets import DATA_TYPE
from tests.support import keys
from tests.support.endpoints import SERVER_ADDRESS, Endpoints
from tests.support.simnet import Address, Conditions


class Wire:
    """Counts datagrams by their first byte, and keeps when they were offered."""

    def __init__(self, stage: Endpoints) -> None:
        self.types: Counter[int] = Counter()
        self.times: list[tuple[float, int]] = []
        self._net = stage.net
        stage.net.tap = self._tap

    def _tap(self, source: Address, target: Address, datagram: bytes) -> None:
        self.types[datagram[0]] += 1
        self.times.append((self._net.now, datagram[0]))


def test_two_round_trips_and_seven_datagrams_on_a_clean_link() -> None:
    """HELLO, RETRY, two KEX, two SKEX, and the packet that shows the server that the client holds the keys."""
    stage = Endpoints()
    wire = Wire(stage)
    start = stage.net.now
    caller = stage.call()
    stage.net.run(lambda: caller.connected_at is not None)
    assert stage.net.now - start == pytest.approx(0.2)
    assert len(stage.server) == 0, "the server believes it only when it hears a packet"
    stage.net.run(lambda: bool(stage.opened))
    assert stage.net.now - start == pytest.approx(0.25)
    assert len(stage.server) == 1
    handshake = {kind: wire.types[kind] for kind in (TYPE_HELLO, TYPE_RETRY, TYPE_KEX, TYPE_SKEX)}
    assert handshake == {TYPE_HELLO: 1, TYPE_RETRY: 1, TYPE_KEX: 2, TYPE_SKEX: 2}
    assert wire.types[DATA_TYPE] == 2  # the client's, and the server's answer


def test_both_ends_are_bound_to_the_same_channel_and_no_other() -> None:
    """What a device signs to log in is equal at both ends, and different for each connection."""
    stage = Endpoints()
    pairs = [stage.connect() for _ in range(3)]
    bindings = [caller.connection.channel_binding for caller, _ in pairs]
    assert bindings == [connection.channel_binding for _, connection in pairs]
    assert len(set(bindings)) == 3
    assert all(len(binding) == 32 for binding in bindings)


def test_a_client_may_speak_as_soon_as_it_is_connected() -> None:
    """What it sends first arrives two and a half round trips after it began to call."""
    stage = Endpoints()
    start = stage.net.now
    caller = stage.call()
    stage.net.run(lambda: caller.connected_at is not None)
    stage.send(caller, 0, b"let me in")
    stage.net.run(lambda: any(stage.received.values()))
    assert stage.net.now - start == pytest.approx(0.25)


@pytest.mark.parametrize(("loss", "limit"), [(0.1, 2.0), (0.3, 4.0), (0.5, 12.0)])
@pytest.mark.parametrize("seed", range(10))
def test_they_meet_over_a_link_that_loses(seed: int, loss: float, limit: float) -> None:
    """With repeats, reordering and damage besides; and only one session comes of it."""
    stage = Endpoints(seed, Conditions(loss=loss, duplicate=0.1, reorder=0.1, corrupt=0.05, truncate=0.02))
    caller, connection = stage.connect(limit=limit)
    assert caller.connection.channel_binding == connection.channel_binding
    stage.net.run_for(15.0)
    assert len(stage.server) == len(stage.opened) == 1
    assert [type(event) for event in caller.events] == [Connected]


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_damage_is_never_taken_for_another_server(seed: int, pinned: bool) -> None:
    """A third of all datagrams arrive damaged: no mismatch is told, and a first visit sees the right keys."""
    stage = Endpoints(seed, Conditions(corrupt=0.3, truncate=0.1))
    caller = stage.call(fingerprint=b"right" if pinned else None)
    if not pinned:
        stage.net.run(lambda: bool(caller.events), 30.0)
        (identified,) = caller.events
        assert isinstance(identified, ServerIdentified)
        assert identified.server.fingerprint == stage.identity.fingerprint
        caller.endpoint.trust(stage.net.now)
        stage.net.poke(caller.endpoint)
    stage.net.run(lambda: caller.connected_at is not None and bool(stage.opened), 30.0)
    assert not any(isinstance(event, IdentityMismatch) for event in caller.events)


def test_a_pinned_server_with_other_keys_is_told_once() -> None:
    """The client learns whose keys answer, keeps asking for the right ones, and sends nobody anything secret."""
    stage = Endpoints()
    wire = Wire(stage)
    caller = stage.call(fingerprint=keys.server_identity(1).fingerprint)
    stage.net.run_for(60.0)
    assert caller.events == [IdentityMismatch(presented=stage.identity.fingerprint)]
    assert wire.types[TYPE_KEX] == 0
    assert not stage.opened


def test_a_pinned_server_that_answers_late_is_found_though_a_stranger_answered_first() -> None:
    """The mismatch is no verdict: when the right server is back at the address, the client connects to it."""
    stage = Endpoints()
    caller = stage.call(fingerprint=keys.server_identity(1).fingerprint)
    stage.net.run_for(10.0)
    stage.identity = keys.server_identity(1)
    stage.restart_server()
    stage.net.run(lambda: caller.connected_at is not None, 10.0)


def test_one_answer_of_a_stranger_is_not_told() -> None:
    """Someone on the way gets one RETRY in before the right one: no alarm, and the client connects."""
    stage = Endpoints()
    stranger = ServerHandshake(keys.server_identity(1), bytes(32), bytes)
    caller = stage.call()
    forged = stranger.answer_hello_untrusted(
        caller.endpoint._handshake.hello(anonymous=True), address_bytes(caller.address), stage.net.now
    )
    caller.endpoint.receive_datagram(forged, SERVER_ADDRESS, stage.net.now)
    stage.net.run(lambda: caller.connected_at is not None, 5.0)
    assert [type(event) for event in caller.events] == [Connected]


def test_a_first_visit_waits_for_a_person() -> None:
    """Told who answers, the client sends nothing until it is told to trust, and then connects to that server only."""
    stage = Endpoints()
    wire = Wire(stage)
    caller = stage.call(fingerprint=None)
    stage.net.run(lambda: bool(caller.events))
    (identified,) = caller.events
    assert isinstance(identified, ServerIdentified)
    assert identified.server.fingerprint == stage.identity.fingerprint
    sent = wire.types.total()
    stage.net.run_for(10.0)
    assert caller.endpoint.next_timeout() is None
    assert wire.types.total() == sent
    caller.endpoint.trust(stage.net.now)
    stage.net.poke(caller.endpoint)
    stage.net.run(lambda: caller.connected_at is not None, 1.0)


@pytest.mark.parametrize("thinking", [0.0, 19.0, 25.0, 31.0, 3600.0])
def test_a_person_may_take_longer_than_a_cookie_lives(thinking: float) -> None:
    """A confirmed fingerprint stays confirmed: the exchange is begun afresh if need be, and nobody is asked again."""
    stage = Endpoints()
    caller = stage.call(fingerprint=None)
    stage.net.run(lambda: bool(caller.events))
    stage.net.run_for(thinking)
    caller.endpoint.trust(stage.net.now)
    stage.net.poke(caller.endpoint)
    stage.net.run(lambda: caller.connected_at is not None, 4.0)
    assert [type(event) for event in caller.events] == [ServerIdentified, Connected]


def test_after_a_first_visit_no_other_server_will_do() -> None:
    """The server is replaced while the person thinks: whoever has other keys now is a mismatch and gets nothing."""
    stage = Endpoints()
    caller = stage.call(fingerprint=None)
    stage.net.run(lambda: bool(caller.events))
    trusted, stage.identity = stage.identity, keys.server_identity(1)
    stage.restart_server()
    stage.net.run_for(60.0)
    caller.endpoint.trust(stage.net.now)
    stage.net.poke(caller.endpoint)
    stage.net.run_for(60.0)
    assert caller.connected_at is None
    assert caller.events[1:] == [IdentityMismatch(presented=stage.identity.fingerprint)]
    assert trusted.fingerprint != stage.identity.fingerprint


def test_a_person_who_says_no_ends_it() -> None:
    """Closed at once, nothing more is sent, and trusting afterwards is our own mistake."""
    stage = Endpoints()
    wire = Wire(stage)
    caller = stage.call(fingerprint=None)
    stage.net.run(lambda: bool(caller.events))
    sent = wire.types.total()
    caller.endpoint.close()
    stage.take()
    stage.net.run_for(60.0)
    assert caller.closed == Closed(code=CloseCode.NORMAL, reason="", by_peer=False)
    assert caller.endpoint.finished
    assert wire.types.total() == sent
    with pytest.raises(LocalProtocolError):
        caller.endpoint.trust(stage.net.now)


def test_trust_without_a_question_is_our_own_mistake() -> None:
    """Before anybody answered, and where the fingerprint was pinned, there is nothing to confirm."""
    stage = Endpoints()
    for caller in (stage.call(), stage.call(fingerprint=None)):
        with pytest.raises(LocalProtocolError):
            caller.endpoint.trust(stage.net.now)


def test_nobody_answering_is_asked_ever_more_slowly() -> None:
    """A few quick tries, then one in three seconds: no event, no end, no flood."""
    stage = Endpoints()
    stage.net.detach(SERVER_ADDRESS)
    wire = Wire(stage)
    caller = stage.call()
    stage.net.run_for(1.0)
    assert 4 <= wire.types[TYPE_HELLO] <= 7
    stage.net.run_for(59.0)
    before = wire.types[TYPE_HELLO]
    stage.net.run_for(600.0)
    assert wire.types[TYPE_HELLO] - before <= 2 * 600 / 3.0
    assert caller.events == []
    stage.net.attach(stage.server, SERVER_ADDRESS)
    stage.net.run(lambda: caller.connected_at is not None, 4.0)


def test_a_changed_network_is_tried_at_once() -> None:
    """A client that was waiting for its next try says hello when it is told that the network is back."""
    stage = Endpoints()
    stage.net.detach(SERVER_ADDRESS)
    caller = stage.call()
    stage.net.run_for(100.5)
    wire = Wire(stage)
    caller.endpoint.network_changed(stage.net.now)
    stage.net.poke(caller.endpoint)
    assert wire.types[TYPE_HELLO] == 1


def test_a_server_that_restarts_in_the_middle_of_a_handshake_is_met_all_the_same() -> None:
    """Its new cookie key refuses the old cookie; the client gives the exchange up and begins again."""
    for after in (0.12, 0.17, 0.22):
        stage = Endpoints()
        caller = stage.call()
        stage.net.run_for(after)
        stage.restart_server()
        stage.net.run_for(40.0)
        assert (caller.closed is not None) is (len(stage.server) == 0), "connected, or told that it is not"


def test_late_and_repeated_handshake_datagrams_change_nothing() -> None:
    """Everything that was said comes again, to both ends, after they have met."""
    stage = Endpoints()
    said: list[tuple[Address, Address, bytes]] = []
    stage.net.tap = lambda source, target, datagram: said.append((source, target, datagram))
    caller, connection = stage.connect()
    for source, target, datagram in list(said):
        stage.net.transmit(source, target, datagram)
    stage.net.run_for(5.0)
    assert len(stage.server) == len(stage.opened) == 1
    stage.send(caller, 1, b"still here")
    stage.net.run_for(1.0)
    assert [data for _, _, data in stage.received[connection]] == [b"still here"]


def test_the_round_trip_of_the_handshake_is_the_first_guess() -> None:
    """A fast link is known to be fast before the first message is sent; a sample then takes the guess's place."""
    stage = Endpoints(conditions=Conditions(delay=0.01))
    caller, connection = stage.connect()
    assert caller.connection.stats(stage.net.now).srtt_s <= 0.021
    assert connection.stats(stage.net.now).srtt_s <= 0.05


def test_one_way_loss_is_no_obstacle() -> None:
    """Half of what the server says is lost, and nothing of what the client says; and the other way round."""
    for seed in range(10):
        for up in (True, False):
            stage = Endpoints(seed)
            caller = stage.call()
            ends = (caller.endpoint, stage.server) if up else (stage.server, caller.endpoint)
            stage.net.link(*ends).conditions = replace(Conditions(), loss=0.5)
            stage.net.run(lambda caller=caller: caller.connected_at is not None, 10.0)  # type: ignore[misc]
