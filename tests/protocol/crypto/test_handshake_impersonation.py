"""Someone plays the server, or passes on what it says: the order of checks, stolen keys, relays."""

import pytest

from bisik_protocol.crypto.handshake import ClientHandshake, ServerHandshake
from bisik_protocol.crypto.identity import DecryptionKey, EncryptionKey, ServerIdentity, ServerPublic, SigningKey
from bisik_protocol.crypto.schedule import KeySchedule
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError
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
    refusal_of_kex,
    refusal_of_skex,
    seeded,
    with_kex_content,
)
from tests.support.keys import decryption_key, device_key, server_identity

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
    secret = decryption_key(1).decrypt(kex_content(client.kex())[1216:1600])
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
