"""Who gets an answer to a HELLO, and which version is chosen."""

import hashlib
import hmac

import pytest

from bisik_protocol.crypto.handshake import ClientHandshake
from bisik_protocol.crypto.versions import choose_version_untrusted
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.wire.handshake import VersionPair
from tests.protocol.crypto.exchange import ADDRESS, NOW, flip, make_client, make_server, seeded
from tests.support.keys import server_identity


def refusal(hello: bytes, *, allow_unpinned: bool = True) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        make_server(allow_unpinned=allow_unpinned).answer_hello_untrusted(hello, ADDRESS, NOW)
    return caught.value.reason


# The MAC -------------------------------------------------------------------------------------------------------


def test_mac_is_hmac_under_the_fingerprint() -> None:
    """The last 16 bytes, from another implementation of HMAC."""
    hello = make_client().hello()
    assert hello[1184:] == hmac.digest(server_identity().fingerprint, hello[:1184], hashlib.sha256)[:16]


def test_mac_without_a_fingerprint_is_under_the_fixed_key() -> None:
    """Whether there is no fingerprint, or there is one and the client asks anonymously."""
    key = b"bisik v1 hello without a fingerprint"
    for hello in (ClientHandshake(seeded(1), None).hello(), make_client().hello(anonymous=True)):
        assert hello[1184:] == hmac.digest(key, hello[:1184], hashlib.sha256)[:16]


def test_hello_repeats_itself() -> None:
    """A retransmitted HELLO is the same bytes, and the anonymous one has the same nonce."""
    client = make_client()
    assert client.hello() == client.hello()
    assert client.hello()[:1184] == client.hello(anonymous=True)[:1184]


def test_client_that_knows_the_fingerprint_is_answered() -> None:
    """By a server that answers everyone and by one that does not."""
    for allow_unpinned in (True, False):
        server = make_server(allow_unpinned=allow_unpinned)
        assert len(server.answer_hello_untrusted(make_client().hello(), ADDRESS, NOW)) == 825


def test_server_may_refuse_those_without_its_fingerprint() -> None:
    """Then nobody without an invite can tell that anything listens."""
    hello = ClientHandshake(seeded(1), None).hello()
    assert len(make_server().answer_hello_untrusted(hello, ADDRESS, NOW)) == 825
    assert refusal(hello, allow_unpinned=False) == "hello-mac"


def test_hello_to_another_server_is_not_answered() -> None:
    """A fingerprint is the key to one server only."""
    assert refusal(make_client(server_identity(1)).hello()) == "hello-mac"


@pytest.mark.parametrize("at", [1, 32, 33, 34, 37, 38, 600, 1183, 1184, 1199])
def test_changed_bit_in_a_hello_is_not_answered(at: int) -> None:
    """Nonce, offer, padding and MAC alike."""
    assert refusal(flip(make_client().hello(), at)) == "hello-mac"


def test_hello_of_another_size_or_type_is_not_answered() -> None:
    """Before any MAC is computed."""
    hello = make_client().hello()
    assert refusal(hello[:-1]) == refusal(hello + b"\0") == refusal(b"") == "size"
    assert refusal(b"\x03" + hello[1:]) == "type"


# The version ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([(1, 1)], (1, 1)),
        ([(2, 1), (1, 1)], (1, 1)),
        ([(1, 1), (2, 1)], (1, 1)),
        ([(9, 9)] * 7 + [(1, 1)], (1, 1)),
        ([(1, 2)], None),
        ([(2, 1)], None),
        ([(0, 0)], None),
        ([(0x0101, 0)], None),
        ([(1, 2), (2, 1)], None),
    ],
)
def test_version_is_chosen_from_whole_pairs(offered: list[VersionPair], chosen: VersionPair | None) -> None:
    """A version of one pair and a suite of another make no common ground."""
    if chosen is not None:
        assert choose_version_untrusted(offered) == chosen
        return
    with pytest.raises(RemoteProtocolError, match=r"^version$"):
        choose_version_untrusted(offered)


def test_offer_without_a_common_pair_is_not_answered() -> None:
    """A HELLO may be well formed and from a friend, and still speak nothing that we do."""
    client = ClientHandshake(seeded(1), server_identity().fingerprint, offer=[(2, 1), (1, 2)])
    assert refusal(client.hello()) == "version"


def test_offer_of_more_than_we_speak_is_answered() -> None:
    """A newer client reaches an older server."""
    client = ClientHandshake(seeded(1), server_identity().fingerprint, offer=[(7, 1), (1, 1)])
    assert make_server().answer_hello_untrusted(client.hello(), ADDRESS, NOW)[0] == 0x02
