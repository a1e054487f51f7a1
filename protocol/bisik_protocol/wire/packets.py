"""The datagrams of an established connection: data packets and stateless resets. Handshake datagrams: `handshake`.

data:   type (1: 0x40 or 0x41, the low bit is the key phase) | destination connection ID (8) | packet number (6)
        | AES-256-GCM of the frames, with the 15 bytes before it as associated data | tag (16)
reset:  type (1: 0x05) | the connection ID that the receiver of the trigger did not know (8) | token (16)
"""

from typing import Final

from bisik_protocol.errors import RemoteProtocolError

DATA_TYPE: Final = 0x40
PHASE_MASK: Final = 0x01
RESET_TYPE: Final = 0x05

CONNECTION_ID_BYTES: Final = 8
NUMBER_BYTES: Final = 6
HEADER_BYTES: Final = 1 + CONNECTION_ID_BYTES + NUMBER_BYTES
TAG_BYTES: Final = 16
TOKEN_BYTES: Final = 16
RESET_BYTES: Final = 1 + CONNECTION_ID_BYTES + TOKEN_BYTES

MIN_DATAGRAM_BYTES: Final = 1200  # what every path is taken to carry, RFC 9000 section 14
MAX_NUMBER: Final = (1 << (8 * NUMBER_BYTES)) - 1


def data_prefix(connection_id: bytes, phase: int) -> bytes:
    """A data packet's header up to its number: the same for all packets of a key."""
    return bytes((DATA_TYPE | phase,)) + connection_id


def data_header(prefix: bytes, number: int) -> bytes:
    return prefix + number.to_bytes(NUMBER_BYTES)


def is_data(datagram: bytes) -> bool:
    """Whether this may be a data packet: the type, and room for a header, one byte of frames and the tag."""
    return len(datagram) > HEADER_BYTES + TAG_BYTES and datagram[0] & ~PHASE_MASK == DATA_TYPE


def encode_reset(connection_id: bytes, token: bytes) -> bytes:
    return bytes((RESET_TYPE,)) + connection_id + token


def parse_reset_untrusted(datagram: bytes) -> tuple[bytes, bytes]:
    """The unknown connection ID and the token."""
    if len(datagram) != RESET_BYTES or datagram[0] != RESET_TYPE:
        raise RemoteProtocolError("reset")
    return datagram[1 : 1 + CONNECTION_ID_BYTES], datagram[1 + CONNECTION_ID_BYTES :]
