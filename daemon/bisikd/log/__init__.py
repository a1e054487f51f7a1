"""The append-only encrypted log: what was said, so that it can be proved. docs/log.md is its specification.

From the bottom: `files` (the disk), `format` and `merkle` (bytes and hashes), `sealing` (the cipher of a segment),
`segments` (files), `replay` (reading), `writer` (writing), `recovery` (the rules after a crash), `index`, `shelf` and
`catalogue` (looking things up), `store` (the log as a whole), `verify` (proving it without any of the last four).
"""

from bisikd.log.errors import IndexDamaged, LogDamaged, LogError, LogFailed, LogFull
from bisikd.log.facts import DevicePayload, device_record, entry_record
from bisikd.log.format import Record, RecordKind
from bisikd.log.retention import Keep, parse_keep
from bisikd.log.salvage import SalvageReport, salvage_log
from bisikd.log.store import Leaf, Log, LogPolicy
from bisikd.log.verify import Report, StoredRecord, iter_records, log_bytes, verify_log

__all__ = [
    "DevicePayload",
    "IndexDamaged",
    "Keep",
    "Leaf",
    "Log",
    "LogDamaged",
    "LogError",
    "LogFailed",
    "LogFull",
    "LogPolicy",
    "Record",
    "RecordKind",
    "Report",
    "SalvageReport",
    "StoredRecord",
    "device_record",
    "entry_record",
    "iter_records",
    "log_bytes",
    "parse_keep",
    "salvage_log",
    "verify_log",
]
