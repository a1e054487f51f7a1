"""The worked examples of docs/protocol.md, made by the code: `python -m tests.support.protocol_examples` prints them.

Each example is a list of pieces, bytes with a comment, whose concatenation is checked against what the code encodes;
so an annotation cannot drift from the bytes beside it. Keys and signatures are stand-ins, repeated bytes.
"""

import hmac
from collections.abc import Callable
from typing import Final

import click

from bisik_protocol.chat import messages
from bisik_protocol.chat.invite import Invite
from bisik_protocol.chat.messages import ZERO_DIGEST, Code, Presence
from bisik_protocol.chat.sealed_text import encode_sealed_text
from bisik_protocol.chat.statements import Kind, Statement, encode_statement, message_id, statement_hash
from bisik_protocol.chat.tree import leaf_hash, node_hash
from bisik_protocol.crypto.identity import fingerprint_groups, fingerprint_text
from bisik_protocol.crypto.protection import PacketSealer
from bisik_protocol.transport.events import CloseCode
from bisik_protocol.transport.repair import EARLY_GAPS, early_copies
from bisik_protocol.wire import frames
from bisik_protocol.wire.packets import CONNECTION_ID_BYTES, TOKEN_BYTES, data_header, data_prefix, encode_reset
from bisik_protocol.wire.varint import encode_varint

Piece = tuple[bytes | str, str]  # bytes, or their hexadecimal digits; and what they are

COUNT: Final = bytes(range(32))  # 00 01 02 … 1f
CONNECTION_ID: Final = COUNT[:CONNECTION_ID_BYTES]
SIGNATURE: Final = b"\xaa" * 384
AUTHOR: Final = b"\x11" * 32
TIME_MS: Final = 1795338000123  # 2026-11-22T09:00:00.123Z
COLUMN: Final = 50
RUN_BYTES: Final = 17  # a run of one byte that is longer than a tag is not written out

STATEMENT: Final = Statement(
    room="#lobby", author=AUTHOR, seq=1, time=TIME_MS, kind=Kind.SAY, text="halo", previous=ZERO_DIGEST
)


def _shown(data: bytes) -> str:
    """Hexadecimal, with a run of equal bytes at the end as `aa × 384`."""
    run = len(data) - len(data.rstrip(data[-1:]))
    if run < RUN_BYTES:
        return data.hex(" ")
    return f"{data[:-run].hex(' ')} {data[-1:].hex()} × {run}".strip()


def _annotated(whole: bytes, pieces: list[Piece], *, abridged: bytes = b"") -> str:
    """The pieces, one a line; `abridged` by its size only. Raises AssertionError unless together they are `whole`."""
    parts = [(bytes.fromhex(data) if isinstance(data, str) else data, comment) for data, comment in pieces]
    joined = b"".join(data for data, _ in parts)
    assert joined == whole, f"the code makes {whole.hex(' ')}, the pieces are {joined.hex(' ')}"
    return "\n".join(
        _line(f"({len(data)} bytes)" if data == abridged else _shown(data), comment) for data, comment in parts
    )


def _line(digits: str, comment: str) -> str:
    if len(digits) < COLUMN:
        return f"{digits:<{COLUMN}}{comment}".rstrip()
    return f"{digits}\n{'':<{COLUMN}}{comment}".rstrip()


def frame_examples() -> str:
    """One frame of each kind, and both ways to cut a message."""
    token = COUNT[16:]
    rows = [
        (frames.PING_FRAME, "PING"),
        (frames.encode_ack([(100, 105), (97, 98), (90, 90)]), "ACK of 100 to 105, 97 and 98, 90"),
        (frames.message_head(0, 7, 0, 1, 4) + b"halo", "MESSAGE: lane 0, sequence 7, `halo`"),
        (frames.message_head(3, 300, 1, 2, 4) + b"halo", "FRAGMENT: lane 3, sequence 300, the second of 2"),
        (frames.encode_max_data(262144), "MAX_DATA 262144"),
        (frames.encode_max_lane_data(3, 163840), "MAX_LANE_DATA: lane 3, 163840"),
        (frames.encode_path_challenge(CONNECTION_ID), "PATH_CHALLENGE"),
        (frames.encode_path_response(CONNECTION_ID), "PATH_RESPONSE"),
        (frames.encode_new_connection_id(0, CONNECTION_ID, token), "NEW_CONNECTION_ID: sequence 0, ID, token"),
        (frames.encode_close(CloseCode.GOING_AWAY, "bye"), "CLOSE: going away, `bye`"),
    ]
    return "\n".join(_line(data.hex(" "), comment) for data, comment in rows)


def varint_examples() -> str:
    """The sample values of RFC 9000 appendix A.1, shortest first."""
    values = [37, 15293, 494_878_333, 151_288_809_941_952_652]
    return "\n".join(_line(encode_varint(value).hex(" "), str(value)) for value in values)


