"""Frames: what a data packet holds. Integers are varints unless a width is given.

    PADDING            0x00
    PING               0x01
    ACK                0x02 | largest | further ranges n | first length | n x (gap, length)       RFC 9000 s19.3
    MESSAGE            0x03 | lane | sequence | length | bytes
    FRAGMENT           0x04 | lane | sequence | index | count | length | bytes
    MAX_DATA           0x05 | limit
    MAX_LANE_DATA      0x06 | lane | limit
    PATH_CHALLENGE     0x07 | 8 bytes
    PATH_RESPONSE      0x08 | 8 bytes
    NEW_CONNECTION_ID  0x09 | sequence | connection ID (8) | stateless reset token (16)
    CLOSE              0x0a | code | reason length | reason, UTF-8

An ACK length counts the packet numbers of its range less one, a gap those missing below it less one, as in QUIC.
"""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.wire.packets import CONNECTION_ID_BYTES, TOKEN_BYTES
from bisik_protocol.wire.varint import encode_varint, read_varint_untrusted

PADDING: Final = 0x00
PING: Final = 0x01
ACK: Final = 0x02
MESSAGE: Final = 0x03
FRAGMENT: Final = 0x04
MAX_DATA: Final = 0x05
MAX_LANE_DATA: Final = 0x06
PATH_CHALLENGE: Final = 0x07
PATH_RESPONSE: Final = 0x08
NEW_CONNECTION_ID: Final = 0x09
CLOSE: Final = 0x0A

MAX_ACK_RANGES: Final = 32  # more would only tell of losses that repair has long dealt with
MAX_FRAGMENTS: Final = 64  # of a message: 64 KiB in chunks of a datagram each, with room to spare
MAX_REASON_BYTES: Final = 200
PATH_DATA_BYTES: Final = 8

PING_FRAME: Final = bytes((PING,))


class Ping(Struct, frozen=True, gc=False):
    pass


class Ack(Struct, frozen=True, gc=False):
    """Acknowledged packet numbers: (lowest, highest) pairs, highest first, disjoint and not adjacent."""

    ranges: list[tuple[int, int]]


class Message(Struct, frozen=True, gc=False):
    """A whole message (count 1), or one fragment of it."""

    lane: int
    sequence: int
    index: int
    count: int
    data: bytes


class MaxData(Struct, frozen=True, gc=False):
    limit: int


class MaxLaneData(Struct, frozen=True, gc=False):
    lane: int
    limit: int


class PathChallenge(Struct, frozen=True, gc=False):
    data: bytes


class PathResponse(Struct, frozen=True, gc=False):
    data: bytes


class NewConnectionId(Struct, frozen=True, gc=False):
    sequence: int
    connection_id: bytes
    token: bytes

    def __repr__(self) -> str:
        return f"NewConnectionId(sequence={self.sequence})"  # who knows the token can end the connection


class Close(Struct, frozen=True, gc=False):
    code: int
    reason: str


Frame = Ping | Ack | Message | MaxData | MaxLaneData | PathChallenge | PathResponse | NewConnectionId | Close


def encode_ack(ranges: Sequence[tuple[int, int]]) -> bytes:
    """`ranges` as in `Ack`, at least one; only the newest MAX_ACK_RANGES are told."""
    lowest, highest = ranges[0]
    told = ranges[1:MAX_ACK_RANGES]
    parts = [b"\x02", encode_varint(highest), encode_varint(len(told)), encode_varint(highest - lowest)]
    for low, high in told:
        parts.append(encode_varint(lowest - high - 2))
        parts.append(encode_varint(high - low))
        lowest = low
    return b"".join(parts)


def message_head(lane: int, sequence: int, index: int, count: int, length: int) -> bytes:
    """Everything of a MESSAGE or FRAGMENT frame before its data, so that data is shared and never copied."""
    if count == 1:
        return b"\x03" + encode_varint(lane) + encode_varint(sequence) + encode_varint(length)
    return b"\x04" + b"".join(map(encode_varint, (lane, sequence, index, count, length)))


def encode_max_data(limit: int) -> bytes:
    return b"\x05" + encode_varint(limit)


def encode_max_lane_data(lane: int, limit: int) -> bytes:
    return b"\x06" + encode_varint(lane) + encode_varint(limit)


def encode_path_challenge(data: bytes) -> bytes:
    return b"\x07" + data


def encode_path_response(data: bytes) -> bytes:
    return b"\x08" + data


def encode_new_connection_id(sequence: int, connection_id: bytes, token: bytes) -> bytes:
    return b"\x09" + encode_varint(sequence) + connection_id + token


def encode_close(code: int, reason: str) -> bytes:
    """A reason over MAX_REASON_BYTES is cut at a character."""
    text = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore").encode()
    return b"\x0a" + encode_varint(code) + encode_varint(len(text)) + text


