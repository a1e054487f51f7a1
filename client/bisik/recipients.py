"""Whom a direct room is sealed to: the devices of both people, with their keys as they were last asked for.

They are kept in the home, so that something can be said without a connection. What is here was verified before it
was put here; `direct_rooms` asks for it and judges it.
"""

import sqlite3
from collections.abc import Iterable
from functools import lru_cache

from bisik.store import Store
from bisik_protocol.chat.messages import SealingDevice
from bisik_protocol.chat.sealing_bundle import check_bundle_untrusted
from bisik_protocol.crypto.identity import VerifyKey
from bisik_protocol.crypto.sealing_key import SealingPublic


def recipients_of(connection: sqlite3.Connection, room: str) -> dict[bytes, SealingPublic]:
    """By the hash of a device's signing key. Empty where they were never asked for."""
    rows = connection.execute(
        "SELECT device, modulus, bundle, signature FROM recipients WHERE room = ?", (room,)
    ).fetchall()
    return {device: _checked(modulus, bundle, signature) for device, modulus, bundle, signature in rows}


def recipient_devices(store: Store, room: str) -> frozenset[bytes]:
    """Their hashes alone."""
    with store.reading() as connection:
        rows = connection.execute("SELECT device FROM recipients WHERE room = ?", (room,)).fetchall()
    return frozenset(device for (device,) in rows)


def replace_recipients(store: Store, room: str, devices: Iterable[SealingDevice]) -> bool:
    """From now on these; whether that is a change. They have been verified."""
    new = {(_hash(each.device), each.device, each.bundle, each.signature) for each in devices}
    with store.writing() as connection:
        rows = connection.execute("SELECT device, modulus, bundle FROM recipients WHERE room = ?", (room,)).fetchall()
        if {row[:3] for row in new} == set(rows):
            return False  # a signature may be another one for the same keys
        connection.execute("DELETE FROM recipients WHERE room = ?", (room,))
        connection.executemany("INSERT INTO recipients VALUES (?, ?, ?, ?, ?)", [(room, *row) for row in new])
    return True


def _hash(modulus: bytes) -> bytes:
    return VerifyKey.from_modulus_untrusted(modulus).key_hash


@lru_cache(maxsize=256)
def _checked(modulus: bytes, bundle: bytes, signature: bytes) -> SealingPublic:
    return check_bundle_untrusted(VerifyKey.from_modulus_untrusted(modulus), bundle, signature)
