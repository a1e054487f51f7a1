"""Packets in: each once, in whatever order and across phases; what came is told back; gaps are counted as loss."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.transport.config import TransportConfig
from bisik_protocol.transport.receiving import MAX_TOLD_BEHIND, PacketReader
from bisik_protocol.transport.sealing import PacketWriter
from bisik_protocol.wire.frames import Ack, parse_frames_untrusted

SECRET = bytes(range(32))
CONFIG = TransportConfig(ratchet_packets=8)


def sealed(count: int) -> list[tuple[int, bytes]]:
    """Packets over several key phases; every one is acknowledged at once, so each phase has eight."""
    writer = PacketWriter(SECRET, b"dest-id!", CONFIG, random.Random(1).randbytes, 0.0)
    packets = []
    for index in range(count):
        number, datagram = writer.seal(b"payload %d" % index, 0.0)
        writer.on_acknowledged(number)
        packets.append((number, datagram))
    return packets


def test_a_packet_is_taken_once() -> None:
    """Its repeat is refused, at once and after a thousand others."""
    reader = PacketReader(SECRET)
    packets = sealed(1000)
    for _, datagram in packets:
        reader.open_untrusted(datagram)
    for _, datagram in (packets[-1], packets[-7], packets[0]):
        with pytest.raises(RemoteProtocolError, match=r"replay|decrypt"):
            reader.open_untrusted(datagram)


def test_a_repeat_within_the_phase_is_named_a_replay() -> None:
    """So that a duplicating network and a forger are told apart in the counts."""
    reader = PacketReader(SECRET)
    _, datagram = sealed(1)[0]
    reader.open_untrusted(datagram)
    with pytest.raises(RemoteProtocolError, match="replay"):
        reader.open_untrusted(datagram)


def test_packets_swapped_across_a_phase_are_taken() -> None:
    """The last packets of a phase that arrive after the first of the next are opened with the previous key."""
    reader = PacketReader(SECRET)
    packets = sealed(16)
    order = [*range(6), 8, 9, 6, 7, *range(10, 16)]
    for index in order:
        number, datagram = packets[index]
        assert reader.open_untrusted(datagram) == (number, b"payload %d" % index)


@pytest.mark.parametrize("at", range(15))
def test_a_header_that_was_changed_opens_nothing(at: int) -> None:
    """Type, connection ID and number are all authenticated."""
    reader = PacketReader(SECRET)
    _, datagram = sealed(1)[0]
    for bit in (1, 0x80):
        changed = datagram[:at] + bytes((datagram[at] ^ bit,)) + datagram[at + 1 :]
        with pytest.raises(RemoteProtocolError, match=r"decrypt|packet"):
            reader.open_untrusted(changed)
    reader.open_untrusted(datagram)


def test_a_forgery_does_not_move_the_replay_window() -> None:
    """A forged packet with a huge number is refused, and the genuine ones are still new."""
    reader = PacketReader(SECRET)
    packets = sealed(3)
    reader.open_untrusted(packets[0][1])
    header = packets[1][1][:9] + b"\xff" * 6
    with pytest.raises(RemoteProtocolError, match="decrypt"):
        reader.open_untrusted(header + packets[1][1][15:])
    reader.open_untrusted(packets[1][1])
    reader.open_untrusted(packets[2][1])


def told(reader: PacketReader) -> list[tuple[int, int]]:
    (ack,) = parse_frames_untrusted(reader.encode_ack())
    assert isinstance(ack, Ack)
    return ack.ranges


def test_what_arrived_is_told_until_the_far_side_knows() -> None:
    """Ranges newest first; after `forget_up_to` only what is newer, and always the newest."""
    reader = PacketReader(SECRET)
    assert [reader.on_arrived(number) for number in (0, 1, 5, 3, 9)] == [True, True, True, False, True]
    assert reader.largest == 9
    assert told(reader) == [(9, 9), (5, 5), (3, 3), (0, 1)]
    reader.forget_up_to(5)
    assert told(reader) == [(9, 9)]


def test_who_only_listens_does_not_tell_of_old_gaps_for_ever() -> None:
    """A gap is told of while it is near and no more once it lies far behind, though nobody said it was heard."""
    reader = PacketReader(SECRET)
    for number in range(10_000):
        if number % 1000 != 999:
            reader.on_arrived(number)
    newest = reader.largest
    assert told(reader) == [(9000, newest)]
    reader.on_arrived(newest + 2)
    assert told(reader) == [(newest + 2, newest + 2), (9000, newest)]
    for number in range(newest + 3, newest + 3 + MAX_TOLD_BEHIND):
        reader.on_arrived(number)
    assert told(reader) == [(newest + 2, newest + 2 + MAX_TOLD_BEHIND)]


def test_gaps_are_loss_until_they_are_filled() -> None:
    """A missing number counts as lost; its late arrival takes that back."""
    reader, control = PacketReader(SECRET), PacketReader(SECRET)
    for number in range(200):
        control.on_arrived(number)
        if number != 150:
            reader.on_arrived(number)
    assert control.loss.rate == 0.0
    assert reader.loss.rate > 0.0
    reader.on_arrived(150)
    assert reader.loss.rate < 0.005


@given(st.binary(max_size=100), st.sampled_from([b"", b"\x40", b"\x41dest-id!", b"\x40dest-id!\0\0\0\0\0\0"]))
def test_any_bytes_give_one_error(data: bytes, start: bytes) -> None:
    """Nothing that was not sealed with the key is opened, and the error is always the same type."""
    with pytest.raises(RemoteProtocolError):
        PacketReader(SECRET).open_untrusted(start + data)
