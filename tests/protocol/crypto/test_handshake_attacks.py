"""The handshake with someone in between: what they change, forge, repeat or relay never becomes a session."""

from functools import partial

import pytest

from bisik_protocol.crypto import versions
from bisik_protocol.crypto.handshake import ClientHandshake
from bisik_protocol.crypto.handshake_client import MAX_CANDIDATES
from bisik_protocol.crypto.mac import hello_key, with_mac
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError
from bisik_protocol.wire import handshake as wire
from tests.protocol.crypto.exchange import (
    ADDRESS,
    NOW,
    Exchange,
    answer_kex,
    client_refuses,
    flip,
    kex_content,
    make_client,
    make_server,
    refusal,
    refusal_of_kex,
    refusal_of_skex,
    seeded,
    skex_part,
    touched_up,
    with_kex_content,
)
from tests.support.keys import decryption_key, server_identity

# Points whose X25519 result is zero whatever the private key, RFC 7748 section 7 and Wycheproof; u mod p.
LOW_ORDER_POINTS = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ec" + "ff" * 30 + "7f"),
    bytes.fromhex("ed" + "ff" * 30 + "7f"),
    bytes.fromhex("ee" + "ff" * 30 + "7f"),
    bytes(31) + b"\x80",
]


# Changed on the way --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 31, 32, 700, 799, 800, 1215])
@pytest.mark.parametrize("bit", [0, 7])
def test_changed_share_of_the_client_makes_no_session(at: int, bit: int) -> None:
    """A flipped bit of X25519 or ML-KEM: the server refuses it, or the client refuses what came of it."""
    exchange = Exchange()
    content = kex_content(exchange.kex)
    changed = with_kex_content(exchange.kex, at, flip(content[at : at + 1], 0, bit))
    if refusal(lambda: answer_kex(exchange.server, changed)) == "kex":
        return
    skex, secrets = answer_kex(exchange.server, changed)
    assert secrets.channel_binding != exchange.server_secrets.channel_binding
    assert client_refuses(exchange.client, skex)


@pytest.mark.parametrize("at", [1216, 1400, 1599])
def test_changed_sealed_secret_is_refused_by_the_server(at: int) -> None:
    """OAEP notices every changed bit."""
    exchange = Exchange()
    content = kex_content(exchange.kex)
    assert refusal_of_kex(with_kex_content(exchange.kex, at, flip(content[at : at + 1], 0))) == "kex"


@pytest.mark.parametrize("pairs", [[(1, 1)], [(1, 1), (2, 1)], [(3, 1), (1, 1)], [(2, 1), (1, 1), (1, 1)]])
def test_changed_offer_makes_no_session(pairs: list[wire.VersionPair]) -> None:
    """Pairs that were dropped, swapped, replaced or added: the server signs what the client never offered."""
    exchange = Exchange(client=ClientHandshake(seeded(1), server_identity().fingerprint, offer=[(2, 1), (1, 1)]))
    second = touched_up(exchange.nonce, exchange.kex[1][: 74 + 800] + wire.encode_offer(pairs) + bytes(16))
    skex, _ = answer_kex(exchange.server, (exchange.kex[0], second))
    assert client_refuses(exchange.client, skex)


def test_offer_without_our_version_is_refused_in_the_kex_too() -> None:
    """The server does not take a HELLO's word for the KEX that follows."""
    exchange = Exchange()
    assert refusal_of_kex(with_kex_content(exchange.kex, 1601, bytes.fromhex("0002 0001"))) == "version"


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("at", [2, 33, 34, 400, 761])
def test_changed_skex_makes_no_session_and_the_genuine_one_still_does(part: int, at: int) -> None:
    """Share, ciphertext, sealed signature and tag alike."""
    exchange = Exchange()
    parts = list(exchange.skex)
    parts[part] = touched_up(exchange.nonce, flip(parts[part], at))
    assert client_refuses(exchange.client, (parts[0], parts[1]))
    assert exchange.client.receive_skex_untrusted(exchange.skex[part]) == exchange.server_secrets


def test_damage_is_noticed_where_it_arrives() -> None:
    """A flipped bit anywhere behind the type, with nobody to put the MAC right: the datagram is dropped alone."""
    exchange = Exchange()
    fresh = make_client()
    for at in range(1, 825):
        assert refusal(partial(fresh.receive_retry_untrusted, flip(exchange.retry, at))) == "mac"
    for part in exchange.skex:
        for at in range(2, 778):
            assert refusal_of_skex(exchange.client, flip(part, at)) == "mac"
    for part in exchange.kex:
        for at in range(1, len(part)):
            damaged = flip(part, at)
            reason = refusal(partial(exchange.server.read_kex_part_untrusted, damaged, ADDRESS, NOW))
            assert reason == ("size" if at == 73 else "cookie" if at < 73 else "mac")
    assert exchange.finish() == exchange.server_secrets


