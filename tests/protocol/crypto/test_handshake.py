"""The handshake between honest sides: what they end up with, on a network that repeats and reorders."""

import pytest

from bisik_protocol.crypto.handshake import ClientHandshake, SessionSecrets
from bisik_protocol.crypto.protection import PacketOpener, PacketSealer
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError
from tests.protocol.crypto.exchange import (
    ADDRESS,
    NOW,
    Exchange,
    answer_kex,
    flip,
    kex_content,
    make_client,
    make_server,
    seeded,
)
from tests.support.keys import server_identity


def assert_refused(reason: str, client: ClientHandshake, skex_part: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        client.receive_skex_untrusted(skex_part)
    assert caught.value.reason == reason


# What comes out ------------------------------------------------------------------------------------------------


def test_both_sides_hold_the_same_session() -> None:
    """Keys, connection IDs and channel binding, without any of them on the wire."""
    exchange = Exchange()
    secrets = exchange.finish()
    assert secrets == exchange.server_secrets
    assert secrets is not None
    lengths = [len(value) for value in (secrets.client_traffic, secrets.server_traffic, secrets.channel_binding)]
    assert lengths == [32, 32, 32]
    assert len(secrets.client_connection_id) == len(secrets.server_connection_id) == 8
    said = b"".join([exchange.hello, exchange.retry, *exchange.kex, *exchange.skex])
    for value in (secrets.client_traffic, secrets.server_traffic, secrets.client_connection_id):
        assert value not in said


def test_packets_of_one_side_open_on_the_other() -> None:
    """The traffic secrets work in the direction of their names and in no other."""
    exchange = Exchange()
    client, server = exchange.finish(), exchange.server_secrets
    assert client is not None
    sealed = PacketSealer(client.client_traffic).seal(0, b"header", b"halo")
    assert PacketOpener(server.client_traffic).open_untrusted(0, 0, b"header", sealed) == b"halo"
    with pytest.raises(RemoteProtocolError):
        PacketOpener(client.server_traffic).open_untrusted(0, 0, b"header", sealed)


def test_client_without_a_fingerprint_learns_it_and_gets_a_session() -> None:
    """The first visit: who answers is shown to a person, and then the handshake goes on."""
    client = ClientHandshake(seeded(1), None)
    retry = make_server().answer_hello_untrusted(client.hello(), ADDRESS, NOW)
    assert client.receive_retry_untrusted(retry).fingerprint == server_identity().fingerprint
    client.start_exchange()
    skex, server_secrets = answer_kex(make_server(), client.kex())
    client.receive_skex_untrusted(skex[0])
    assert client.receive_skex_untrusted(skex[1]) == server_secrets


def test_client_with_a_longer_offer_gets_a_session() -> None:
    """An offer of eight pairs goes through HELLO, KEX and transcript like an offer of one."""
    offer = [(n, 1) for n in range(9, 2, -1)] + [(1, 1)]
    exchange = Exchange(client=ClientHandshake(seeded(1), server_identity().fingerprint, offer=offer))
    assert len(exchange.kex[1]) == 923
    assert exchange.finish() == exchange.server_secrets


def test_server_needs_no_memory_between_datagrams() -> None:
    """HELLO, KEX parts and completion may each meet a server object that never saw the client."""
    client = make_client()
    client.receive_retry_untrusted(make_server().answer_hello_untrusted(client.hello(), ADDRESS, NOW))
    client.start_exchange()
    first = make_server().read_kex_part_untrusted(client.kex()[0], ADDRESS, NOW)
    second = make_server().read_kex_part_untrusted(client.kex()[1], ADDRESS, NOW)
    skex, secrets = make_server().complete_untrusted(first.nonce, first.cookie, first.chunk, second.chunk)
    client.receive_skex_untrusted(skex[1])
    assert client.receive_skex_untrusted(skex[0]) == secrets


def test_two_handshakes_share_nothing() -> None:
    """Not even with the same randomness on the server's side."""
    sessions = [Exchange(client=make_client(seed=seed)).server_secrets for seed in (1, 2)]
    values = [value for s in sessions for value in (s.client_traffic, s.server_traffic, s.channel_binding)]
    values += [value for s in sessions for value in (s.client_connection_id, s.server_connection_id)]
    assert len(set(values)) == 10


def test_completing_one_kex_twice_gives_two_sessions() -> None:
    """Which is why the transport answers a repeated KEX from its cache: the client can only follow one."""
    exchange = Exchange()
    skex, secrets = answer_kex(exchange.server, exchange.kex)
    assert skex != exchange.skex
    assert secrets.client_traffic != exchange.server_secrets.client_traffic


def test_same_randomness_gives_the_same_client_shares() -> None:
    """What is drawn from the injected source repeats with its seed; only OAEP draws its own."""
    first, second = Exchange(), Exchange()
    assert first.hello == second.hello
    contents = [kex_content(exchange.kex) for exchange in (first, second)]
    assert contents[0][:1216] == contents[1][:1216]
    assert contents[0][1216:1600] != contents[1][1216:1600]


# Repeats and order ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0, 0, 1), (1, 1, 0), (1, 1, 1, 1, 1, 0)])
def test_parts_of_the_skex_come_in_any_order_and_number(order: tuple[int, ...]) -> None:
    """The session appears with the arrival that completes the pair, and not before."""
    exchange = Exchange()
    results: list[SessionSecrets | None] = [exchange.client.receive_skex_untrusted(exchange.skex[i]) for i in order]
    assert results == [None] * (len(order) - 1) + [exchange.server_secrets]


def test_session_is_handed_out_once() -> None:
    """A late copy of the SKEX cannot make a second connection that would repeat the first one's nonces."""
    exchange = Exchange()
    assert exchange.finish() is not None
    for part in exchange.skex:
        assert_refused("late", exchange.client, part)
    with pytest.raises(RemoteProtocolError, match=r"^late$"):
        exchange.client.receive_retry_untrusted(exchange.retry)


def test_kex_repeats_itself() -> None:
    """A retransmitted KEX is the same bytes, which is what the server's cache knows it by."""
    exchange = Exchange()
    assert exchange.client.kex() == exchange.kex


def test_later_retry_brings_a_fresh_cookie_until_the_exchange_starts() -> None:
    """While a person decides, the first cookie may expire; the newest one goes into the KEX."""
    client, server = make_client(), make_server()
    for now in (NOW, NOW + 60):
        client.receive_retry_untrusted(server.answer_hello_untrusted(client.hello(), ADDRESS, now))
    client.start_exchange()
    assert server.read_kex_part_untrusted(client.kex()[0], ADDRESS, NOW + 61).index == 0
    kex = client.kex()
    with pytest.raises(RemoteProtocolError, match=r"^late$"):
        client.receive_retry_untrusted(server.answer_hello_untrusted(client.hello(), ADDRESS, NOW + 62))
    assert client.kex() == kex


def test_skex_before_the_exchange_is_refused() -> None:
    """A SKEX for an exchange that has not started is refused and remembered nowhere."""
    exchange = Exchange()
    client = make_client()
    assert client.hello() == exchange.hello
    assert_refused("late", client, exchange.skex[0])


# Cookies -------------------------------------------------------------------------------------------------------


def test_kex_needs_a_cookie_of_this_address_nonce_and_time() -> None:
    """From elsewhere, for another attempt, too late, or not ours: no RSA work is done for it."""
    exchange = Exchange()
    part = exchange.kex[0]
    attempts = [
        (part, b"198.51.100.1:40001", NOW),
        (part, ADDRESS, NOW + 30.001),
        (part, ADDRESS, NOW - 0.001),
        (flip(part, 1), ADDRESS, NOW),
        (flip(part, 33), ADDRESS, NOW),
        (flip(part, 72), ADDRESS, NOW),
    ]
    for data, address, now in attempts:
        with pytest.raises(RemoteProtocolError, match=r"^cookie$"):
            exchange.server.read_kex_part_untrusted(data, address, now)
    assert exchange.server.read_kex_part_untrusted(part, ADDRESS, NOW + 30).index == 0


# Our own mistakes ----------------------------------------------------------------------------------------------


def test_exchange_starts_once_and_only_with_a_server() -> None:
    """Out of order calls are bugs of the caller and say so."""
    client = make_client()
    with pytest.raises(LocalProtocolError):
        client.start_exchange()
    with pytest.raises(LocalProtocolError):
        client.kex()
    exchange = Exchange()
    with pytest.raises(LocalProtocolError):
        exchange.client.start_exchange()
    exchange.finish()
    for call in (exchange.client.start_exchange, exchange.client.kex):
        with pytest.raises(LocalProtocolError):
            call()


def test_keys_of_the_attempt_are_gone_when_it_is_done() -> None:
    """Forward secrecy begins when the ephemeral keys are forgotten."""
    exchange = Exchange()
    assert "secret" not in repr(exchange.client._exchange)
    exchange.finish()
    assert exchange.client._exchange is None
    assert exchange.client._chunks == ([], [])
