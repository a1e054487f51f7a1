"""Frames to the byte, there and back, and what is refused whatever bytes come."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.wire import frames
from bisik_protocol.wire.frames import (
    MAX_ACK_RANGES,
    MAX_FRAGMENTS,
    MAX_REASON_BYTES,
    Ack,
    Close,
    Frame,
    MaxData,
    MaxLaneData,
    Message,
    NewConnectionId,
    PathChallenge,
    PathResponse,
    Ping,
    encode_ack,
    encode_close,
    encode_max_data,
    encode_max_lane_data,
    encode_new_connection_id,
    encode_path_challenge,
    encode_path_response,
    message_head,
    parse_frames_untrusted,
)
from bisik_protocol.wire.varint import MAX_VARINT, encode_varint

EIGHT = bytes.fromhex("0011223344556677")
TOKEN = bytes(range(16))

# The whole of section "frames" of docs/protocol.md, one row a kind and an edge.
VECTORS: list[tuple[str, bytes, Frame]] = [
    ("01", frames.PING_FRAME, Ping()),
    ("02 00 00 00", encode_ack([(0, 0)]), Ack([(0, 0)])),
    ("02 09 00 09", encode_ack([(0, 9)]), Ack([(0, 9)])),
    # 9..7, then 5..5 (6 is missing), then 2..0 (3 and 4 are missing)
    ("02 09 02 02 00 00 01 02", encode_ack([(7, 9), (5, 5), (0, 2)]), Ack([(7, 9), (5, 5), (0, 2)])),
    ("02 7bbd 00 00", encode_ack([(15293, 15293)]), Ack([(15293, 15293)])),
    ("03 05 07 02 6869", message_head(5, 7, 0, 1, 2) + b"hi", Message(5, 7, 0, 1, b"hi")),
    ("03 4040 7bbd 01 21", message_head(64, 15293, 0, 1, 1) + b"!", Message(64, 15293, 0, 1, b"!")),
    ("04 05 07 01 03 02 6869", message_head(5, 7, 1, 3, 2) + b"hi", Message(5, 7, 1, 3, b"hi")),
    ("05 80040000", encode_max_data(262144), MaxData(262144)),
    ("06 05 80028000", encode_max_lane_data(5, 163840), MaxLaneData(5, 163840)),
    ("07 0011223344556677", encode_path_challenge(EIGHT), PathChallenge(EIGHT)),
    ("08 0011223344556677", encode_path_response(EIGHT), PathResponse(EIGHT)),
    (
        "09 00 0011223344556677 000102030405060708090a0b0c0d0e0f",
        encode_new_connection_id(0, EIGHT, TOKEN),
        NewConnectionId(0, EIGHT, TOKEN),
    ),
    ("0a 03 04 67 6f 6e 65", encode_close(3, "gone"), Close(3, "gone")),
    ("0a 00 00", encode_close(0, ""), Close(0, "")),
]

REFUSED: list[tuple[str, str]] = [
    ("an unknown kind", "0b"),
    ("an unknown kind behind a good frame", "01 ff"),
    ("an acknowledgement that is cut", "02 09 00"),
    ("an acknowledgement of more numbers than there are", "02 09 00 0a"),
    ("a range that ends below zero", "02 09 01 00 08 00"),
    ("a range whose length goes below zero", "02 09 01 00 00 08"),
    ("more ranges than are ever told", "02 4400 20 00" + "00 00" * MAX_ACK_RANGES),
    ("an empty message", "03 00 00 00"),
    ("a message longer than its packet", "03 00 00 05 6869"),
    ("a fragment of one", "04 00 00 00 01 01 21"),
    ("a fragment of none", "04 00 00 00 00 01 21"),
    ("a fragment behind the last", "04 00 00 02 02 01 21"),
    ("a message in too many fragments", f"04 00 00 00 {encode_varint(MAX_FRAGMENTS + 1).hex()} 01 21"),
    ("an empty fragment", "04 00 00 00 02 00"),
    ("a challenge that is cut", "07 00112233445566"),
    ("a response that is cut", "08"),
    ("a connection ID without its token", "09 00 0011223344556677 0001"),
    ("a reason longer than allowed", "0a 00 40c9" + "61" * 201),
    ("a reason that is cut", "0a 00 04 61"),
]


@pytest.mark.parametrize(("encoded", "written", "frame"), VECTORS, ids=[row[0] for row in VECTORS])
def test_frame_to_the_byte(encoded: str, written: bytes, frame: Frame) -> None:
    """Each frame is written as these bytes, and these bytes are read as this frame."""
    assert written == bytes.fromhex(encoded)
    assert parse_frames_untrusted(written) == [frame]


@pytest.mark.parametrize("encoded", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_malformed_frames_are_refused(encoded: str) -> None:
    """Each of these makes the whole packet a violation, also behind a good frame."""
    for before in (b"", frames.PING_FRAME):
        with pytest.raises(RemoteProtocolError, match="frame"):
            parse_frames_untrusted(before + bytes.fromhex(encoded))


def test_frames_follow_each_other_and_padding_is_skipped() -> None:
    """A packet's frames come out in order; zero bytes anywhere between and behind them are nothing."""
    packet = b"".join(bytes.fromhex("00 00") + written for _, written, _ in VECTORS) + bytes(100)
    assert parse_frames_untrusted(packet) == [frame for _, _, frame in VECTORS]