def packet_example() -> str:
    """A whole datagram: an ACK, and the first message of the control lane."""
    request = messages.encode(messages.ListRooms(number=0))
    ack = frames.encode_ack([(0, 3)])
    head = frames.message_head(0, 0, 0, 1, len(request))
    header = data_header(data_prefix(CONNECTION_ID, 0), 5)
    sealed = PacketSealer(COUNT).seal(5, header, ack + head + request)
    plain = _annotated(
        ack + head + request,
        [
            ("02 03 00 03", "ACK: largest 3, no further ranges, length 3: 0 to 3"),
            ("03 00 00 08", "MESSAGE: lane 0, sequence 0, 8 bytes"),
            ("92 a5 72 6f 6f 6d 73 00", "the request `rooms`, number 0, in MessagePack"),
        ],
    )
    datagram = _annotated(
        header + sealed,
        [
            ("40", "data packet, key phase 0"),
            (CONNECTION_ID, "destination connection ID"),
            ("00 00 00 00 00 05", "packet number 5"),
            (sealed[:-16], "the 16 bytes of frames, encrypted"),
            (sealed[-16:], "tag"),
        ],
    )
    return f"frames:\n{plain}\n\ndatagram:\n{datagram}"


def reset_example() -> str:
    """A stateless reset, and the token in it from a reset key of 00 01 … 1f."""
    token = hmac.digest(COUNT, b"bisik reset v1" + CONNECTION_ID, "sha256")[:TOKEN_BYTES]
    pieces: list[Piece] = [("05", "reset"), (CONNECTION_ID, "the ID that was not known"), (token, "token")]
    return _annotated(encode_reset(CONNECTION_ID, token), pieces)


def request_examples() -> str:
    """Two requests and their replies."""
    prove = _annotated(
        messages.encode(messages.Prove(number=1, join_password="k7mq-2hfd-x9wt-3bnr")),
        [
            ("93", "array of 3"),
            ("a5 70 72 6f 76 65", "`prove`"),
            ("01", "number 1"),
            (b"\xb3k7mq-2hfd-x9wt-3bnr", "join password"),
        ],
    )
    refused = _annotated(
        messages.encode(messages.Refused(1, Code.INCORRECT_PASSWORD, "Incorrect password. Try again.")),
        [
            ("94", "array of 4"),
            ("a7 72 65 66 75 73 65 64", "`refused`"),
            ("01", "number 1"),
            (b"\xb2incorrect-password", "code"),
            (b"\xbeIncorrect password. Try again.", "one sentence for a person"),
        ],
    )
    join = _annotated(
        messages.encode(messages.JoinRoom(number=7, room="#lobby", presence=Presence.MEMBER)),
        [
            ("96", "array of 6"),
            ("a4 6a 6f 69 6e", "`join`"),
            ("07", "number 7"),
            ("a6 23 6c 6f 62 62 79", "room `#lobby`"),
            ("a6 6d 65 6d 62 65 72", "presence `member`"),
            ("c0", "after: nil, so history counts"),
            ("32", "history: 50 entries"),
        ],
    )
    joined = _annotated(
        messages.encode(
            messages.Joined(number=7, room="#lobby", lane=1, head=12, chain_seq=0, chain_hash=ZERO_DIGEST)
        ),
        [
            ("9a", "array of 10"),
            ("a6 6a 6f 69 6e 65 64", "`joined`"),
            ("07", "number 7"),
            ("a6 23 6c 6f 62 62 79", "room `#lobby`"),
            ("01", "lane 1"),
            ("0c", "head: its newest entry is number 12"),
            ("00", "chain_seq: this device never spoke there"),
            (b"\xc4\x20" + ZERO_DIGEST, "chain_hash"),
            ("a0 c2 c2", "no topic, not private, not read-only"),
        ],
    )
    return "\n\n".join([prove, refused, join, joined])


def proof_examples() -> str:
    """A question for a proof of consistency, and the answer for a tree of two leaves that became one of three."""
    ask = _annotated(
        messages.encode(messages.GetConsistency(number=2, size=2)),
        [
            ("93", "array of 3"),
            ("ab 63 6f 6e 73 69 73 74 65 6e 63 79", "`consistency`"),
            ("02", "number 2"),
            ("02", "size: the tree that the client holds the root of"),
        ],
    )
    leaves = [leaf_hash(COUNT[n : n + 1]) for n in range(3)]
    answer = _annotated(
        messages.encode(messages.Consistency(number=2, note=b"note", proof=[leaves[2]])),
        [
            ("94", "array of 4"),
            ("ab 63 6f 6e 73 69 73 74 65 6e 63 79", "`consistency`"),
            ("02", "number 2"),
            ("c4 04 6e 6f 74 65", "note: `note` stands for a checkpoint of 3 leaves"),
            ("91", "proof: array of 1"),
            (b"\xc4\x20" + leaves[2], "SHA-256(00 02), the hash of the third leaf, 02"),
        ],
    )
    old_root = node_hash(leaves[0], leaves[1])
    lines = f"old root  {old_root.hex()}\nnew root  {node_hash(old_root, leaves[2]).hex()}"
    return "\n\n".join([ask, answer, lines])


