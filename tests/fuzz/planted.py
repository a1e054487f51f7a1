"""A bug planted for the fuzzer to find, behind two bytes that it has to guess: a reader as one might write it."""

from bisik_protocol.errors import RemoteProtocolError
from tests.fuzz.target import Target


def _planted(data: bytes) -> None:
    if data[:2] != b"\x05b":
        raise RemoteProtocolError("type")
    if data[2:3] == b"\xff":
        raise IndexError("planted")


PLANTED = Target(name="planted", take=_planted, seeds=lambda: [b"\x05b\x00"])
