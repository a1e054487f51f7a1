"""Goodbyes: repeated a bounded number of times, a probe timeout apart; an answer is said once."""

from bisik_protocol.transport.closing import MAX_GOODBYES, Closing


def play(closing: Closing, *, interval: float = 0.5, limit: float = 100.0) -> tuple[list[float], float | None]:
    """When goodbyes go out, and when it is over, at the times it asks for."""
    now = 0.0
    sent: list[float] = []
    while now < limit:
        if closing.handle_timeout(now):
            return sent, now
        if closing.due(now):
            sent.append(now)
            closing.on_sent(now, interval)
        assert closing.next_at is not None
        assert closing.next_at > now, "a goodbye planned for a time that has come spins"
        now = closing.next_at
    return sent, None


def test_goodbyes_are_repeated_a_bounded_number_of_times() -> None:
    """The first at once, the others an interval apart, and an interval after the last it is over."""
    sent, over = play(Closing(b"bye"))
    assert sent == [0.5 * n for n in range(MAX_GOODBYES)]
    assert over == 0.5 * MAX_GOODBYES


def test_an_answer_is_said_once() -> None:
    """Two ends that answer each other's goodbyes would never stop."""
    closing = Closing(b"bye", answer=True)
    assert closing.has_more
    sent, over = play(closing)
    assert sent == [0.0]
    assert over == 0.5
    assert not closing.has_more


def test_nothing_goes_before_its_time() -> None:
    """Being asked often does not make goodbyes more frequent."""
    closing = Closing(b"bye")
    assert closing.due(0.0)
    closing.on_sent(0.0, 0.5)
    assert not closing.due(0.49)
    assert closing.due(0.5)


def test_it_is_not_over_before_the_last_goodbye_had_its_time() -> None:
    """The answer to the last one may still be on its way."""
    closing = Closing(b"bye", answer=True)
    assert not closing.handle_timeout(0.0)
    closing.on_sent(0.0, 0.5)
    assert not closing.handle_timeout(0.49)
    assert closing.handle_timeout(0.5)
