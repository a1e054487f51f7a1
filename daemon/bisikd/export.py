"""Records of the log as people read them and as programs can check them. Reads nothing and writes nothing itself."""

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from bisik_protocol.chat.messages import Entry, MessageEntry, decode_entry_untrusted
from bisik_protocol.chat.statements import Statement, decode_statement_untrusted
from bisik_protocol.chat.text import harmless
from bisikd.console import entry_as_json, entry_for_people, rfc3339
from bisikd.log.facts import DeviceFact, read_fact
from bisikd.log.format import RecordKind

if TYPE_CHECKING:
    from bisikd.log import StoredRecord


def line_for_people(record: "StoredRecord", room: str | None = None) -> str | None:
    """One line, or None for what is not of `room`. Without a room everything is shown, devices too."""
    if record.kind is RecordKind.ENTRY:
        entry, statement = _read(record.payload)
        return entry_for_people(entry, statement) if room in (None, entry.room) else None
    device = _device(record)
    if room is not None:
        return None
    return f"{rfc3339(device.device.time)} a device of {harmless(device.device.name)}: key {device.key_hash.hex()}\n"


def record_as_json(record: "StoredRecord", room: str | None = None) -> dict[str, Any] | None:
    """All of a record: an entry with its signed bytes, or a device with its key, and its place in the tree."""
    place = {"index": record.index, "segment": record.segment, "offset": record.offset}
    if record.kind is RecordKind.ENTRY:
        entry, statement = _read(record.payload)
        if room not in (None, entry.room):
            return None
        value = entry_as_json(entry, statement)
        if isinstance(entry, MessageEntry):
            value |= {"statement": _base64(entry.statement), "signature": _base64(entry.signature)}
        return value | place
    device = _device(record)
    if room is not None:
        return None
    return {
        "type": "device",
        "name": device.device.name,
        "key": _base64(device.device.modulus),
        "key_hash": device.key_hash.hex(),
        "time": rfc3339(device.device.time),
    } | place


def _read(payload: bytes) -> tuple[Entry, Statement | None]:
    entry = decode_entry_untrusted(payload)
    statement = decode_statement_untrusted(entry.statement) if isinstance(entry, MessageEntry) else None
    return entry, statement


def _device(record: "StoredRecord") -> DeviceFact:
    fact = read_fact(record.kind, record.payload)
    assert isinstance(fact, DeviceFact)  # noqa: S101 # of the two kinds of leaves, the one that is no entry
    return fact


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
