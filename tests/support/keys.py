"""RSA keys for tests: made once a test process, because making or loading one takes a tenth of a second and more.

A test that needs a key of its own asks for another number; a test that changes nothing shares number 0.
"""

from functools import cache

from bisik_protocol.crypto.identity import DecryptionKey, ServerIdentity, SigningKey
from bisik_protocol.crypto.sealing_key import SealingKey

# `cache` tells f() from f(0), so what is cached has no defaults.


def server_identity(number: int = 0) -> ServerIdentity:
    """A server's keys; the same for the same number throughout the process."""
    return _server_identity(number)


def device_key(number: int = 0) -> SigningKey:
    """A user device's key; never one of a server's."""
    return _signing_key("device", number)


def decryption_key(number: int = 0) -> DecryptionKey:
    """The decryption key of server `number`."""
    return _decryption_key(number)


@cache
def _server_identity(number: int) -> ServerIdentity:
    return ServerIdentity(_signing_key("server", number), _decryption_key(number))


@cache
def _signing_key(owner: str, number: int) -> SigningKey:
    return SigningKey.generate()


@cache
def _decryption_key(number: int) -> DecryptionKey:
    return DecryptionKey.generate()


def sealing_key(number: int = 0) -> SealingKey:
    """What direct messages are sealed to for the device of this number."""
    return _sealing_key(number)


@cache
def _sealing_key(number: int) -> SealingKey:
    return SealingKey.generate()