def test_a_packet_of_padding_holds_nothing() -> None:
    """Padding alone is allowed and says nothing."""
    assert parse_frames_untrusted(bytes(50)) == []
    assert parse_frames_untrusted(b"") == []


def test_only_the_newest_ranges_are_told() -> None:
    """An acknowledgement of more ranges than MAX_ACK_RANGES leaves out the oldest and stays readable."""
    ranges = [(10 * n, 10 * n + 3) for n in range(MAX_ACK_RANGES + 8, 0, -1)]
    assert parse_frames_untrusted(encode_ack(ranges)) == [Ack(ranges[:MAX_ACK_RANGES])]


@pytest.mark.parametrize("text", ["x" * 500, "é" * 150, "€" * 100, "😀" * 60, "a" + "😀" * 60])
def test_a_long_reason_is_cut_at_a_character(text: str) -> None:
    """What is left of a reason fits, is readable, and is the beginning of the text."""
    (close,) = parse_frames_untrusted(encode_close(1, text))
    assert isinstance(close, Close)
    assert text.startswith(close.reason)
    assert MAX_REASON_BYTES - 4 < len(close.reason.encode()) <= MAX_REASON_BYTES


def test_a_reason_that_is_no_text_is_made_readable() -> None:
    """Bytes that are not UTF-8 are replaced: a peer's reason never raises and never decides anything."""
    assert parse_frames_untrusted(bytes.fromhex("0a 01 02 ff fe")) == [Close(1, "��")]
    (close,) = parse_frames_untrusted(encode_close(1, "lone \ud800 surrogate"))
    assert close == Close(1, "lone ? surrogate")


def test_a_reset_token_is_not_shown() -> None:
    """Who knows the token can end the connection, so it stays out of logs and tracebacks."""
    assert repr(NewConnectionId(0, EIGHT, TOKEN)) == "NewConnectionId(sequence=0)"


