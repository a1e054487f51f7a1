"""Who is shown as present in a room: by people, not by connections."""

from bisikd.presence import LINGER_S, Presence


def present(*names: str) -> Presence:
    """A room whose log shows these names as present when the daemon starts at second 0."""
    return Presence(names, 0.0)


def test_first_session_of_a_person_shows_a_join() -> None:
    """Somebody whom the log does not show as present joins."""
    presence = Presence()
    assert presence.enter("tama")
    assert presence.shown == {"tama"}


def test_second_session_of_a_person_shows_nothing() -> None:
    """A person with a laptop and a phone is in the room once, until both have left."""
    presence = Presence()
    presence.enter("tama")
    assert not presence.enter("tama")
    assert not presence.leave("tama", 1.0, lingers=False)
    assert presence.leave("tama", 2.0, lingers=False)
    assert presence.shown == set()


def test_reconnect_within_the_linger_time_shows_nothing() -> None:
    """A connection that dropped and came back is neither a leave nor a join."""
    presence = Presence()
    presence.enter("tama")
    assert not presence.leave("tama", 10.0, lingers=True)
    assert presence.settle(10.0 + LINGER_S - 1) == ([], [])
    assert not presence.enter("tama")
    assert presence.settle(10.0 + 10 * LINGER_S) == ([], [])


def test_who_vanished_and_stays_away_leaves_after_the_linger_time() -> None:
    """After a silent drop the leave is shown once, when the linger time is over."""
    presence = Presence()
    presence.enter("tama")
    presence.leave("tama", 10.0, lingers=True)
    assert presence.settle(10.0 + LINGER_S) == ([], ["tama"])
    assert presence.settle(10.0 + LINGER_S + 1) == ([], [])
    assert presence.enter("tama")


def test_after_a_restart_those_who_come_back_show_nothing() -> None:
    """The log says who was there when the daemon stopped; their return is not a join."""
    presence = present("tama", "sari")
    assert not presence.enter("tama")
    assert presence.settle(LINGER_S) == ([], ["sari"])


def test_a_refused_join_is_asked_for_again() -> None:
    """When the log was full the person is in the room unseen, and the join is written when there is room."""
    presence = Presence()
    presence.enter("tama")
    presence.on_refused(1.0)
    assert presence.shown == set()
    assert presence.settle(2.0) == (["tama"], [])
    presence.on_stored("tama", present=True)
    assert presence.settle(3.0) == ([], [])


def test_a_refused_leave_is_asked_for_again_after_the_linger_time() -> None:
    """A leave that found the log full counts as a vanishing from then on."""
    presence = present("tama")
    presence.enter("tama")
    assert presence.leave("tama", 5.0, lingers=False)
    presence.on_refused(6.0)
    assert presence.settle(7.0) == ([], [])
    assert presence.settle(6.0 + LINGER_S) == ([], ["tama"])


def test_a_join_and_a_leave_refused_together_leave_nothing_behind() -> None:
    """Who came and went while the log was full was never there."""
    presence = Presence()
    presence.enter("tama")
    presence.leave("tama", 1.0, lingers=True)
    presence.on_refused(2.0)
    assert presence.shown == set()
    assert presence.settle(1000.0) == ([], [])


def test_leaving_unseen_shows_no_leave() -> None:
    """Who left before the refused join could be written again shows nothing at all."""
    presence = Presence()
    presence.enter("tama")
    presence.on_refused(1.0)
    assert not presence.leave("tama", 2.0, lingers=False)
    assert presence.settle(1000.0) == ([], [])


def test_silence_is_known_only_of_those_without_a_session() -> None:
    """`vanished_since` is the second at which the last session went, and None while one is there."""
    presence = present("sari")
    presence.enter("tama")
    assert presence.vanished_since("tama") is None
    assert presence.vanished_since("sari") == 0.0
    presence.leave("tama", 9.0, lingers=True)
    assert presence.vanished_since("tama") == 9.0