def test_changed_cookie_makes_no_session() -> None:
    """The client cannot tell a changed cookie in a RETRY, but the server can tell it in the KEX."""
    client, server = make_client(), make_server()
    hello = client.hello()
    changed = flip(server.answer_hello_untrusted(hello, ADDRESS, NOW), 30)
    client.receive_retry_untrusted(touched_up(hello[1:33], changed))
    client.start_exchange()
    assert refusal_of_kex(client.kex(), server) == "cookie"


@pytest.mark.parametrize("at", [84, 424 - 8, 484, 808 - 8])
def test_changed_modulus_in_a_retry_is_another_fingerprint(at: int) -> None:
    """Neither key of a pinned server can be replaced."""
    client = make_client()
    retry = make_server().answer_hello_untrusted(client.hello(), ADDRESS, NOW)
    presented = client.receive_retry_untrusted(touched_up(client.hello()[1:33], flip(retry, at)))
    assert presented.fingerprint != server_identity().fingerprint
    with pytest.raises(LocalProtocolError):
        client.start_exchange()


@pytest.mark.parametrize("at", [41, 424, 425, 808])
def test_malformed_modulus_in_a_retry_is_refused(at: int) -> None:
    """An even or short modulus never becomes a key object; the genuine RETRY is still taken."""
    client = make_client()
    retry = make_server().answer_hello_untrusted(client.hello(), ADDRESS, NOW)
    bit = 7 if at in (41, 425) else 0
    with pytest.raises(RemoteProtocolError, match=r"^key$"):
        client.receive_retry_untrusted(touched_up(client.hello()[1:33], flip(retry, at, bit)))
    client.receive_retry_untrusted(retry)
    client.start_exchange()


def test_cut_down_offer_chooses_no_older_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who rewrites a HELLO gets a RETRY of the older version, and with the client's own offer the KEX then fails."""
    client = ClientHandshake(seeded(1), server_identity().fingerprint, offer=[(2, 1), (1, 1)])
    cut_down = wire.encode_hello(client.hello()[1:33], wire.encode_offer([(1, 1)]))
    rewritten = with_mac(hello_key(server_identity().fingerprint), cut_down)
    server = make_server()
    monkeypatch.setattr(versions, "SUPPORTED", ((2, 1), (1, 1)))
    client.receive_retry_untrusted(server.answer_hello_untrusted(rewritten, ADDRESS, NOW))
    client.start_exchange()
    assert refusal_of_kex(client.kex(), server) == "version"


# Forged --------------------------------------------------------------------------------------------------------


def test_forgeries_from_off_the_path_change_nothing() -> None:
    """Someone who cannot read our datagrams cannot guess the nonce or the cookie, and costs no key operation."""
    exchange = Exchange()
    rng = seeded(9)
    for index in (0, 1):
        for _ in range(50):
            assert refusal_of_skex(exchange.client, skex_part(rng(32), index, rng(760))) == "mac"
            nonce = rng(32)
            forged = bytes([0x03]) + nonce + rng(40) + bytes([index]) + rng(805 if index else 800) + bytes(16)
            with pytest.raises(RemoteProtocolError, match=r"^cookie$"):
                exchange.server.read_kex_part_untrusted(touched_up(nonce, forged), ADDRESS, NOW)
    assert exchange.finish() == exchange.server_secrets


@pytest.mark.parametrize("forged_first", range(MAX_CANDIDATES))
@pytest.mark.parametrize("genuine_order", [(0, 1), (1, 0)])
def test_forged_parts_with_a_right_mac_do_not_stop_the_handshake(
    forged_first: int, genuine_order: tuple[int, int]
) -> None:
    """Someone who reads our datagrams adds parts before and between the genuine ones; the session still comes."""
    exchange = Exchange()
    client, rng = exchange.client, seeded(9)

    def inject(index: int) -> None:
        forged = skex_part(exchange.nonce, index, rng(760))
        assert refusal(lambda: client.receive_skex_untrusted(forged)) in {None, "skex"}

    for _ in range(forged_first):
        inject(0)
        inject(1)
    first, second = genuine_order
    assert refusal(lambda: client.receive_skex_untrusted(exchange.skex[first])) in {None, "skex"}
    for _ in range(MAX_CANDIDATES - 1):
        inject(first)
    assert client.receive_skex_untrusted(exchange.skex[second]) == exchange.server_secrets