def _ack(numbers: set[int]) -> Ack:
    """The ranges of some numbers, highest first."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers, reverse=True):
        if ranges and ranges[-1][0] == number + 1:
            ranges[-1] = (number, ranges[-1][1])
        else:
            ranges.append((number, number))
    return Ack(ranges)


varints = st.one_of(st.integers(0, 100), st.integers(0, MAX_VARINT))
data = st.binary(min_size=1, max_size=60)


@st.composite
def fragments(draw: st.DrawFn) -> Message:
    count = draw(st.integers(2, MAX_FRAGMENTS))
    return Message(draw(varints), draw(varints), draw(st.integers(0, count - 1)), count, draw(data))


any_frame = st.one_of(
    st.just(Ping()),
    st.sets(st.integers(0, 60), min_size=1, max_size=MAX_ACK_RANGES).map(_ack),
    st.builds(Message, varints, varints, st.just(0), st.just(1), data),
    fragments(),
    st.builds(MaxData, varints),
    st.builds(MaxLaneData, varints, varints),
    st.builds(PathChallenge, st.binary(min_size=8, max_size=8)),
    st.builds(PathResponse, st.binary(min_size=8, max_size=8)),
    st.builds(NewConnectionId, varints, st.binary(min_size=8, max_size=8), st.binary(min_size=16, max_size=16)),
    st.builds(Close, varints, st.text(st.characters(codec="utf-8"), max_size=50)),
)


ENCODERS: dict[type, Callable[[Any], bytes]] = {
    Ping: lambda frame: frames.PING_FRAME,
    Ack: lambda frame: encode_ack(frame.ranges),
    Message: lambda frame: (
        message_head(frame.lane, frame.sequence, frame.index, frame.count, len(frame.data)) + frame.data
    ),
    MaxData: lambda frame: encode_max_data(frame.limit),
    MaxLaneData: lambda frame: encode_max_lane_data(frame.lane, frame.limit),
    PathChallenge: lambda frame: encode_path_challenge(frame.data),
    PathResponse: lambda frame: encode_path_response(frame.data),
    NewConnectionId: lambda frame: encode_new_connection_id(frame.sequence, frame.connection_id, frame.token),
    Close: lambda frame: encode_close(frame.code, frame.reason),
}


def encode(frame: Frame) -> bytes:
    """Any frame, by the encoder of its kind."""
    return ENCODERS[type(frame)](frame)


@given(st.lists(any_frame, max_size=8))
def test_what_was_written_is_read(sent: list[Frame]) -> None:
    """Any frames, one after another, come back as they were."""
    assert parse_frames_untrusted(b"".join(map(encode, sent))) == sent


@given(st.lists(any_frame, min_size=1, max_size=4), st.data())
def test_mutated_packets_give_frames_or_one_error(sent: list[Frame], draws: st.DataObject) -> None:
    """A packet with bytes changed, cut out or added is read as something or refused, and nothing else happens."""
    packet = bytearray(b"".join(map(encode, sent)))
    for _ in range(draws.draw(st.integers(1, 4))):
        at = draws.draw(st.integers(0, max(len(packet) - 1, 0)))
        packet[at : at + draws.draw(st.integers(0, 3))] = draws.draw(st.binary(max_size=3))
    _check(bytes(packet))


@given(st.binary(max_size=200))
@example(b"\x02" + b"\xff" * 32)
@example(b"\x04" + b"\xff" * 48)
@example(b"\x03\x00\x00" + b"\xff" * 8 + b"x")
def test_any_bytes_give_frames_or_one_error(payload: bytes) -> None:
    """Random bytes are read as something or refused, and nothing else happens."""
    _check(payload)


def _check(payload: bytes) -> None:
    try:
        parsed = parse_frames_untrusted(payload)
    except RemoteProtocolError:
        return
    for frame in parsed:
        if isinstance(frame, Ack):
            _check_ranges(frame)
        elif isinstance(frame, Message):
            assert 0 <= frame.index < frame.count <= MAX_FRAGMENTS
            assert 0 < len(frame.data) <= len(payload)


def _check_ranges(ack: Ack) -> None:
    assert 1 <= len(ack.ranges) <= MAX_ACK_RANGES
    above = ack.ranges[0][1] + 2
    for low, high in ack.ranges:
        assert 0 <= low <= high <= above - 2
        above = low
