"""Packets out: numbers, headers, and when the key moves on."""

import random
from itertools import pairwise

import pytest

from bisik_protocol.transport.config import TransportConfig
from bisik_protocol.transport.receiving import PacketReader
from bisik_protocol.transport.sealing import PacketWriter
from bisik_protocol.wire.packets import HEADER_BYTES, TAG_BYTES

SECRET = bytes(range(32))
CONNECTION_ID = b"dest-id!"
CONFIG = TransportConfig(ratchet_packets=10, ratchet_s=600.0)


def writer(config: TransportConfig = CONFIG) -> PacketWriter:
    return PacketWriter(SECRET, CONNECTION_ID, config, random.Random(0).randbytes, 0.0)


def phase(datagram: bytes) -> int:
    return datagram[0] & 1


def test_a_datagram_carries_its_number_and_destination() -> None:
    """The number returned is the one in the header; the receiver opens it and gets the payload."""
    out, reader = writer(), PacketReader(SECRET)
    for _ in range(5):
        number, datagram = out.seal(b"frames", 0.0)
        assert datagram[1:9] == CONNECTION_ID
        assert int.from_bytes(datagram[9:HEADER_BYTES]) == number
        assert len(datagram) == HEADER_BYTES + len(b"frames") + TAG_BYTES
        assert reader.open_untrusted(datagram) == (number, b"frames")


def test_the_key_moves_on_after_so_many_packets() -> None:
    """Once the far side has shown that it holds this phase's key, and ten packets were sealed under it."""
    out = writer()
    first, _ = out.seal(b"x", 0.0)
    out.on_acknowledged(first)
    assert [phase(out.seal(b"x", 0.0)[1]) for _ in range(12)] == [0] * 9 + [1] * 3


def test_the_key_moves_on_after_some_time() -> None:
    """However few packets were sealed."""
    out = writer()
    first, _ = out.seal(b"x", 0.0)
    out.on_acknowledged(first)
    assert phase(out.seal(b"x", 599.9)[1]) == 0
    assert phase(out.seal(b"x", 600.0)[1]) == 1


def test_the_key_waits_for_the_far_side() -> None:
    """It computes one key ahead and not two, so a phase ends only after a packet of it was acknowledged."""
    out = writer()
    numbers = [out.seal(b"x", 0.0)[0] for _ in range(100)]
    assert phase(out.seal(b"x", 1e6)[1]) == 0
    out.on_acknowledged(numbers[0])
    number, datagram = out.seal(b"x", 0.0)
    assert phase(datagram) == 1
    out.on_acknowledged(numbers[50])  # an old phase's packet shows nothing about the new key
    assert [phase(out.seal(b"x", 0.0)[1]) for _ in range(50)] == [1] * 50
    out.on_acknowledged(number)
    assert phase(out.seal(b"x", 0.0)[1]) == 0


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_the_receiver_follows_every_phase_whatever_is_lost(lost: int) -> None:
    """Two of three packets lost, across thirty phases, and each one that arrives opens."""
    out, reader = writer(), PacketReader(SECRET)
    phases = []
    for count in range(600):
        number, datagram = out.seal(b"x", 0.0)
        phases.append(phase(datagram))
        if count % 3 == lost:
            assert reader.open_untrusted(datagram) == (number, b"x")
            out.on_acknowledged(number)
    assert sum(1 for one, other in pairwise(phases) if one != other) > 30
