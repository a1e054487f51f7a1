"""What a leaf says, as far as the log itself has to know it: places in rooms, links of chains, names of keys.

It owns the payload of a DEVICE and the reading of an ENTRY's; signatures are checked elsewhere.
"""

from dataclasses import dataclass

import msgspec
from msgspec import Struct

from bisik_protocol.chat.messages import (
    Digest,
    Entry,
    JoinEntry,
    LeaveEntry,
    MessageEntry,
    Milliseconds,
    ModerationEntry,
    Modulus,
    Name,
    RoomName,
    Sequence,
    TopicEntry,
    decode_entry_untrusted,
    encode,
)
from bisik_protocol.chat.statements import AnyStatement, decode_any_statement_untrusted, statement_hash
from bisik_protocol.crypto.identity import VerifyKey
from bisik_protocol.errors import RemoteProtocolError
from bisikd.log.format import Malformed, Record, RecordKind


class DevicePayload(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """From here on, what is signed with this key is said by `name`; a later one for the same key replaces it."""

    name: Name
    modulus: Modulus
    time: Milliseconds


@dataclass(frozen=True, slots=True)
class MessageFact:
    entry: MessageEntry
    statement: AnyStatement
    hash: bytes  # of the statement


@dataclass(frozen=True, slots=True)
class PresenceFact:
    entry: JoinEntry | LeaveEntry


@dataclass(frozen=True, slots=True)
class ModerationFact:
    """It has its number in the room; what it means is for people."""

    entry: TopicEntry | ModerationEntry


@dataclass(frozen=True, slots=True)
class DeviceFact:
    device: DevicePayload
    key: VerifyKey

    @property
    def key_hash(self) -> bytes:
        return self.key.key_hash


class ChainFact(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a device had said in a room up to here was lost in part: its chain goes on behind this statement."""

    room: RoomName
    key_hash: Digest
    seq: Sequence
    hash: Digest


class RoomFact(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="room"):
    """Where a room stood at the end of what was dropped."""

    room: RoomName
    head: Sequence


class MemberFact(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="member"):
    """Who had joined a room, by which entry, and not left at the end of what was dropped."""

    room: RoomName
    seq: Sequence
    name: Name


class _KeptDevice(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="device"):
    device: DevicePayload


class _KeptChain(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="chain"):
    chain: ChainFact


Kept = DeviceFact | ChainFact | RoomFact | MemberFact
"""What has to be known of leaves that are not kept, so that those behind them can be read and checked."""

Fact = MessageFact | PresenceFact | ModerationFact | DeviceFact | ChainFact

_encoder = msgspec.msgpack.Encoder()
_device_decoder = msgspec.msgpack.Decoder(DevicePayload)
_kept_decoder: msgspec.msgpack.Decoder[_KeptDevice | _KeptChain | RoomFact | MemberFact] = msgspec.msgpack.Decoder(
    _KeptDevice | _KeptChain | RoomFact | MemberFact
)
_chain_decoder = msgspec.msgpack.Decoder(ChainFact)


def entry_record(entry: Entry) -> Record:
    """An entry as a record to append."""
    return Record(RecordKind.ENTRY, encode(entry))


def device_record(name: str, modulus: bytes, time_ms: int) -> Record:
    """The binding of a device's key to a name as a record to append."""
    return Record(RecordKind.DEVICE, _encoder.encode(DevicePayload(name, modulus, time_ms)))


def chain_record(fact: ChainFact) -> Record:
    """The confession of a loss in a device's chain as a record to append."""
    return Record(RecordKind.CHAIN, _encoder.encode(fact))


def encode_kept(fact: Kept) -> bytes:
    """The payload of a KEPT record."""
    if isinstance(fact, DeviceFact):
        return _encoder.encode(_KeptDevice(fact.device))
    return _encoder.encode(_KeptChain(fact) if isinstance(fact, ChainFact) else fact)


def read_kept(payload: bytes) -> Kept:
    """Raises Malformed with a sentence."""
    try:
        found = _kept_decoder.decode(payload)
        if isinstance(found, _KeptDevice):
            return DeviceFact(found.device, VerifyKey.from_modulus_untrusted(found.device.modulus))
        return found.chain if isinstance(found, _KeptChain) else found
    except (msgspec.MsgspecError, UnicodeDecodeError, RemoteProtocolError):
        raise Malformed("this KEPT cannot be read") from None


def read_fact(kind: RecordKind, payload: bytes) -> Fact:
    """Raises Malformed with a sentence."""
    if kind is RecordKind.DEVICE:
        return _read_device(payload)
    if kind is RecordKind.CHAIN:
        try:
            return _chain_decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise Malformed("this CHAIN is not an encoded link of a chain") from None
    try:
        entry = decode_entry_untrusted(payload)
    except RemoteProtocolError:
        raise Malformed("this ENTRY is not an encoded entry") from None
    if isinstance(entry, JoinEntry | LeaveEntry):
        return PresenceFact(entry)
    if isinstance(entry, TopicEntry | ModerationEntry):
        return ModerationFact(entry)
    try:
        statement = decode_any_statement_untrusted(entry.statement)
    except RemoteProtocolError:
        raise Malformed("the statement in this ENTRY cannot be read") from None
    return MessageFact(entry, statement, statement_hash(entry.statement))


def _read_device(payload: bytes) -> DeviceFact:
    try:
        device = _device_decoder.decode(payload)
        return DeviceFact(device, VerifyKey.from_modulus_untrusted(device.modulus))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Malformed("this DEVICE is not an encoded device") from None
    except RemoteProtocolError:
        raise Malformed("the key in this DEVICE is not an RSA-3072 key") from None
