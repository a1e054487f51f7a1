"""The handshake with someone in between: what they change, forge, repeat or relay never becomes a session."""

import pytest

from bisik_protocol.crypto import hello as hello_module
from bisik_protocol.crypto.handshake import ClientHandshake, ServerHandshake
from bisik_protocol.crypto.handshake_client import MAX_CANDIDATES
from bisik_protocol.crypto.identity import DecryptionKey, EncryptionKey, ServerIdentity, ServerPublic, SigningKey
from bisik_protocol.crypto.schedule import KeySchedule
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError
from bisik_protocol.wire import handshake as wire
from tests.protocol.crypto.exchange import (
    ADDRESS,
    NOW,
    Exchange,
    answer_kex,
    flip,
    make_client,
    make_server,
    refusal,
    seeded,
)
from tests.support.keys import decryption_key, device_key, server_identity

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


def refusal_of_skex(client: ClientHandshake, part: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        client.receive_skex_untrusted(part)
    return caught.value.reason


def refusal_of_kex(kex: tuple[bytes, bytes], server: ServerHandshake | None = None) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        answer_kex(server or make_server(), kex)
    return caught.value.reason


def client_refuses(client: ClientHandshake, skex: tuple[bytes, bytes]) -> bool:
    return client.receive_skex_untrusted(skex[0]) is None and refusal_of_skex(client, skex[1]) == "skex"


def with_kex_content(kex: tuple[bytes, bytes], at: int, value: bytes) -> tuple[bytes, bytes]:
    """The same KEX, cookie and all, with other bytes at this place of its content."""
    content = kex[0][74:] + kex[1][74:]
    content = content[:at] + value + content[at + len(value) :]
    return kex[0][:74] + content[:800], kex[1][:74] + content[800:]


# Changed on the way --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 31, 32, 700, 799, 800, 1215])
@pytest.mark.parametrize("bit", [0, 7])
def test_changed_share_of_the_client_makes_no_session(at: int, bit: int) -> None:
    """A flipped bit of X25519 or ML-KEM: the server refuses it, or the client refuses what came of it."""
    exchange = Exchange()
    content = exchange.kex[0][74:] + exchange.kex[1][74:]
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
    content = exchange.kex[0][74:] + exchange.kex[1][74:]
    assert refusal_of_kex(with_kex_content(exchange.kex, at, flip(content[at : at + 1], 0))) == "kex"


@pytest.mark.parametrize("pairs", [[(1, 1)], [(1, 1), (2, 1)], [(3, 1), (1, 1)], [(2, 1), (1, 1), (1, 1)]])
def test_changed_offer_makes_no_session(pairs: list[wire.VersionPair]) -> None:
    """Pairs that were dropped, swapped, replaced or added: the server signs what the client never offered."""
    exchange = Exchange(client=ClientHandshake(seeded(1), server_identity().fingerprint, offer=[(2, 1), (1, 1)]))
    changed = exchange.kex[1][: 74 + 800] + wire.encode_offer(pairs)
    skex, _ = answer_kex(exchange.server, (exchange.kex[0], changed))
    assert client_refuses(exchange.client, skex)


def test_offer_without_our_version_is_refused_in_the_kex_too() -> None:
    """The server does not take a HELLO's word for the KEX that follows."""
    exchange = Exchange()
    assert refusal_of_kex(with_kex_content(exchange.kex, 1601, bytes.fromhex("0002 0001"))) == "version"


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("at", [18, 49, 50, 400, 777])
def test_changed_skex_makes_no_session_and_the_genuine_one_still_does(part: int, at: int) -> None:
    """Share, ciphertext, sealed signature and tag alike."""
    exchange = Exchange()
    parts = list(exchange.skex)
    parts[part] = flip(parts[part], at)
    assert client_refuses(exchange.client, (parts[0], parts[1]))
    assert exchange.client.receive_skex_untrusted(exchange.skex[part]) == exchange.server_secrets


@pytest.mark.parametrize("at", [1, 16])
def test_changed_echo_is_refused(at: int) -> None:
    """In RETRY and in SKEX: it is not the answer to what this client asked."""
    exchange = Exchange()
    for part in exchange.skex:
        assert refusal_of_skex(exchange.client, flip(part, at)) == "nonce"
    with pytest.raises(RemoteProtocolError, match=r"^nonce$"):
        make_client().receive_retry_untrusted(flip(exchange.retry, at))


def test_changed_cookie_makes_no_session() -> None:
    """The client cannot tell a changed cookie in a RETRY, but the server can tell it in the KEX."""
    client, server = make_client(), make_server()
    client.receive_retry_untrusted(flip(server.answer_hello_untrusted(client.hello(), ADDRESS, NOW), 30))
    client.start_exchange()
    assert refusal_of_kex(client.kex(), server) == "cookie"


@pytest.mark.parametrize("at", [100, 440 - 8, 500, 824 - 8])
def test_changed_modulus_in_a_retry_is_another_fingerprint(at: int) -> None:
    """Neither key of a pinned server can be replaced."""
    client = make_client()
    retry = make_server().answer_hello_untrusted(client.hello(), ADDRESS, NOW)
    assert client.receive_retry_untrusted(flip(retry, at)).fingerprint != server_identity().fingerprint
    with pytest.raises(LocalProtocolError):
        client.start_exchange()


@pytest.mark.parametrize("at", [57, 440, 441, 824])
def test_malformed_modulus_in_a_retry_is_refused(at: int) -> None:
    """An even or short modulus never becomes a key object; the genuine RETRY is still taken."""
    client = make_client()
    retry = make_server().answer_hello_untrusted(client.hello(), ADDRESS, NOW)
    bit = 7 if at in (57, 441) else 0
    with pytest.raises(RemoteProtocolError, match=r"^key$"):
        client.receive_retry_untrusted(flip(retry, at, bit))
    client.receive_retry_untrusted(retry)
    client.start_exchange()


def test_cut_down_offer_chooses_no_older_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who rewrites a HELLO gets a RETRY of the older version, and with the client's own offer the KEX then fails."""
    client = ClientHandshake(seeded(1), server_identity().fingerprint, offer=[(2, 1), (1, 1)])
    covered = wire.encode_hello_without_mac(client.hello()[1:33], wire.encode_offer([(1, 1)]))
    key = hello_module.hello_key(server_identity().fingerprint)
    rewritten = covered + hello_module.hello_mac(key, covered)
    server = make_server()
    monkeypatch.setattr(hello_module, "SUPPORTED", ((2, 1), (1, 1)))
    client.receive_retry_untrusted(server.answer_hello_untrusted(rewritten, ADDRESS, NOW))
    client.start_exchange()
    assert refusal_of_kex(client.kex(), server) == "version"


# Forged --------------------------------------------------------------------------------------------------------


def test_forgeries_from_off_the_path_change_nothing() -> None:
    """Someone who cannot read our datagrams cannot guess the echo or the cookie, and costs no key operation."""
    exchange = Exchange()
    rng = seeded(9)
    for index in (0, 1):
        for _ in range(50):
            forged = bytes([0x04]) + rng(16) + bytes([index]) + rng(760)
            assert refusal_of_skex(exchange.client, forged) == "nonce"
            forged = bytes([0x03]) + rng(72) + bytes([index]) + rng(800 if index == 0 else 805)
            with pytest.raises(RemoteProtocolError, match=r"^cookie$"):
                exchange.server.read_kex_part_untrusted(forged, ADDRESS, NOW)
    assert exchange.finish() == exchange.server_secrets


@pytest.mark.parametrize("forged_first", range(MAX_CANDIDATES))
@pytest.mark.parametrize("genuine_order", [(0, 1), (1, 0)])
def test_forged_parts_with_the_right_echo_do_not_stop_the_handshake(
    forged_first: int, genuine_order: tuple[int, int]
) -> None:
    """Someone who reads our datagrams adds parts before and between the genuine ones; the session still comes."""
    exchange = Exchange()
    client, rng = exchange.client, seeded(9)

    def inject(index: int) -> None:
        forged = exchange.skex[index][:18] + rng(760)
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
        assert refusal_of_skex(client, exchange.skex[1 - number % 2][:18] + rng(760)) == "skex"
        assert max(map(len, client._chunks)) <= MAX_CANDIDATES
    assert refusal_of_skex(client, exchange.skex[0]) == "skex"
    assert client.receive_skex_untrusted(exchange.skex[1]) == exchange.server_secrets


def test_one_forged_part_repeated_takes_one_place() -> None:
    """Copies of a forgery do not push the genuine part out."""
    exchange = Exchange()
    exchange.client.receive_skex_untrusted(exchange.skex[0])
    for _ in range(3 * MAX_CANDIDATES):
        assert exchange.client.receive_skex_untrusted(exchange.skex[0][:18] + bytes(760)) is None
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
    with pytest.raises(RemoteProtocolError, match=r"^nonce$"):
        client.receive_retry_untrusted(recorded.retry)
    fresh = Exchange(client=client)
    for part in recorded.skex:
        assert refusal_of_skex(fresh.client, part) == "nonce"


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
    forged = exchange.skex[0][:18] + point + exchange.skex[0][50:]
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


# The order of checks -------------------------------------------------------------------------------------------


def test_nothing_is_encrypted_to_a_server_with_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fingerprint is compared before OAEP is touched."""
    monkeypatch.setattr(EncryptionKey, "encrypt", None)  # a call would be a TypeError
    client = make_client()
    impostor = make_server(server_identity(1))
    retry = impostor.answer_hello_untrusted(client.hello(anonymous=True), ADDRESS, NOW)
    presented = client.receive_retry_untrusted(retry)
    assert presented.fingerprint == server_identity(1).fingerprint
    with pytest.raises(LocalProtocolError):
        client.start_exchange()


def test_impostor_who_answers_first_does_not_displace_the_pinned_server() -> None:
    """The genuine RETRY is taken whenever it comes, and kept."""
    client = make_client()
    forged = make_server(server_identity(1)).answer_hello_untrusted(client.hello(anonymous=True), ADDRESS, NOW)
    client.receive_retry_untrusted(forged)
    client.receive_retry_untrusted(make_server().answer_hello_untrusted(client.hello(), ADDRESS, NOW))
    client.receive_retry_untrusted(forged)
    client.start_exchange()
    skex, secrets = answer_kex(make_server(), client.kex())
    client.receive_skex_untrusted(skex[0])
    assert client.receive_skex_untrusted(skex[1]) == secrets


def test_server_that_a_person_is_looking_at_cannot_be_swapped() -> None:
    """Without a pinned fingerprint the exchange goes to the keys that were shown, not to the latest to arrive."""
    client = ClientHandshake(seeded(1), None)
    client.receive_retry_untrusted(make_server().answer_hello_untrusted(client.hello(), ADDRESS, NOW))
    other = make_server(server_identity(1)).answer_hello_untrusted(client.hello(), ADDRESS, NOW)
    with pytest.raises(RemoteProtocolError, match=r"^retry$"):
        client.receive_retry_untrusted(other)
    client.start_exchange()
    skex, secrets = answer_kex(make_server(), client.kex())
    client.receive_skex_untrusted(skex[0])
    assert client.receive_skex_untrusted(skex[1]) == secrets


def test_no_session_key_exists_before_the_signature_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer with the decryption key alone gets its signature opened, refused, and nothing derived."""
    exchange = Exchange()
    skex, _ = answer_kex(decryptor_only(), exchange.kex)
    monkeypatch.setattr(KeySchedule, "session_secrets", None)  # a call would be a TypeError
    assert client_refuses(exchange.client, skex)


def test_server_does_no_rsa_before_cookie_and_shares_are_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dear operations come last."""
    exchange = Exchange()
    monkeypatch.setattr(DecryptionKey, "decrypt", None)  # a call would be a TypeError
    monkeypatch.setattr(SigningKey, "sign", None)
    assert refusal_of_kex((flip(exchange.kex[0], 40), exchange.kex[1])) == "cookie"
    assert refusal_of_kex(with_kex_content(exchange.kex, 0, bytes(32))) == "kex"
    assert refusal_of_kex(with_kex_content(exchange.kex, 32, b"\xff" * 1184)) == "kex"
    assert refusal_of_kex(with_kex_content(exchange.kex, 1601, b"\xff\xff\xff\xff")) == "version"


# Impersonation and relaying ------------------------------------------------------------------------------------


class Impostor(ServerIdentity):
    """Shows the moduli of server 0, whatever keys it really holds."""

    __slots__ = ()

    @property
    def public(self) -> ServerPublic:
        return server_identity().public


def decryptor_only() -> ServerHandshake:
    """Someone who stole the server's decryption key, and signs with a key of their own."""
    return make_server(Impostor(device_key(), server_identity().decryption))


def signer_only() -> ServerHandshake:
    """Someone who stole the signing key and not the decryption key."""
    return make_server(Impostor(server_identity().signing, decryption_key(1)))


def test_stolen_decryption_key_does_not_impersonate_the_server() -> None:
    """The signature is what proves the server."""
    exchange = Exchange()
    skex, secrets = answer_kex(decryptor_only(), exchange.kex)
    assert secrets.channel_binding != exchange.server_secrets.channel_binding
    assert client_refuses(exchange.client, skex)


def test_stolen_signing_key_does_not_read_what_was_encrypted() -> None:
    """The third secret keeps the session from whoever cannot decrypt."""
    assert refusal_of_kex(Exchange().kex, signer_only()) == "kex"


def test_signature_for_another_purpose_is_not_the_servers_proof() -> None:
    """What a server key signs in another context, such as a log's checkpoint, opens no handshake."""

    class Confused(SigningKey):
        __slots__ = ()

        def sign(self, context: bytes, message: bytes) -> bytes:
            return super().sign(b"bisik checkpoint v1", message)

    exchange = Exchange()
    confused = Confused(server_identity().signing._key)
    skex, _ = answer_kex(make_server(ServerIdentity(confused, server_identity().decryption)), exchange.kex)
    assert client_refuses(exchange.client, skex)


def test_malicious_server_cannot_pass_its_client_on_to_another_server() -> None:
    """Unknown key share: B re-encrypts its client's KEX to A. The client refuses A's answer, B gets no session."""
    server_a, server_b = make_server(server_identity(0)), make_server(server_identity(1))
    client = make_client(server_identity(1))
    client.receive_retry_untrusted(server_b.answer_hello_untrusted(client.hello(), ADDRESS, NOW))
    client.start_exchange()
    secret = decryption_key(1).decrypt((client.kex()[0][74:] + client.kex()[1][74:])[1216:1600])
    assert secret is not None, "B is the client's own server and may read this"
    passed_on = with_kex_content(client.kex(), 1216, server_identity(0).public.encryption.encrypt(secret))
    skex, secrets_at_a = answer_kex(server_a, passed_on)
    assert client_refuses(client, skex)
    own_skex, secrets_at_b = answer_kex(server_b, client.kex())
    assert secrets_at_a.channel_binding != secrets_at_b.channel_binding, "a login signed for B is worth nothing at A"
    assert refusal_of_skex(client, own_skex[0]) == "skex"
    assert client.receive_skex_untrusted(own_skex[1]) == secrets_at_b


def test_two_clients_through_one_relay_have_different_channel_bindings() -> None:
    """A relay that ends both handshakes itself cannot carry a login from one to the other."""
    left = Exchange(client=make_client(server_identity(1)), server=make_server(server_identity(1)))
    right = Exchange(client=make_client(server_identity(0)), server=make_server(server_identity(0)))
    assert left.server_secrets.channel_binding != right.server_secrets.channel_binding


def test_servers_with_one_common_key_are_different_servers() -> None:
    """Both moduli are in the transcript and in the fingerprint: sharing one of them confuses nobody."""
    mixed = ServerIdentity(server_identity(0).signing, decryption_key(1))
    exchange = Exchange()
    client = make_client(mixed)
    with pytest.raises(RemoteProtocolError, match=r"^hello-mac$"):
        exchange.server.answer_hello_untrusted(client.hello(), ADDRESS, NOW)
    client.receive_retry_untrusted(make_server(mixed).answer_hello_untrusted(client.hello(), ADDRESS, NOW))
    client.start_exchange()
    assert refusal_of_kex(client.kex(), make_server(server_identity(0))) == "kex"
