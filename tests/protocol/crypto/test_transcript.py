"""The transcript: the code hashes what the model in docs/formal says, and what the wire carried."""

import re
from pathlib import Path

import pytest

from bisik_protocol.crypto import primitives
from bisik_protocol.crypto.primitives import sha256
from bisik_protocol.crypto.transcript import Th1Fields, Th2Fields, Th3Fields, transcript_hash
from tests.protocol.crypto.exchange import Exchange, kex_content
from tests.support.keys import server_identity

MODELS = sorted((Path(__file__).parents[3] / "docs" / "formal").glob("*.pv"))

# How the two sides of the model call what the code calls by one name.
CODE_NAMES = {
    "HELLO": "hello",
    "cn": "client_nonce",
    "offer": "offer",
    "offer2": "offer",
    "RETRY": "retry",
    "cookie": "cookie",
    "pks": "server_signing_modulus",
    "spub(skS)": "server_signing_modulus",
    "pke": "server_encryption_modulus",
    "epub(dkS)": "server_encryption_modulus",
    "KEX": "kex",
    "X": "client_x25519",
    "kpub(d)": "client_mlkem_key",
    "ek": "client_mlkem_key",
    "oct": "sealed_secret",
    "th1": "th1",
    "Y": "server_x25519",
    "ct": "mlkem_ciphertext",
    "th2": "th2",
    "sg": "signature",
}
FIELD_LISTS = {"th1": Th1Fields._fields, "th2": Th2Fields._fields, "th3": Th3Fields._fields}


def hashed_in_model(model: str, name: str) -> list[list[str]]:
    """The fields of every `let NAME = h((...)) in` of a model."""
    return [inside.split(", ") for inside in re.findall(rf"let {name} = h\(\((.*?)\)\) in", model)]


def test_both_models_are_there() -> None:
    """The comparisons below have something to compare with."""
    assert [path.name for path in MODELS] == ["agreement.pv", "secrecy.pv"]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
@pytest.mark.parametrize("name", FIELD_LISTS)
def test_code_hashes_the_fields_of_the_model_in_its_order(path: Path, name: str) -> None:
    """Client and server of each model hash the same list of fields as the code."""
    in_model = hashed_in_model(path.read_text(encoding="utf-8"), name)
    assert len(in_model) == 2, "one in the client's process and one in the server's"
    for fields in in_model:
        assert [CODE_NAMES[field] for field in fields] == list(FIELD_LISTS[name])


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
@pytest.mark.parametrize(
    "line",
    [
        "let sec = (exp(Y,x), kdecap(ct, d), s1) in",
        "let sec = (exp(X,y), kss(ek, r), s1) in",
        "let sg = sign((SA, th2), skS) in",
        "let sg = sdec(e1, kdf(sec, (hss, th2)), th2) in",
        "if verify(sg, pks) = (SA, th2) then",
        "out(c, (SKEX, Y, ct, senc(sg, kdf(sec, (hss, th2)), th2)));",
        "let ka = kdf(sec, (apc, th3)) in let kb = kdf(sec, (aps, th3)) in",
    ],
)
def test_model_binds_keys_and_signature_as_the_key_schedule_does(path: Path, line: str) -> None:
    """The lines of the model that `schedule.py` and both sides are written after have not changed."""
    assert line in path.read_text(encoding="utf-8")


def split_fields(hashed: bytes) -> list[bytes]:
    fields = []
    while hashed:
        end = 2 + int.from_bytes(hashed[:2])
        fields.append(hashed[2:end])
        hashed = hashed[end:]
    return fields


def test_what_is_hashed_is_what_was_on_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """th1 is over the bytes of HELLO, RETRY and KEX, th2 over those of SKEX, th3 is the channel binding."""
    hashed: list[bytes] = []

    def recording_sha256(data: bytes) -> bytes:
        hashed.append(data)
        return sha256(data)

    monkeypatch.setattr(primitives, "sha256", recording_sha256)
    exchange = Exchange()
    secrets = exchange.finish()
    kex = kex_content(exchange.kex)
    skex = exchange.skex[0][2:762] + exchange.skex[1][2:762]
    retry = exchange.retry
    th1_fields = [
        *(b"\x01", exchange.hello[1:33], exchange.hello[33:38]),
        *(b"\x02", retry[1:41], retry[41:425], retry[425:809]),
        *(b"\x03", kex[:32], kex[32:1216], kex[1216:1600]),
    ]
    assert kex[1600:] == exchange.hello[33:38], "the offer, again"
    by_client, by_server, *rest = (split_fields(data) for data in hashed)
    assert by_client == by_server == th1_fields
    server_th2, server_th3, client_th2, client_th3 = rest
    assert server_th2 == client_th2 == [sha256(hashed[0]), skex[:32], skex[32:1120]]
    assert server_th3 == client_th3
    th2, signature = server_th3
    assert th2 == sha256(hashed[2])
    assert server_identity().public.signing.verify(b"bisik server v1", th2, signature)
    assert secrets is not None
    assert secrets.channel_binding == sha256(hashed[3])


def test_hash_is_fixed_to_the_byte() -> None:
    """Lengths in two bytes before each field, SHA-256 over all of it."""
    assert transcript_hash(Th3Fields(th2=b"a" * 32, signature=b"b" * 384)) == sha256(
        b"\x00\x20" + b"a" * 32 + b"\x01\x80" + b"b" * 384
    )


def test_bytes_cannot_move_between_fields() -> None:
    """Two different lists of fields never hash alike, wherever their bytes are cut."""
    cuts = {transcript_hash(Th3Fields(th2=b"ab" * 20, signature=b"ab" * 20))}
    for cut in range(80):
        whole = b"ab" * 40
        cuts.add(transcript_hash(Th3Fields(th2=whole[:cut], signature=whole[cut:])))
    assert len(cuts) == 80