def statement_example() -> str:
    """A statement, its hash and its message's name."""
    encoded = encode_statement(STATEMENT)
    text = _annotated(
        encoded,
        [
            ("99", "array of 9"),
            ("a2 76 31", "`v1`"),
            ("a6 23 6c 6f 62 62 79", "room `#lobby`"),
            (b"\xc4\x20" + AUTHOR, "author: hash of the device's key"),
            ("01", "seq 1"),
            (b"\xcf" + TIME_MS.to_bytes(8), "time, 2026-11-22T09:00:00.123Z"),
            ("a3 73 61 79", "kind `say`"),
            ("a4 68 61 6c 6f", "text `halo`"),
            (b"\xc4\x20" + ZERO_DIGEST, "previous: none"),
            ("c0", "checkpoint: none seen"),
        ],
    )
    return f"{text}\n\nhash  {statement_hash(encoded).hex()}\nid    {message_id(encoded)}"


def entry_example() -> str:
    """The Post that carries the statement, and the MessageEntry that answers it."""
    statement = encode_statement(STATEMENT)
    head = b"\xc4" + bytes([len(statement)])
    post = _annotated(
        messages.encode(messages.Post(statement, SIGNATURE)),
        [
            ("93", "array of 3"),
            ("a4 70 6f 73 74", "`post`"),
            (head, f"{len(statement)} bytes follow"),
            (statement, "the statement"),
            (b"\xc5\x01\x80" + SIGNATURE, "signature"),
        ],
        abridged=statement,
    )
    entry = _annotated(
        messages.encode(
            messages.MessageEntry(
                room="#lobby", seq=13, time=TIME_MS + 5, author="tama", statement=statement, signature=SIGNATURE
            )
        ),
        [
            ("97", "array of 7"),
            ("a7 6d 65 73 73 61 67 65", "`message`"),
            ("a6 23 6c 6f 62 62 79", "room `#lobby`"),
            ("0d", "seq 13, of the room"),
            (b"\xcf" + (TIME_MS + 5).to_bytes(8), "time, when the server took it"),
            ("a4 74 61 6d 61", "author `tama`"),
            (head, f"{len(statement)} bytes follow"),
            (statement, "the same statement, byte for byte"),
            (b"\xc5\x01\x80" + SIGNATURE, "the same signature"),
        ],
        abridged=statement,
    )
    return f"{post}\n\n{entry}"


def sealed_text_example() -> str:
    """What is encrypted in a sealed statement."""
    padding = bytes(113)
    return _annotated(
        encode_sealed_text(Kind.SAY, "halo"),
        [
            ("94", "array of 4"),
            ("a2 63 31", "`c1`"),
            ("a3 73 61 79", "kind `say`"),
            ("a4 68 61 6c 6f", "text `halo`"),
            (b"\xc4" + bytes([len(padding)]) + padding, "padding, to 128 bytes"),
        ],
    )


def invite_example() -> str:
    """A fingerprint in its text forms, and an invite."""
    invite = Invite(host="chat.example.org", fingerprint=COUNT, join_password="k7mq-2hfd-x9wt-3bnr")
    return "\n".join([fingerprint_text(COUNT), fingerprint_groups(COUNT), invite.url()])


def copies_examples() -> str:
    """Measured loss, the copies it asks for, and when they leave, in round trips."""
    rows = []
    for percent in (0, 1, 2, 5, 10, 20, 30, 50):
        copies = early_copies(percent / 100)
        times = [sum(EARLY_GAPS[:number]) for number in range(copies)]
        shown = "  ".join(f"{time:.2f}" for time in times)
        rows.append(f"{percent:3} %   {copies}   {shown}")
    return "\n".join(rows)


EXAMPLES: Final[dict[str, Callable[[], str]]] = {
    "varints": varint_examples,
    "packet": packet_example,
    "frames": frame_examples,
    "copies": copies_examples,
    "reset": reset_example,
    "requests": request_examples,
    "proofs": proof_examples,
    "statement": statement_example,
    "post and entry": entry_example,
    "sealed text": sealed_text_example,
    "invite": invite_example,
}


def main() -> None:
    """Print all of them, for pasting into the document."""
    for name, example in EXAMPLES.items():
        click.echo(f"--- {name}\n{example()}\n")


if __name__ == "__main__":
    main()
