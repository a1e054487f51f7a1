"""A restarted server knows nobody: its clients learn it within a round trip, and are not made to believe it."""

import pytest

from bisik_protocol.transport.events import CloseCode, Closed
from bisik_protocol.wire.packets import encode_reset
from tests.support.endpoints import SERVER_ADDRESS, Endpoints
from tests.support.simnet import Conditions

OTHER_KEY = b"another state directory's key..."


def test_a_client_learns_of_the_restart_within_a_round_trip() -> None:
    """Of its next packet: the connection is over, said to be by the far side, and nothing is left to do."""
    stage = Endpoints()
    caller, _ = stage.connect()
    stage.net.run_for(2.0)
    stage.restart_server()
    stage.net.run_for(2.0)
    assert caller.closed is None
    at = stage.net.now
    stage.send(caller, 1, b"anybody?")
    stage.net.run(lambda: caller.closed is not None)
    assert stage.net.now - at == pytest.approx(0.1)
    assert caller.closed == Closed(code=CloseCode.RESET, reason="the other side was restarted", by_peer=True)
    assert caller.endpoint.finished
    assert caller.endpoint.next_timeout() is None


def test_an_idle_client_learns_of_it_by_its_keepalive() -> None:
    """Half a minute at most, without anything to say."""
    stage = Endpoints()
    caller, _ = stage.connect()
    stage.restart_server()
    stage.net.run(lambda: caller.closed is not None, 26.0)


def test_it_may_call_again_at_once() -> None:
    """The new server takes it as any other."""
    stage = Endpoints()
    caller, _ = stage.connect()
    stage.restart_server()
    stage.send(caller, 1, b"anybody?")
    stage.net.run(lambda: caller.closed is not None)
    again, connection = stage.connect()
    stage.send(again, 1, b"hello again")
    stage.net.run_for(1.0)
    assert [data for _, _, data in stage.received[connection]] == [b"hello again"]


@pytest.mark.parametrize("after", [0.21, 0.24, 0.26, 0.31])
def test_a_client_that_was_given_no_token_yet_learns_it_a_little_later(after: float) -> None:
    """The server is gone before its first packet arrived: a reset is believed after some seconds of silence."""
    stage = Endpoints()
    caller = stage.call()
    stage.net.run_for(after)
    assert caller.connected_at is not None
    stage.restart_server()
    stage.net.run(lambda: caller.closed is not None, 30.0)
    assert caller.closed is not None
    assert caller.closed.code == CloseCode.RESET


def test_a_client_whose_first_packets_are_lost_for_long_is_not_left_in_doubt() -> None:
    """The server forgets a session that is never used; a client that was in a tunnel meanwhile learns of it."""
    stage = Endpoints()
    caller = stage.call()
    stage.net.run_for(0.19)
    link = stage.net.link(caller.endpoint, stage.server)
    link.conditions.cut = True
    stage.net.run_for(20.0)
    assert caller.connected_at is not None
    link.conditions.cut = False
    stage.net.run(lambda: caller.closed is not None, 2.0)


def test_an_unproven_reset_is_not_believed_while_the_server_is_heard() -> None:
    """Someone on the way who adds resets, before the token came, ends nothing."""
    stage = Endpoints()
    caller = stage.call()
    stage.net.run(lambda: caller.connected_at is not None)
    connection_id = caller.connection._secrets.server_connection_id
    for _ in range(100):
        stage.net.run_for(0.01)
        caller.endpoint.receive_datagram(encode_reset(connection_id, bytes(16)), SERVER_ADDRESS, stage.net.now)
    stage.take()
    assert caller.closed is None


@pytest.mark.parametrize("seed", range(10))
def test_the_reset_comes_through_loss(seed: int) -> None:
    """Each packet that goes unanswered asks again."""
    stage = Endpoints(seed, Conditions(loss=0.5))
    caller, _ = stage.connect()
    stage.net.run_for(2.0)
    stage.restart_server()
    stage.send(caller, 1, b"anybody?")
    stage.net.run(lambda: caller.closed is not None, 10.0)
    assert caller.closed is not None
    assert caller.closed.code == CloseCode.RESET


