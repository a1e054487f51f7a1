"""Records of the log as people read them and as programs can check them. Reads nothing and writes nothing itself."""

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from bisik_protocol.chat.messages import Entry, MessageEntry, decode_entry_untrusted
from bisik_protocol.chat.statements import AnyStatement, decode_any_statement_untrusted
from bisik_protocol.chat.text import harmless
from bisikd.console import entry_as_json, entry_for_people
from bisikd.log.facts import ChainFact, DeviceFact, read_fact
from bisikd.log.format import RecordKind
from bisikd.logfilter import LogFilter
from bisikd.times import rfc3339

if TYPE_CHECKING:
    from bisikd.log import StoredRecord

EVERYTHING: Final = LogFilter()


def line_for_people(record: "StoredRecord", wanted: LogFilter = EVERYTHING) -> str | None:
    """One line, or None for what is not wanted."""
    if record.kind is RecordKind.CHAIN:
        return None
    if record.kind is RecordKind.ENTRY:
        entry, statement = _read(record.payload)
        return entry_for_people(entry, statement) if _wants(wanted, entry) else None
    device = _device(record)
    if not wanted.wants(None, device.device.name, device.device.time):
        return None
    return f"{rfc3339(device.device.time)} a device of {harmless(device.device.name)}: key {device.key_hash.hex()}\n"


def record_as_json(
    record: "StoredRecord", wanted: LogFilter = EVERYTHING, *, proof: bool = True
) -> dict[str, Any] | None:
    """An entry or a device; with `proof` also its place in files and tree, and the signed bytes or the key."""
    place = {"index": record.index, "segment": record.segment, "offset": record.offset} if proof else {}
    if record.kind is RecordKind.CHAIN:
        return _chain(record.payload) | place if proof and wanted == EVERYTHING else None
    if record.kind is RecordKind.ENTRY:
        entry, statement = _read(record.payload)
        if not _wants(wanted, entry):
            return None
        value = entry_as_json(entry, statement)
        if proof and isinstance(entry, MessageEntry):
            value |= {"statement": _base64(entry.statement), "signature": _base64(entry.signature)}
        return value | place
    device = _device(record)
    if not wanted.wants(None, device.device.name, device.device.time):
        return None
    value = {"type": "device", "name": device.device.name, "key_hash": device.key_hash.hex()}
    value |= {"key": _base64(device.device.modulus)} if proof else {}
    return value | {"time": rfc3339(device.device.time)} | place


def _wants(wanted: LogFilter, entry: Entry) -> bool:
    return wanted.wants(entry.room, entry.author, entry.time)


def _read(payload: bytes) -> tuple[Entry, AnyStatement | None]:
    entry = decode_entry_untrusted(payload)
    statement = decode_any_statement_untrusted(entry.statement) if isinstance(entry, MessageEntry) else None
    return entry, statement


def _chain(payload: bytes) -> dict[str, Any]:
    fact = read_fact(RecordKind.CHAIN, payload)
    assert isinstance(fact, ChainFact)  # noqa: S101 # what that kind says
    return {
        "type": "chain",
        "room": fact.room,
        "key_hash": fact.key_hash.hex(),
        "author_seq": fact.seq,
        "hash": fact.hash.hex(),
    }


def _device(record: "StoredRecord") -> DeviceFact:
    fact = read_fact(record.kind, record.payload)
    assert isinstance(fact, DeviceFact)  # noqa: S101 # of the two kinds of leaves, the one that is no entry
    return fact


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
