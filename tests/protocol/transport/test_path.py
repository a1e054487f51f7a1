"""An address that has not proved itself gets at most three times what came from it, until it answers a challenge."""

import pytest

from bisik_protocol.transport.path import AMPLIFICATION_FACTOR, MAX_CHALLENGES, UNLIMITED, Path

ADDRESS = ("192.0.2.7", 4242)
CHALLENGE = b"12345678"


def unproven(now: float = 10.0) -> Path:
    path = Path(ADDRESS, validated=False)
    path.start_validation(CHALLENGE, now)
    return path


def test_a_proven_path_has_no_limit() -> None:
    """Whatever was sent and received."""
    path = Path(ADDRESS, validated=True)
    path.on_sent(10**9)
    assert path.allowance() == UNLIMITED


def test_an_unproven_path_gets_three_times_what_came_from_it() -> None:
    """Nothing before anything came; what was sent is taken off; what comes adds three times its size."""
    path = unproven()
    assert path.allowance() == 0
    path.on_received(100, 10.0)
    assert path.allowance() == AMPLIFICATION_FACTOR * 100 == 300
    path.on_sent(250)
    assert path.allowance() == 50
    path.on_received(1200, 10.1)
    assert path.allowance() == 3650


def test_the_right_answer_proves_the_path_once() -> None:
    """From then on there is no limit and no further challenge; a repeated answer is nothing new."""
    path = unproven()
    assert path.challenge_at == 10.0
    assert path.on_response(CHALLENGE)
    assert path.validated
    assert path.challenge_at is None
    assert path.allowance() == UNLIMITED
    assert not path.on_response(CHALLENGE)


@pytest.mark.parametrize("data", [b"", b"12345679", CHALLENGE + b"\x00", bytes(8)])
def test_a_wrong_answer_proves_nothing(data: bytes) -> None:
    """Neither another challenge's answer nor a part of it."""
    path = unproven()
    assert not path.on_response(data)
    assert not path.validated


def test_an_answer_without_a_challenge_proves_nothing() -> None:
    """A path that nobody asked about cannot be answered for."""
    path = Path(ADDRESS, validated=False)
    assert not path.on_response(bytes(8))
    assert not path.validated


def test_the_challenge_is_repeated_a_few_times() -> None:
    """At the interval that is given, and then no more: a path from which nothing comes any more costs nothing."""
    path = unproven()
    times = []
    while path.challenge_at is not None:
        times.append(path.challenge_at)
        assert path.on_challenge_sent(path.challenge_at, 0.5)
    assert times == [10.0 + 0.5 * n for n in range(MAX_CHALLENGES)]


def test_challenges_before_their_time_do_not_count() -> None:
    """What goes to an unproven path carries the challenge anyway; that does not use up the planned ones."""
    path = unproven()
    assert path.on_challenge_sent(10.0, 0.5)
    for _ in range(100):
        assert not path.on_challenge_sent(10.1, 0.5)
    assert path.challenge_at == 10.5


def test_every_datagram_to_an_unproven_path_carries_the_challenge() -> None:
    """Until it is answered; a path that was never in doubt carries none."""
    path = unproven()
    assert path.challenge_frame() == b"\x07" + CHALLENGE
    path.on_response(CHALLENGE)
    assert path.challenge_frame() == b""
    assert Path(ADDRESS, validated=True).challenge_frame() == b""


def test_who_goes_on_sending_is_challenged_again() -> None:
    """Challenges lost on a bad link do not limit a peer for ever: what it sends is answered with another."""
    path = unproven()
    for n in range(MAX_CHALLENGES):
        path.on_challenge_sent(11.0 + n, 0.5)
    assert path.challenge_at is None
    path.on_received(100, 15.1)
    assert path.challenge_at == 15.5  # the interval is kept
    path.on_challenge_sent(15.5, 0.5)
    path.on_received(100, 99.0)
    assert path.challenge_at == 99.0
    path.on_response(CHALLENGE)
    path.on_received(100, 100.0)
    assert path.challenge_at is None