def test_a_server_with_another_reset_key_is_not_believed() -> None:
    """Whoever took over the address cannot end the connection; he cannot answer on it either."""
    stage = Endpoints()
    caller, _ = stage.connect()
    stage.net.run_for(2.0)
    stage.restart_server(OTHER_KEY)
    stage.send(caller, 1, b"anybody?")
    stage.net.run_for(60.0)
    assert caller.closed is None
    assert caller.endpoint.drops["reset"] > 0


def test_forged_resets_are_not_believed() -> None:
    """Wrong tokens, the token of another connection, and resets before any token was given."""
    stage = Endpoints()
    caller, _ = stage.connect()
    other, _ = stage.connect()
    resets: list[bytes] = []
    stage.net.run_for(2.0)
    connection_id = caller.connection._secrets.server_connection_id
    other_id = other.connection._secrets.server_connection_id
    stage.net.tap = lambda source, target, datagram: resets.append(datagram) if datagram[0] == 5 else None
    genuine = stage.server._reset_token(connection_id)
    stage.net.tap = None
    for forged in (
        encode_reset(connection_id, bytes(16)),
        encode_reset(connection_id, genuine[:-1] + bytes((genuine[-1] ^ 1,))),
        encode_reset(connection_id, stage.server._reset_token(other_id)),
        encode_reset(other_id, genuine),
        encode_reset(connection_id, genuine)[:-1],
        encode_reset(connection_id, genuine) + b"\x00",
    ):
        caller.endpoint.receive_datagram(forged, ("203.0.113.9", 9), stage.net.now)
        caller.take(stage.net.now)
        assert caller.closed is None
    assert caller.endpoint.drops["reset"] == 6
    caller.endpoint.receive_datagram(encode_reset(connection_id, genuine), ("203.0.113.9", 9), stage.net.now)
    caller.take(stage.net.now)
    assert caller.closed is not None


def test_a_client_that_is_not_connected_ignores_resets() -> None:
    """There is nothing they could end."""
    stage = Endpoints()
    caller = stage.call()
    caller.endpoint.receive_datagram(encode_reset(bytes(8), bytes(16)), ("203.0.113.9", 9), stage.net.now)
    assert caller.endpoint.drops["reset"] == 1
    stage.net.run(lambda: caller.connected_at is not None, 5.0)


def test_a_reset_at_the_server_is_nothing() -> None:
    """Only servers forget, so nobody resets them."""
    stage = Endpoints()
    caller, connection = stage.connect()
    connection_id = caller.connection._secrets.server_connection_id
    stage.server.receive_datagram(
        encode_reset(connection_id, stage.server._reset_token(connection_id)), caller.address, stage.net.now
    )
    assert not connection.closed
    assert stage.server.drops.total() == 1


def test_a_client_saying_goodbye_to_a_restarted_server_is_done_at_once() -> None:
    """The reset is as good as an answer: nobody is there to say goodbye to."""
    stage = Endpoints()
    caller, _ = stage.connect()
    stage.net.run_for(2.0)
    stage.restart_server()
    stage.close(caller)
    stage.net.run(lambda: caller.endpoint.finished, 0.2)


def test_a_stopping_server_tells_everyone() -> None:
    """Each client hears that it is to come back; the server forgets them as they answer, and is empty soon."""
    stage = Endpoints()
    callers = [stage.connect()[0] for _ in range(5)]
    stage.server.close_all(CloseCode.GOING_AWAY, "restarting")
    stage.net.poke(stage.server)
    stage.net.run(lambda: all(caller.closed is not None for caller in callers), 1.0)
    for caller in callers:
        assert caller.closed == Closed(code=CloseCode.GOING_AWAY, reason="restarting", by_peer=True)
    stage.net.run(lambda: len(stage.server) == 0, 1.0)
    assert stage.server.next_timeout() is None


def test_a_client_that_left_is_forgotten() -> None:
    """Its connection, its timers and its place are free; the others do not notice."""
    stage = Endpoints()
    leaving, connection = stage.connect()
    staying, other = stage.connect()
    stage.close(leaving)
    stage.net.run(lambda: len(stage.server) == 1, 1.0)
    assert stage.ended[connection] == Closed(code=CloseCode.NORMAL, reason="", by_peer=True)
    assert stage.server.connections == [other]
    stage.send(staying, 1, b"still here")
    stage.net.run_for(1.0)
    assert [data for _, _, data in stage.received[other]] == [b"still here"]
