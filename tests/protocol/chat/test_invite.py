"""Invites and endpoints as people type and paste them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bisik_protocol.chat.invite import DEFAULT_PORT, Invite, parse_endpoint, parse_invite, parse_port
from bisik_protocol.chat.messages import MAX_PASSWORD_BYTES

FINGERPRINT = bytes(range(32))
FINGERPRINT_TEXT = "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq"


@pytest.mark.parametrize(
    ("typed", "endpoint"),
    [
        ("chat.example.org:7", ("chat.example.org", 7)),
        ("chat.example.org", ("chat.example.org", DEFAULT_PORT)),
        (" chat.example.org:65535\n", ("chat.example.org", 65535)),
        ("localhost", ("localhost", DEFAULT_PORT)),
        ("my_box:1", ("my_box", 1)),
        ("_dev", ("_dev", DEFAULT_PORT)),
        ("example.org.", ("example.org.", DEFAULT_PORT)),
        ("münchen.example:9", ("münchen.example", 9)),
        ("127.0.0.1:9999", ("127.0.0.1", 9999)),
        ("[::1]:5", ("::1", 5)),
        ("[2001:db8::1]", ("2001:db8::1", DEFAULT_PORT)),
        ("2001:db8::1", ("2001:db8::1", DEFAULT_PORT)),
        ("[fe80::1%eth0]:5", ("fe80::1%eth0", 5)),
        ("[::ffff:192.0.2.7]:5", ("::ffff:192.0.2.7", 5)),
    ],
)
def test_an_endpoint_is_read_as_typed(typed: str, endpoint: tuple[str, int]) -> None:
    """A name or address with or without a port, IPv6 with or without brackets."""
    assert parse_endpoint(typed) == endpoint


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "missing"),
        ("   ", "missing"),
        (":9999", "name or address is missing"),
        ("host:", "port is missing"),
        ("host:99999", "no such port"),
        ("host:0", "no such port"),
        ("host:13121213131", "no such port"),
        ("host:" + "9" * 9000, "no such port"),
        ("host:abc", "a number from 1 to 65535"),
        ("host:-1", "a number from 1 to 65535"),
        ("host:９９", "a number from 1 to 65535"),
        ("host:1:2", "more than one colon"),
        ("13121213131", "not an address"),
        ("256.1.1.1", "not an address"),
        ("1.2.3:4", "not an address"),
        ("a b", "neither a host name nor an address"),
        ("a..b", "neither a host name nor an address"),
        ("-a", "neither a host name nor an address"),
        ("a/b", "neither a host name nor an address"),
        ("user@host", "neither a host name nor an address"),
        ("ho\x1b[31mst", "neither a host name nor an address"),
        ("a" * 64, "neither a host name nor an address"),
        ("a." * 127 + "a", "neither a host name nor an address"),
        ("[::1", "not closed"),
        ("[::1]9999", "not closed"),
        ("[::1]:", "port is missing"),
        ("[chat.example.org]:1", "not an IPv6 address"),
        ("[fe80::1%\x1b[31m]:1", "not an IPv6 address"),
    ],
)
def test_a_mistyped_endpoint_yields_one_sentence(typed: str, says: str) -> None:
    """The sentence says what is wrong, and is itself fit for any terminal."""
    with pytest.raises(ValueError, match=says) as caught:
        parse_endpoint(typed)
    assert str(caught.value).isprintable()
    assert str(caught.value).endswith(".")


def test_a_daemon_may_let_the_system_choose_the_port() -> None:
    """Port 0 is for listening only."""
    assert parse_endpoint("127.0.0.1:0", lowest_port=0) == ("127.0.0.1", 0)
    assert parse_port("0", lowest=0) == 0
    with pytest.raises(ValueError, match="no such port"):
        parse_port("0")


@pytest.mark.parametrize(
    ("invite", "link"),
    [
        (Invite(host="chat.example.org"), "bisik://chat.example.org:9999/"),
        (
            Invite(host="192.0.2.7", port=7, fingerprint=FINGERPRINT, join_password="k7mq-2hfd"),
            f"bisik://192.0.2.7:7/?fp={FINGERPRINT_TEXT}&join=k7mq-2hfd",
        ),
        (Invite(host="2001:db8::1", fingerprint=FINGERPRINT), f"bisik://[2001:db8::1]:9999/?fp={FINGERPRINT_TEXT}"),
        (Invite(host="fe80::1%eth0", port=7), "bisik://[fe80::1%25eth0]:7/"),
        (Invite(host="h", join_password="a+b &=#%/?"), "bisik://h:9999/?join=a%2Bb%20%26%3D%23%25%2F%3F"),
        (Invite(host="h", join_password=""), "bisik://h:9999/?join="),
    ],
)
def test_an_invite_is_written_and_read_back(invite: Invite, link: str) -> None:
    """The link's exact form is a contract with other programs."""
    assert invite.url() == link
    assert parse_invite(link) == invite


