"""Packets out: numbers, headers, and when the key moves on."""

import random
from itertools import pairwise

import pytest

from bisik_protocol.transport.closing import MAX_GOODBYES
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


def test_packets_that_only_acknowledge_ask_for_an_answer_when_the_key_is_due() -> None:
    """Nobody acknowledges an acknowledgement, so without asking the key would stay until it wears out."""
    out = writer()
    numbers = [out.seal(b"x", 0.0)[0] for _ in range(CONFIG.ratchet_packets - 1)]
    assert not out.wants_answer
    out.seal(b"x", 0.0)
    assert out.wants_answer
    out.on_acknowledged(numbers[3])
    assert not out.wants_answer
    assert phase(out.seal(b"x", 0.0)[1]) == 1


def test_a_key_that_may_not_be_replaced_wears_out_before_sealing_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A far side that acknowledges nothing is left with room for goodbyes, and never makes sealing raise."""
    for module in ("bisik_protocol.crypto.protection", "bisik_protocol.transport.sealing"):
        monkeypatch.setattr(f"{module}.MAX_NUMBERS_PER_KEY", 1000)
    out = writer()
    while not out.is_worn_out:
        out.seal(b"x", 0.0)
    for _ in range(MAX_GOODBYES):
        out.seal(b"bye", 0.0)