def parse_frames_untrusted(payload: bytes) -> list[Frame]:
    """All frames of a packet, padding left out. Raises RemoteProtocolError("frame")."""
    frames: list[Frame] = []
    append = frames.append
    offset = 0
    end = len(payload)
    while offset < end:
        kind = payload[offset]
        offset += 1
        if kind == PADDING:
            continue
        if kind == PING:
            append(_PING)
            continue
        reader = _READERS.get(kind)
        if reader is None:
            raise RemoteProtocolError("frame")
        frame, offset = reader(payload, offset)
        append(frame)
    return frames


_PING = Ping()


def _read_bytes_untrusted(payload: bytes, offset: int, length: int) -> tuple[bytes, int]:
    end = offset + length
    if end > len(payload):
        raise RemoteProtocolError("frame")
    return payload[offset:end], end


def _read_ack_untrusted(payload: bytes, offset: int) -> tuple[Ack, int]:
    highest, offset = read_varint_untrusted(payload, offset)
    further, offset = read_varint_untrusted(payload, offset)
    length, offset = read_varint_untrusted(payload, offset)
    lowest = highest - length
    if lowest < 0 or further >= MAX_ACK_RANGES:
        raise RemoteProtocolError("frame")
    ranges = [(lowest, highest)]
    for _ in range(further):
        gap, offset = read_varint_untrusted(payload, offset)
        length, offset = read_varint_untrusted(payload, offset)
        highest = lowest - gap - 2
        lowest = highest - length
        if lowest < 0:
            raise RemoteProtocolError("frame")
        ranges.append((lowest, highest))
    return Ack(ranges), offset


def _read_message_untrusted(payload: bytes, offset: int) -> tuple[Message, int]:
    lane, offset = read_varint_untrusted(payload, offset)
    sequence, offset = read_varint_untrusted(payload, offset)
    return _read_data_untrusted(payload, offset, lane, sequence, 0, 1)


def _read_fragment_untrusted(payload: bytes, offset: int) -> tuple[Message, int]:
    lane, offset = read_varint_untrusted(payload, offset)
    sequence, offset = read_varint_untrusted(payload, offset)
    index, offset = read_varint_untrusted(payload, offset)
    count, offset = read_varint_untrusted(payload, offset)
    if not 2 <= count <= MAX_FRAGMENTS or index >= count:
        raise RemoteProtocolError("frame")
    return _read_data_untrusted(payload, offset, lane, sequence, index, count)


def _read_data_untrusted(
    payload: bytes, offset: int, lane: int, sequence: int, index: int, count: int
) -> tuple[Message, int]:
    length, offset = read_varint_untrusted(payload, offset)
    if length == 0:  # an empty message would be free of the flow control that bounds it
        raise RemoteProtocolError("frame")
    data, offset = _read_bytes_untrusted(payload, offset, length)
    return Message(lane, sequence, index, count, data), offset


def _read_max_data_untrusted(payload: bytes, offset: int) -> tuple[MaxData, int]:
    limit, offset = read_varint_untrusted(payload, offset)
    return MaxData(limit), offset


def _read_max_lane_data_untrusted(payload: bytes, offset: int) -> tuple[MaxLaneData, int]:
    lane, offset = read_varint_untrusted(payload, offset)
    limit, offset = read_varint_untrusted(payload, offset)
    return MaxLaneData(lane, limit), offset


def _read_path_challenge_untrusted(payload: bytes, offset: int) -> tuple[PathChallenge, int]:
    data, offset = _read_bytes_untrusted(payload, offset, PATH_DATA_BYTES)
    return PathChallenge(data), offset


def _read_path_response_untrusted(payload: bytes, offset: int) -> tuple[PathResponse, int]:
    data, offset = _read_bytes_untrusted(payload, offset, PATH_DATA_BYTES)
    return PathResponse(data), offset


def _read_new_connection_id_untrusted(payload: bytes, offset: int) -> tuple[NewConnectionId, int]:
    sequence, offset = read_varint_untrusted(payload, offset)
    connection_id, offset = _read_bytes_untrusted(payload, offset, CONNECTION_ID_BYTES)
    token, offset = _read_bytes_untrusted(payload, offset, TOKEN_BYTES)
    return NewConnectionId(sequence, connection_id, token), offset


def _read_close_untrusted(payload: bytes, offset: int) -> tuple[Close, int]:
    code, offset = read_varint_untrusted(payload, offset)
    length, offset = read_varint_untrusted(payload, offset)
    if length > MAX_REASON_BYTES:
        raise RemoteProtocolError("frame")
    reason, offset = _read_bytes_untrusted(payload, offset, length)
    return Close(code, reason.decode("utf-8", "replace")), offset


_READERS: dict[int, Callable[[bytes, int], tuple[Frame, int]]] = {
    ACK: _read_ack_untrusted,
    MESSAGE: _read_message_untrusted,
    FRAGMENT: _read_fragment_untrusted,
    MAX_DATA: _read_max_data_untrusted,
    MAX_LANE_DATA: _read_max_lane_data_untrusted,
    PATH_CHALLENGE: _read_path_challenge_untrusted,
    PATH_RESPONSE: _read_path_response_untrusted,
    NEW_CONNECTION_ID: _read_new_connection_id_untrusted,
    CLOSE: _read_close_untrusted,
}