@given(
    host=st.sampled_from(["h", "chat.example.org", "::1", "192.0.2.7", "münchen.example"]),
    port=st.integers(1, 65535),
    fingerprint=st.none() | st.binary(min_size=32, max_size=32),
    join_password=st.none() | st.text(st.characters(codec="utf-8"), max_size=60),
)
def test_any_invite_survives_the_link(
    host: str, port: int, fingerprint: bytes | None, join_password: str | None
) -> None:
    """Whatever an operator chose as a password, the guest gets it."""
    invite = Invite(host=host, port=port, fingerprint=fingerprint, join_password=join_password)
    assert parse_invite(invite.url()) == invite


@pytest.mark.parametrize(
    "pasted",
    [
        "  bisik://h:7/?join=x\n",
        "<bisik://h:7/?join=x>",
        "'bisik://h:7/?join=x'",
        "BISIK://h:7/?join=x",
        "bisik://h:7?join=x",
        "bisik://h:7/?join=x&since=2",
    ],
)
def test_a_pasted_invite_is_understood(pasted: str) -> None:
    """Quotes, brackets, white space, capitals and fields of later versions do not matter."""
    assert parse_invite(pasted) == Invite(host="h", port=7, join_password="x")


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("", "begins with bisik://"),
        ("https://h/", "begins with bisik://"),
        ("h:9999", "begins with bisik://"),
        ("bisik://", "name or address is missing"),
        ("bisik:///?join=geheim", "name or address is missing"),
        ("bisik://h:99999/?join=geheim", "no such port"),
        ("bisik://h/geheim?join=geheim", "between the server and the question mark"),
        ("bisik://h/?fp=zz&join=geheim", "fingerprint"),
        (f"bisik://h/?fp={FINGERPRINT_TEXT[:-1]}&join=geheim", "fingerprint"),
        (f"bisik://h/?fp={FINGERPRINT_TEXT}&fp={FINGERPRINT_TEXT}", "twice"),
        ("bisik://h/?join=geheim&join=geheim", "twice"),
        ("bisik://h/?join=%ff", "damaged"),
        ("bisik://h/?geheim", "damaged"),
        ("bisik://h/?join=" + "g" * (MAX_PASSWORD_BYTES + 1), "too long"),
        ("bisik://h/?join=" + "g" * 5000, "too long"),
        ("bisik://h/?join=ge\x1bheim", "characters that no link has"),
        ("bisik://h/?join=ge\ud800heim", "characters that no link has"),
    ],
)
def test_a_damaged_invite_yields_one_sentence_without_the_secret(link: str, says: str) -> None:
    """An error may be logged or shown on a projector; the password may not."""
    with pytest.raises(ValueError, match=says) as caught:
        parse_invite(link)
    assert "geheim" not in str(caught.value)
    assert str(caught.value).isprintable()


@given(st.text(max_size=200).map(lambda text: "bisik://" + text) | st.text(max_size=200))
@example("bisik://h/?join=%ed%a0%80")
@example("bisik://[%5d]:1/")
def test_any_text_is_an_invite_or_a_sentence(text: str) -> None:
    """Nothing but ValueError with our own sentence leaves the parser."""
    refusal: ValueError | None = None
    try:
        assert parse_invite(parse_invite(text).url()) == parse_invite(text)
    except ValueError as error:
        refusal = error
    assert refusal is None or (type(refusal) is ValueError and str(refusal).endswith("."))


def test_the_password_is_not_in_the_representation() -> None:
    """A traceback or a debug line does not give an invite's secret away."""
    assert "geheim" not in repr(Invite(host="h", join_password="geheim"))