def test_flood_of_forged_parts_is_bounded_and_over_when_it_stops() -> None:
    """What is kept for a part never exceeds its limit, and a retransmission completes after any flood."""
    exchange = Exchange()
    client, rng = exchange.client, seeded(9)
    client.receive_skex_untrusted(exchange.skex[0])
    for number in range(40):
        assert refusal_of_skex(client, skex_part(exchange.nonce, 1 - number % 2, rng(760))) == "skex"
        assert max(map(len, client._chunks)) <= MAX_CANDIDATES
    assert refusal_of_skex(client, exchange.skex[0]) == "skex"
    assert client.receive_skex_untrusted(exchange.skex[1]) == exchange.server_secrets


def test_one_forged_part_repeated_takes_one_place() -> None:
    """Copies of a forgery do not push the genuine part out."""
    exchange = Exchange()
    exchange.client.receive_skex_untrusted(exchange.skex[0])
    for _ in range(3 * MAX_CANDIDATES):
        assert exchange.client.receive_skex_untrusted(skex_part(exchange.nonce, 0, bytes(760))) is None
    assert exchange.client.receive_skex_untrusted(exchange.skex[1]) == exchange.server_secrets


def test_parts_of_two_answers_to_one_kex_do_not_mix() -> None:
    """Each half is genuine, the whole is not; with its own other half each would do."""
    exchange = Exchange()
    other, other_secrets = answer_kex(exchange.server, exchange.kex)
    exchange.client.receive_skex_untrusted(exchange.skex[0])
    assert refusal_of_skex(exchange.client, other[1]) == "skex"
    assert exchange.client.receive_skex_untrusted(other[0]) == other_secrets


def test_answers_to_another_attempt_are_refused() -> None:
    """Recorded RETRYs and SKEXs are bound to the nonce they answered."""
    recorded = Exchange()
    client = make_client(seed=7)
    with pytest.raises(RemoteProtocolError, match=r"^mac$"):
        client.receive_retry_untrusted(recorded.retry)
    fresh = Exchange(client=client)
    for part in recorded.skex:
        assert refusal_of_skex(fresh.client, part) == "mac"


def test_datagrams_reflected_to_their_sender_are_refused() -> None:
    """No side takes its own datagrams for the other's."""
    exchange = Exchange()
    for own in (exchange.hello, *exchange.kex, exchange.retry):
        assert refusal_of_skex(exchange.client, own) == "size"
    for own in (exchange.retry, *exchange.skex):
        with pytest.raises(RemoteProtocolError, match=r"^size$"):
            exchange.server.answer_hello_untrusted(own, ADDRESS, NOW)
        with pytest.raises(RemoteProtocolError, match=r"^(size|type)$"):
            exchange.server.read_kex_part_untrusted(own, ADDRESS, NOW)


# Bad keys and points -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", LOW_ORDER_POINTS, ids=lambda point: point.hex()[:6])
def test_low_order_point_is_refused_by_both_sides(point: bytes) -> None:
    """A share that fixes the X25519 secret is no share."""
    exchange = Exchange()
    assert refusal_of_kex(with_kex_content(exchange.kex, 0, point)) == "kex"
    forged = skex_part(exchange.nonce, 0, point + exchange.skex[0][34:762])
    assert client_refuses(exchange.client, (forged, exchange.skex[1]))


def test_malformed_mlkem_key_is_refused() -> None:
    """Coefficients of q and above are not reduced but refused, FIPS 203 section 7.2."""
    exchange = Exchange()
    assert refusal_of_kex(with_kex_content(exchange.kex, 32, b"\xff" * 1184)) == "kex"
    assert refusal_of_kex(with_kex_content(exchange.kex, 32, b"\x01\x0d\xd0")) == "kex"


def test_every_bad_sealed_secret_is_the_same_refusal() -> None:
    """Not OAEP at all, for another key, above the modulus, a secret of another length: one reason and no answer."""
    exchange = Exchange()
    encrypt = server_identity().public.encryption.encrypt
    bad = [
        bytes(384),
        b"\xff" * 384,
        seeded(5)(384),
        decryption_key(1).public.encrypt(bytes(32)),
        encrypt(b""),
        encrypt(bytes(31)),
        encrypt(bytes(33)),
    ]
    reasons = {refusal_of_kex(with_kex_content(exchange.kex, 1216, sealed)) for sealed in bad}
    assert reasons == {"kex"} == {refusal_of_kex(with_kex_content(exchange.kex, 0, bytes(32)))}
