"""Targets of the core: whatever comes from the network, before and behind its authentication."""

from functools import cache

from bisik_protocol.chat.checkpoint import (
    Checkpoint,
    origin_of,
    read_checkpoint_untrusted,
    sign_checkpoint,
    verify_checkpoint_untrusted,
)
from bisik_protocol.chat.messages import (
    decode_entry_untrusted,
    decode_from_daemon_untrusted,
    decode_from_member_untrusted,
    decode_request_untrusted,
)
from bisik_protocol.chat.sealed_text import open_statement_untrusted, seal_statement
from bisik_protocol.chat.sealing_bundle import SEALING_KEY_CONTEXT, check_bundle_untrusted, make_bundle
from bisik_protocol.chat.statements import (
    Kind,
    SealedStatement,
    decode_any_statement_untrusted,
    decode_statement_untrusted,
    encode_statement,
)
from bisik_protocol.crypto.identity import ServerPublic
from bisik_protocol.crypto.mac import hello_key, nonce_key, with_mac
from bisik_protocol.crypto.protection import PacketOpener, PacketSealer
from bisik_protocol.crypto.versions import choose_version_untrusted
from bisik_protocol.transport.client import ClientEndpoint
from bisik_protocol.transport.config import CLIENT_CONFIG, SERVER_CONFIG
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.server import ServerEndpoint
from bisik_protocol.wire.frames import parse_frames_untrusted
from bisik_protocol.wire.handshake import (
    parse_hello_untrusted,
    parse_kex_content_untrusted,
    parse_kex_part_untrusted,
    parse_retry_untrusted,
    parse_skex_part_untrusted,
    read_offer_untrusted,
)
from bisik_protocol.wire.packets import data_header, data_prefix, encode_reset, parse_reset_untrusted
from bisik_protocol.wire.varint import read_varint_untrusted
from tests.fuzz.seeds import every_frame, every_message
from tests.fuzz.target import Target, edited, join, split, without_mac
from tests.protocol.crypto.exchange import COOKIE_KEY, NOW, Exchange, kex_content, make_client, make_server, seeded
from tests.support.keys import device_key, sealing_key, server_identity

CLIENT, SERVER = ("192.0.2.7", 40001), ("192.0.2.1", 9999)
SECRET = bytes(32)


@cache
def exchange() -> Exchange:
    return Exchange()


# The handshake -----------------------------------------------------------------------------------------------------


def _crypto_of_server(data: bytes) -> None:
    """Everything that a server does with a datagram or a whole KEX, with the MAC as it came and put right."""
    server = make_server()
    fixed = [data, with_mac(hello_key(server_identity().fingerprint), data), with_mac(nonce_key(data[1:33]), data)]
    for each in fixed:
        for take in (server.answer_hello_untrusted, server.read_kex_part_untrusted):
            _refused(take, each, b"192.0.2.7:40001", NOW)
    server.complete_untrusted(bytes(32), bytes(40), data[:800], data[800:])


def _crypto_of_client(data: bytes) -> None:
    client = make_client()
    _refused(client.receive_retry_untrusted, data)
    client.receive_retry_untrusted(with_mac(nonce_key(exchange().nonce), data))


def _refused(take: object, *arguments: object) -> None:
    Target(name="", take=lambda _: take(*arguments)).run(b"")  # type: ignore[operator]


def _pair() -> tuple[ClientEndpoint, ServerEndpoint]:
    client = ClientEndpoint(SERVER, server_identity().fingerprint, random=seeded(1), now=NOW)
    server = ServerEndpoint(identity=server_identity(), cookie_key=COOKIE_KEY, reset_key=bytes(32), random=seeded(2))
    return client, server


def _mended(datagram: bytes, was: bytes) -> bytes:
    """With a good MAC again, if it is one of a handshake and was changed."""
    if datagram == was or not datagram or datagram[0] > 4:
        return datagram
    key = hello_key(server_identity().fingerprint) if datagram[0] == 1 else nonce_key(exchange().nonce)
    return with_mac(key, without_mac(datagram))


