"""Variable-length integers, RFC 9000 section 16: 1, 2, 4 or 8 bytes, the length in the first two bits."""

from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError

MAX_VARINT = (1 << 62) - 1


def encode_varint(value: int) -> bytes:
    """The shortest encoding of 0 <= value <= MAX_VARINT."""
    if value < 0x40:
        if value < 0:
            raise LocalProtocolError("a varint is never negative")
        return value.to_bytes(1)
    if value < 0x4000:
        return (value | 0x4000).to_bytes(2)
    if value < 0x4000_0000:
        return (value | 0x8000_0000).to_bytes(4)
    if value <= MAX_VARINT:
        return (value | 0xC000_0000_0000_0000).to_bytes(8)
    raise LocalProtocolError("a varint is below 2**62")


def read_varint_untrusted(data: bytes, offset: int) -> tuple[int, int]:
    """The integer at `offset` and the offset behind it. Longer encodings than needed are accepted, as in QUIC."""
    try:
        first = data[offset]
    except IndexError:
        raise RemoteProtocolError("frame") from None
    if first < 0x40:
        return first, offset + 1
    end = offset + (1 << (first >> 6))
    if end > len(data):
        raise RemoteProtocolError("frame")
    value = int.from_bytes(data[offset:end])
    return value & ((1 << ((end - offset) * 8 - 2)) - 1), end
