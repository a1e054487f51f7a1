"""Control frames that have to arrive: the newest under each key, until that very one is acknowledged."""

from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.transport.control import ControlFrames, Key, SentFrame

CREDIT: Key = (5, 0)
LANE_CREDIT: Key = (6, 3)


def test_a_frame_is_sent_once_while_nothing_goes_wrong() -> None:
    """Put, taken, acknowledged: then there is nothing left to send."""
    controls = ControlFrames()
    assert not controls.waiting
    controls.put(CREDIT, b"one")
    assert controls.waiting
    sent = controls.take(100)
    assert sent == [(CREDIT, b"one")]
    assert not controls.waiting
    controls.on_acknowledged(sent)
    controls.on_lost(sent)
    assert not controls.waiting


def test_a_lost_frame_is_sent_again() -> None:
    """As often as it is lost."""
    controls = ControlFrames()
    controls.put(CREDIT, b"one")
    for _ in range(3):
        sent = controls.take(100)
        assert sent == [(CREDIT, b"one")]
        controls.on_lost(sent)


def test_only_the_newest_of_a_kind_is_sent() -> None:
    """A frame that was replaced before it went, or lost after it was replaced, is not sent any more."""
    controls = ControlFrames()
    controls.put(CREDIT, b"one")
    sent = controls.take(100)
    controls.put(CREDIT, b"two")
    controls.put(CREDIT, b"three")
    controls.on_lost(sent)
    assert controls.take(100) == [(CREDIT, b"three")]
    assert not controls.waiting


def test_an_older_frame_acknowledged_does_not_settle_the_newest_in_flight() -> None:
    """Both are in flight, the first arrives, the second is lost: it goes again, or the far side waits for ever."""
    controls = ControlFrames()
    controls.put(CREDIT, b"one")
    first = controls.take(100)
    controls.put(CREDIT, b"two")
    second = controls.take(100)
    controls.on_acknowledged(first)
    controls.on_lost(second)
    assert controls.take(100) == [(CREDIT, b"two")]


def test_an_older_frame_lost_does_not_repeat_the_newest_in_flight() -> None:
    """The newest is on its way and not known to be lost."""
    controls = ControlFrames()
    controls.put(CREDIT, b"one")
    first = controls.take(100)
    controls.put(CREDIT, b"two")
    controls.take(100)
    controls.on_lost(first)
    assert not controls.waiting


def test_a_frame_thought_lost_that_arrived_is_not_sent_again() -> None:
    """The acknowledgement of one copy settles the frame, whatever happened to the others."""
    controls = ControlFrames()
    controls.put(CREDIT, b"one")
    first = controls.take(100)
    controls.on_lost(first)
    second = controls.take(100)
    controls.on_lost(second)
    controls.on_acknowledged(first)
    assert not controls.waiting


def test_what_does_not_fit_waits() -> None:
    """Frames go in the order in which they were put, as many as fit."""
    controls = ControlFrames()
    controls.put(CREDIT, b"12345")
    controls.put(LANE_CREDIT, b"123456")
    assert controls.take(4) == []
    assert controls.take(10) == [(CREDIT, b"12345")]
    assert controls.take(10) == [(LANE_CREDIT, b"123456")]


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "ack", "lose"]), st.integers(0, 2)), max_size=60))
def test_the_newest_is_waiting_in_flight_or_delivered(steps: list[tuple[str, int]]) -> None:
    """Whatever the network does, no newest frame is ever forgotten: that would be credit nobody gets."""
    controls = ControlFrames()
    newest: dict[Key, bytes] = {}
    delivered: set[SentFrame] = set()
    flying: list[SentFrame] = []
    for count, (what, lane) in enumerate(steps):
        if what == "put":
            newest[6, lane] = count.to_bytes()
            controls.put((6, lane), newest[6, lane])
        elif what == "take":
            flying += controls.take(2)
        elif flying:
            frame = flying.pop(lane % len(flying))
            if what == "ack":
                delivered.add(frame)
                controls.on_acknowledged([frame])
            else:
                controls.on_lost([frame])
    flying += controls.take(1000)
    assert set(newest.items()) <= delivered | set(flying)
