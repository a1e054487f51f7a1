"""A far side that holds the keys and breaks the rules: it ends its own connection, and costs little until then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.transport.events import CloseCode, Closed
from bisik_protocol.transport.inbound import CONNECTION_WINDOW, MAX_LANES
from bisik_protocol.wire import frames
from bisik_protocol.wire.frames import Ack, Close, Frame, Message, PathResponse, encode_ack, message_head
from bisik_protocol.wire.packets import MIN_DATAGRAM_BYTES
from bisik_protocol.wire.varint import MAX_VARINT, encode_varint
from tests.support.puppet import Puppet

GAP_S = 0.2  # between messages, so that no pace holds them back


def message(lane: int, sequence: int, data: bytes = b"x") -> bytes:
    return message_head(lane, sequence, 0, 1, len(data)) + data


def fragment(sequence: int, index: int, count: int, data: bytes = b"x") -> bytes:
    return message_head(0, sequence, index, count, len(data)) + data


def acks(packets: list[list[Frame]]) -> list[Ack]:
    return [frame for packet in packets for frame in packet if isinstance(frame, Ack)]


# (what the puppet says to a server, the word it is closed with)
VIOLATIONS: list[tuple[str, list[bytes], str]] = [
    ("a frame that does not exist", [b"\x0b"], "frame"),
    ("a frame cut short", [message(0, 0)[:-1]], "frame"),
    ("an acknowledgement of what was never sent", [encode_ack([(0, 1000)])], "ack"),
    ("an acknowledgement of the last number there is", [encode_ack([(MAX_VARINT, MAX_VARINT)])], "ack"),
    ("a message cut in two ways", [fragment(1, 0, 3), fragment(1, 0, 2)], "fragment"),
    ("too many lanes", [message(lane, 0) for lane in range(MAX_LANES + 1)], "lanes"),
    ("credit for a lane that was never used", [frames.encode_max_lane_data(7, 10**6)], "lanes"),
    ("a connection ID from a client", [frames.encode_new_connection_id(0, bytes(8), bytes(16))], "connection-id"),
]


@pytest.mark.parametrize(("said", "word"), [row[1:] for row in VIOLATIONS], ids=[row[0] for row in VIOLATIONS])
def test_violations_end_the_connection(said: list[bytes], word: str) -> None:
    """The offender is told which rule it broke, by a fixed word and nothing of its own bytes; our program too."""
    puppet = Puppet()
    puppet.hear()
    packets: list[list[Frame]] = []
    for encoded in said:
        packets += puppet.say(encoded)
    reason = f"protocol violation: {word}"
    assert puppet.closed == Closed(code=CloseCode.PROTOCOL, reason=reason, by_peer=False)
    assert Close(CloseCode.PROTOCOL, reason) in packets[-1]


def test_a_sender_beyond_its_credit_is_closed_as_such() -> None:
    """More than the connection's window, with a reader that takes nothing."""
    puppet = Puppet()
    puppet.taking = False
    for number in range(CONNECTION_WINDOW // 1000):
        if puppet.connection.closed:
            break
        puppet.say(message(number % 4, number // 4, bytes(1000)))
    puppet.taking = True
    puppet.hear()
    assert puppet.closed is not None
    assert puppet.closed.code == CloseCode.FLOW_CONTROL


def test_an_optimist_is_found_out() -> None:
    """Who acknowledges packets before they can have arrived acknowledges one that was never sent, before long."""
    puppet = Puppet()
    puppet.hear()
    for count in range(1000):
        puppet.now += GAP_S
        puppet.connection.send(1, b"%d" % count)
        puppet.hear()
        puppet.say(encode_ack([(0, puppet.numbers[-1])]))
        if puppet.closed is not None:
            break
    assert puppet.closed == Closed(code=CloseCode.PROTOCOL, reason="protocol violation: ack", by_peer=False)
    assert count < 600


def test_an_honest_receiver_of_the_same_packets_is_not() -> None:
    """Acknowledging exactly what came goes on for ever."""
    puppet = Puppet()
    puppet.hear()
    for count in range(3000):
        puppet.now += GAP_S
        puppet.connection.send(1, b"%d" % count)
        heard = len(puppet.numbers)
        puppet.hear()
        for number in puppet.numbers[heard:]:
            puppet.say(encode_ack([(number, number)]))
    assert puppet.closed is None
    assert set(range(puppet.numbers[-1])) - set(puppet.numbers), "numbers were skipped meanwhile"


def test_a_client_takes_a_reset_token_for_its_own_connection_only() -> None:
    """A server that gives another connection's ID breaks the protocol; the right one is accepted without a word."""
    honest = Puppet(plays_server=True)
    honest.say(frames.encode_new_connection_id(0, honest.connection_id, b"t" * 16))
    assert honest.connection.is_reset(honest.connection_id, b"t" * 16, honest.now)
    assert not honest.connection.is_reset(honest.connection_id, b"u" * 16, honest.now + 3600.0)
    assert not honest.connection.is_reset(bytes(8), b"t" * 16, honest.now)
    puppet = Puppet(plays_server=True)
    puppet.say(frames.encode_new_connection_id(0, bytes(8), b"t" * 16))
    assert puppet.closed is not None
    assert puppet.closed.reason == "protocol violation: connection-id"


def test_acknowledgements_are_not_acknowledged() -> None:
    """A packet with nothing but an ACK, or padding, is answered with nothing, or two ends would never stop."""
    puppet = Puppet()
    puppet.hear()
    assert puppet.say(encode_ack([(0, 0)])) == []
    assert puppet.say(bytes(100)) == []
    assert puppet.wait(60.0) == []


def test_a_flood_of_pings_is_answered_packet_by_packet_and_with_little() -> None:
    """Never more than one packet for one, and none of them longer than a short acknowledgement."""
    puppet = Puppet()
    puppet.hear()
    puppet.say(encode_ack([(0, 0)]))
    heard = len(puppet.sizes)
    for _ in range(2000):
        assert len(puppet.say(frames.PING_FRAME)) == 1
    assert max(puppet.sizes[heard:]) < 60


def test_pings_that_come_together_are_answered_together() -> None:
    """What is read in one go costs one acknowledgement."""
    puppet = Puppet()
    puppet.hear()
    puppet.say(encode_ack([(0, 0)]))
    for _ in range(500):
        puppet.connection.receive_datagram(puppet.seal(frames.PING_FRAME), ("198.51.100.66", 666), puppet.now)
    assert len(puppet.hear()) == 1


def test_a_flood_of_challenges_is_answered_within_bounds() -> None:
    """A thousand in one packet are not a thousand answers: only the newest few are kept."""
    puppet = Puppet()
    puppet.hear()
    packets = puppet.say(*[frames.encode_path_challenge(number.to_bytes(8)) for number in range(100)])
    answers = [frame for packet in packets for frame in packet if isinstance(frame, PathResponse)]
    assert 1 <= len(answers) <= 8
    assert answers[-1] == PathResponse((99).to_bytes(8))


def test_holes_everywhere_make_no_acknowledgement_grow() -> None:
    """Every second packet withheld, ten thousand of them: the answer stays within a bound, and tells the newest."""
    puppet = Puppet()
    puppet.hear()
    for count in range(10_000):
        datagram = puppet.seal(frames.PING_FRAME)
        if count % 2:
            puppet.connection.receive_datagram(datagram, ("198.51.100.66", 666), puppet.now)
    ack = acks(puppet.hear())[-1]
    assert len(ack.ranges) == frames.MAX_ACK_RANGES
    assert puppet.sizes[-1] < 200


def test_a_hole_that_is_never_filled_holds_a_window_and_no_more() -> None:
    """Messages behind a missing first one are kept up to the credit; then their sender is in the wrong."""
    puppet = Puppet()
    sequence = 1
    while puppet.closed is None:
        puppet.say(message(0, sequence, bytes(1000)))
        sequence += 1
    assert puppet.closed.code == CloseCode.FLOW_CONTROL
    assert sequence * 1000 < CONNECTION_WINDOW


def test_sequences_at_the_end_of_all_numbers_are_only_far_ahead() -> None:
    """A message with the last sequence there is waits for all before it, which never come."""
    puppet = Puppet()
    puppet.say(message(0, MAX_VARINT), fragment(MAX_VARINT - 1, 63, 64))
    assert puppet.messages == []
    puppet.say(message(0, 0, b"first"))
    assert [event.data for event in puppet.messages] == [b"first"]


def test_unlimited_credit_is_no_licence() -> None:
    """Credit beyond any number lifts the flow control, and the congestion window still holds."""
    puppet = Puppet()
    puppet.hear()
    puppet.say(encode_ack([(0, 0)]), frames.encode_max_data(MAX_VARINT))
    for _ in range(1000):
        puppet.connection.send(1, bytes(1000))
    puppet.hear()
    puppet.say(frames.encode_max_lane_data(1, MAX_VARINT))
    assert sum(puppet.sizes) < 20 * MIN_DATAGRAM_BYTES


def test_credit_never_shrinks() -> None:
    """An old or small limit that comes late changes nothing."""
    puppet = Puppet()
    puppet.connection.send(1, b"x")
    puppet.hear()
    for limit in (0, 1, 100):
        puppet.say(frames.encode_max_data(limit), frames.encode_max_lane_data(1, limit))
    puppet.connection.send(1, b"y")
    (packet,) = puppet.hear()
    assert Message(1, 1, 0, 1, b"y") in packet


@pytest.mark.parametrize("code", [0, 1, 8, MAX_VARINT])
def test_any_goodbye_is_a_goodbye(code: int) -> None:
    """Codes that do not exist and texts that are hostile are handed on as they are, and answered once."""
    puppet = Puppet()
    puppet.hear()
    text = "\x1b[31mred\u202e"
    packets = puppet.say(frames.encode_close(code, text))
    assert puppet.closed == Closed(code=code, reason=text, by_peer=True)
    assert packets == [[Close(code, "")]]
    assert puppet.say(frames.encode_close(code, text)) == []
    assert puppet.wait(60.0) == []


def test_what_stands_behind_a_goodbye_is_not_looked_at() -> None:
    """A packet that closes and then speaks on gives one event."""
    puppet = Puppet()
    puppet.hear()
    puppet.say(message(0, 0, b"before"), frames.encode_close(0, ""), message(0, 1, b"behind"), encode_ack([(0, 99)]))
    assert [event.data for event in puppet.messages] == [b"before"]
    assert puppet.closed == Closed(code=0, reason="", by_peer=True)


def test_packet_numbers_may_jump() -> None:
    """A gap of two to the forty costs no time and no memory, and counts as a bounded loss."""
    puppet = Puppet()
    puppet.hear()
    puppet.say(frames.PING_FRAME)
    puppet._writer.numbers.next_number = 1 << 40
    puppet._writer._sealer._end = 1 << 41
    packets = puppet.say(frames.PING_FRAME)
    assert acks(packets)[-1].ranges[0] == (1 << 40, 1 << 40)
    assert puppet.connection.stats(puppet.now).loss_in < 1.0


encoded_frames = st.one_of(
    st.just(frames.PING_FRAME),
    st.builds(message, st.integers(0, 200), st.integers(0, 5), st.binary(min_size=1, max_size=50)),
    st.builds(fragment, st.integers(0, 5), st.integers(0, 3), st.integers(2, 6), st.binary(min_size=1, max_size=50)),
    st.integers(0, 8).map(lambda number: encode_ack([(number, number)])),
    st.integers(0, 10**6).map(frames.encode_max_data),
    st.builds(frames.encode_max_lane_data, st.integers(0, 3), st.integers(0, 10**6)),
    st.binary(min_size=8, max_size=8).map(frames.encode_path_challenge),
    st.binary(min_size=8, max_size=8).map(frames.encode_path_response),
    st.builds(frames.encode_close, st.integers(0, 10), st.text(max_size=10)),
    st.builds(lambda kind, rest: encode_varint(kind) + rest, st.integers(0, 20), st.binary(max_size=20)),
)


@given(st.lists(st.lists(encoded_frames, min_size=1, max_size=4), max_size=20), st.booleans())
def test_whatever_is_said_nothing_is_raised_and_nothing_spins(said: list[list[bytes]], plays_server: bool) -> None:
    """Any packets of any frames: the connection goes on or closes, answers little, and its timers move on."""
    puppet = Puppet(plays_server=plays_server)
    for number in range(4):
        puppet.connection.send(number % 2, b"hello")
    puppet.hear()
    for packet in said:
        assert len(puppet.say(*packet)) <= 3
    puppet.wait(30.0)
    for _ in range(20):
        deadline = puppet.connection.next_timeout()
        assert deadline is None or deadline > puppet.now
