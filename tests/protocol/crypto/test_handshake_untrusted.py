"""Whatever bytes arrive, in whatever state: the handshake raises RemoteProtocolError and nothing else."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisik_protocol.crypto.handshake import ClientHandshake, SessionSecrets
from bisik_protocol.crypto.mac import hello_key, with_mac
from tests.protocol.crypto.exchange import (
    ADDRESS,
    NOW,
    Exchange,
    make_client,
    make_server,
    refusal,
    seeded,
    touched_up,
)
from tests.support.keys import server_identity

FIXED_REASONS = {
    *("size", "type", "hello-mac", "offer", "padding", "version", "cookie", "kex"),
    *("mac", "key", "retry", "late", "skex"),
}


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    return Exchange()


def mutations(good: bytes) -> st.SearchStrategy[bytes]:
    """Random bytes of any size; and the good ones cut, lengthened, or with a run of bytes overwritten."""

    def overwrite(at: int, patch: bytes) -> bytes:
        return (good[:at] + patch + good[at + len(patch) :])[: len(good)]

    position = st.integers(0, len(good))
    return st.one_of(
        st.binary(max_size=1300),
        st.builds(lambda at: good[:at], position),
        st.builds(lambda tail: good + tail, st.binary(max_size=20)),
        st.builds(overwrite, position, st.binary(min_size=1, max_size=40)),
        st.builds(lambda body: good[:1] + body, st.binary(min_size=len(good) - 1, max_size=len(good) - 1)),
    )


@given(data=st.data())
def test_any_hello_is_answered_smaller_or_refused(exchange: Exchange, data: st.DataObject) -> None:
    """A RETRY is at most 0.7 of what asked for it, and anything else is the one error."""
    hello = data.draw(mutations(exchange.hello))
    answers: list[bytes] = []
    reason = refusal(lambda: answers.append(exchange.server.answer_hello_untrusted(hello, ADDRESS, NOW)))
    assert reason in FIXED_REASONS or len(answers[0]) <= 0.7 * len(hello)


@given(data=st.data())
def test_any_hello_with_a_right_mac_is_answered_or_refused(exchange: Exchange, data: st.DataObject) -> None:
    """The MAC is no proof of good will: everyone with an invite can make it."""
    covered = data.draw(mutations(exchange.hello[:1184])).ljust(1184, b"\0")[:1184]
    hello = with_mac(hello_key(server_identity().fingerprint), covered)
    reason = refusal(lambda: exchange.server.answer_hello_untrusted(hello, ADDRESS, NOW))
    assert reason in {None, "type", "offer", "padding", "version"}


@given(data=st.data(), index=st.integers(0, 1))
def test_any_kex_part_is_read_or_refused(exchange: Exchange, data: st.DataObject, index: int) -> None:
    """What is taken has the cookie that was given out; anything else is the one error."""
    part = data.draw(mutations(exchange.kex[index]))
    for candidate in (part, touched_up(exchange.nonce, part)):
        reason = refusal(partial(exchange.server.read_kex_part_untrusted, candidate, ADDRESS, NOW))
        taken = reason is None and candidate[1:73] == exchange.kex[index][1:73]
        assert taken or reason in {"size", "type", "cookie", "mac"}


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_kex_content_is_completed_or_refused(exchange: Exchange, data: st.DataObject) -> None:
    """The sender has a cookie, so this is what a hostile client reaches: shares and offer of its own choice."""
    chunks = [data.draw(mutations(part[74:-16])) for part in exchange.kex]
    nonce, cookie = exchange.kex[0][1:33], exchange.kex[0][33:73]
    reason = refusal(lambda: exchange.server.complete_untrusted(nonce, cookie, chunks[0], chunks[1]))
    assert reason in {None, "offer", "version", "kex"}


@given(data=st.data(), pinned=st.booleans())
def test_any_retry_is_taken_or_refused(exchange: Exchange, data: st.DataObject, pinned: bool) -> None:
    """Also with a right MAC, which someone on the path can make."""
    client = make_client() if pinned else ClientHandshake(seeded(1), None)
    retry = data.draw(mutations(exchange.retry))
    for candidate in (retry, touched_up(exchange.nonce, retry)):
        reason = refusal(partial(client.receive_retry_untrusted, candidate))
        assert reason in {None, "size", "type", "mac", "key", "retry"}


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_run_of_skex_parts_makes_no_false_session(data: st.DataObject) -> None:
    """Each arrival is None, the one error, or the one session that both genuine parts make."""
    exchange = Exchange()
    sessions: list[SessionSecrets | None] = []
    for index in data.draw(st.lists(st.integers(0, 1), max_size=6)):
        part = data.draw(mutations(exchange.skex[index]))
        for candidate in (part, touched_up(exchange.nonce, part)):
            reason = refusal(lambda: sessions.append(exchange.client.receive_skex_untrusted(candidate)))  # noqa: B023
            assert reason in {None, "size", "type", "mac", "skex", "late"}
    assert set(sessions) <= {None, exchange.server_secrets}


@given(st.binary(max_size=1300))
def test_any_bytes_before_the_exchange_are_refused(data: bytes) -> None:
    """A client that has just begun, and a server that knows nobody."""
    client, server = make_client(), make_server()
    for receive in (
        client.receive_retry_untrusted,
        client.receive_skex_untrusted,
        lambda data: server.answer_hello_untrusted(data, ADDRESS, NOW),
        lambda data: server.read_kex_part_untrusted(data, ADDRESS, NOW),
        lambda data: server.complete_untrusted(data[:32], data[:40], data, data),
    ):
        assert refusal(partial(receive, data)) in FIXED_REASONS