def _meeting(data: bytes) -> None:
    """A client and a server, and somebody on the path who knows the nonce and changes what the script says."""
    client, server = _pair()
    script, turn = split(data), 0
    for step in range(8):
        now = NOW + step
        for sender, receiver, address in ((client, server, CLIENT), (server, client, SERVER)):
            sent = [each for each, _ in sender.datagrams_to_send(now)]
            if sent:
                part = join([(which // 16, patch) for which, patch in script if which % 16 == turn])
                for was, got in zip(sent, edited(sent, part), strict=True):
                    receiver.receive_datagram(_mended(got, was), address, now)
                    if got != was:
                        receiver.receive_datagram(got, address, now)
            turn += 1
    if client.connection is not None:
        client.receive_datagram(encode_reset(client.connection._secrets.server_connection_id, bytes(16)), SERVER, now)
    for deadline in (client.next_timeout(), server.next_timeout()):
        if deadline is not None:
            client.handle_timeout(deadline)
            server.handle_timeout(deadline)


def _strangers(data: bytes) -> None:
    """Datagrams from anybody at endpoints that know nobody."""
    client, server = _pair()
    client.datagrams_to_send(NOW)
    for _, datagram in split(data):
        server.receive_datagram(datagram, CLIENT, NOW)
        client.receive_datagram(datagram, SERVER, NOW)
        server.receive_datagram(with_mac(nonce_key(datagram[1:33]), datagram), CLIENT, NOW)
        assert len(server.datagrams_to_send(NOW)) <= 2


# A connection ------------------------------------------------------------------------------------------------------


def _connection(data: bytes) -> None:
    """Frames of a peer that holds the keys, at a client and at a server; what they answer; and time that passes."""
    for is_client in (True, False):
        secrets = exchange().server_secrets
        connection = Connection(
            is_client=is_client,
            secrets=secrets,
            address=SERVER if is_client else CLIENT,
            now=NOW,
            random=seeded(3),
            config=CLIENT_CONFIG if is_client else SERVER_CONFIG,
        )
        sealer = PacketSealer(secrets.server_traffic if is_client else secrets.client_traffic)
        own_id = secrets.client_connection_id if is_client else secrets.server_connection_id
        connection.send(0, b"something that can be acknowledged")
        now, number = NOW, 0
        for step, frames in split(data):
            number += 1 + step % 4
            header = data_header(data_prefix(own_id, 0), number)
            connection.receive_datagram(header + sealer.seal(number, header, frames), (SERVER, CLIENT)[step % 2], now)
            sent = sum(len(each) for each, _ in connection.datagrams_to_send(now))
            assert sent <= 40_000
            while step & 0x80 and (event := connection.next_event()) is not None:
                assert event is not None
            now += step / 16
            connection.handle_timeout(now)


def _protection(data: bytes) -> None:
    opener = PacketOpener(SECRET)
    sealer = PacketSealer(SECRET)
    for step, part in split(data):
        number = int.from_bytes(part[:7])
        _refused(opener.open_untrusted, step & 1, number, part[7:9], part)
        if step & 2:
            sealer.ratchet()
        if sealer._last < step < sealer._end:
            opener.open_untrusted(sealer.phase, step, b"h", sealer.seal(step, b"h", part))


# Chat --------------------------------------------------------------------------------------------------------------


def _checkpoint() -> bytes:
    origin = origin_of(server_identity().fingerprint)
    return sign_checkpoint(Checkpoint(origin=origin, size=7, root=bytes(32)), server_identity().signing)


def _verified_checkpoint(data: bytes) -> None:
    """As it came, and with this server's signature under any text."""
    origin, key = origin_of(server_identity().fingerprint), server_identity().signing
    _refused(verify_checkpoint_untrusted, edited([_checkpoint()], data)[0], origin, key.public)
    verify_checkpoint_untrusted(data, origin, key.public)


def _sealed_statement() -> bytes:
    recipients = {device_key(key).public.key_hash: sealing_key(key).public for key in (0, 1)}
    sealed = seal_statement(
        room="@sari+tama",
        author=device_key().public.key_hash,
        seq=1,
        time=0,
        kind=Kind.SAY,
        text="halo",
        previous=bytes(32),
        recipients=recipients,
        random=seeded(4),
    )
    return encode_statement(sealed)


def _opened(data: bytes) -> None:
    """A sealed statement, changed by the script or anything, at a device that it is for."""
    for each in (*edited([_sealed_statement()], data), data):
        statement = decode_any_statement_untrusted(each)
        if isinstance(statement, SealedStatement):
            open_statement_untrusted(statement, device_key().public.key_hash, sealing_key())


def _bundle(data: bytes) -> None:
    """As it came, and signed by the device whose it says that it is."""
    device = device_key()
    _refused(check_bundle_untrusted, device.public, data[384:], data[:384])
    check_bundle_untrusted(device.public, data[384:], device.sign(SEALING_KEY_CONTEXT, data[384:]))


def _bundle_seed() -> bytes:
    bundle, signature = make_bundle(device_key(), sealing_key().public)
    return signature + bundle


def _versions(data: bytes) -> None:
    choose_version_untrusted(read_offer_untrusted(data, 0)[0])


def _moduli(data: bytes) -> None:
    ServerPublic.from_moduli_untrusted(data[:384], data[384:])


def _handshake_seeds() -> list[bytes]:
    whole = exchange()
    return [without_mac(each) for each in (whole.hello, whole.retry, *whole.kex, *whole.skex)] + [
        kex_content(whole.kex)
    ]


def _datagrams() -> list[bytes]:
    whole = exchange()
    return [whole.hello, whole.retry, *whole.kex, *whole.skex]


def _conversations() -> list[bytes]:
    """Each frame alone, and messages in order that the application takes."""
    alone = [join([(1, frame)]) for frame in every_frame()]
    return [*alone, join([(0x81, frame) for frame in every_frame()[2:6]])]


TARGETS = [
    Target(
        name="varint", take=lambda data: read_varint_untrusted(data, 0), seeds=lambda: [b"\x01", b"\xc0" + bytes(7)]
    ),
    Target(name="frames", take=parse_frames_untrusted, seeds=every_frame),
    Target(name="hello", take=parse_hello_untrusted, seeds=_datagrams),
    Target(name="retry", take=parse_retry_untrusted, seeds=_datagrams),
    Target(name="kex-part", take=parse_kex_part_untrusted, seeds=_datagrams),
    Target(name="kex-content", take=parse_kex_content_untrusted, seeds=lambda: [kex_content(exchange().kex)]),
    Target(name="skex-part", take=parse_skex_part_untrusted, seeds=_datagrams),
    Target(name="reset", take=parse_reset_untrusted, seeds=lambda: [encode_reset(bytes(8), bytes(16))]),
    Target(name="versions", take=_versions, seeds=lambda: [b"\x01\x00\x01\x00\x01", b"\x01\x00\x02\x00\x01"]),
    Target(
        name="moduli",
        take=_moduli,
        seeds=lambda: [server_identity().public.signing.modulus + device_key().public.modulus],
    ),
    Target(name="handshake-server", take=_crypto_of_server, seeds=_handshake_seeds),
    Target(name="handshake-client", take=_crypto_of_client, seeds=_handshake_seeds),
    Target(name="meeting", take=_meeting, seeds=lambda: [b"", *(join([(n, b"\x00\x28x")]) for n in range(64))]),
    Target(name="strangers", take=_strangers, seeds=lambda: [join([(0, each) for each in _datagrams()])]),
    Target(name="connection", take=_connection, seeds=_conversations),
    Target(name="protection", take=_protection, seeds=lambda: [join([(n, b"payload") for n in (1, 6, 8, 10)])]),
    Target(name="request", take=decode_request_untrusted, seeds=every_message),
    Target(name="from-member", take=decode_from_member_untrusted, seeds=every_message),
    Target(name="from-daemon", take=decode_from_daemon_untrusted, seeds=every_message),
    Target(name="entry", take=decode_entry_untrusted, seeds=every_message),
    Target(name="statement", take=decode_statement_untrusted, seeds=every_message),
    Target(name="sealed", take=_opened, seeds=lambda: [b"", _sealed_statement()]),
    Target(name="bundle", take=_bundle, seeds=lambda: [_bundle_seed()]),
    Target(name="checkpoint", take=read_checkpoint_untrusted, seeds=lambda: [_checkpoint()]),
    Target(name="signed-checkpoint", take=_verified_checkpoint, seeds=lambda: [b"", _checkpoint()]),
]
