"""What storing costs, beside a bare loop of write and fdatasync; and what a log of a million messages costs.

The bare loop writes as many bytes in as many groups to one file, with an fdatasync for each: what any store that
keeps its promises has to pay on this disk. The two take turns, so that the disk's moods hit both. Then a log is
filled, a process of its own opens it, and pages and proofs are asked for from its middle.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.command import command, progress
from benchmarks.tables import number, table
from bisik_protocol.chat.messages import ZERO_DIGEST, MessageEntry
from bisik_protocol.chat.statements import Kind, Statement, encode_statement, statement_hash
from bisik_protocol.crypto.identity import ServerIdentity, SigningKey
from bisikd.log import Log, Record, device_record, entry_record

ROOM: Final = "#lobby"
TEXT: Final = "Selamat pagi, pos dua. Dua kopi, tentu; dan satu untuk yang jaga malam di menara."
FILL_GROUP: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    groups: Sequence[int] = (1, 8, 64, 256)
    seconds: float = 4.0  # a turn
    turns: int = 3
    messages: int = 1_000_000


FULL = Plan()
SMALL = Plan(groups=(1, 16), seconds=0.2, turns=1, messages=3_000)


class _Author:
    """Somebody who goes on and on: records as the daemon makes them. The log does not look at signatures."""

    def __init__(self) -> None:
        self._modulus = SigningKey.generate().public
        self._seq, self._previous, self._head = 0, ZERO_DIGEST, 0

    def register(self) -> Record:
        return device_record("tama", self._modulus.modulus, 0)

    def records(self) -> Iterator[Record]:
        while True:
            self._seq += 1
            statement = encode_statement(
                Statement(ROOM, self._modulus.key_hash, self._seq, self._seq, Kind.SAY, TEXT, self._previous)
            )
            self._previous = statement_hash(statement)
            yield entry_record(MessageEntry(ROOM, self._seq, self._seq, "tama", statement, bytes(384)))


def _bare_rate(directory: Path, group_bytes: int, group: int, seconds: float) -> float:
    """Messages a second of write and fdatasync, and nothing else."""
    data, stored = os.urandom(group_bytes), 0
    path = directory / "bare"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        began = time.perf_counter()
        while (taken := time.perf_counter() - began) < seconds:
            os.write(descriptor, data)
            os.fdatasync(descriptor)
            stored += group
    finally:
        os.close(descriptor)
        path.unlink()
    return stored / taken


def _log_rate(log: Log, records: Iterator[Record], group: int, seconds: float) -> float:
    """Messages a second that were acknowledged. Making the messages is not counted: their authors do it."""
    stored, taken = 0, 0.0
    while taken < seconds:
        waiting = list(islice(records, group))
        began = time.perf_counter()
        log.append(waiting)
        taken += time.perf_counter() - began
        stored += group
    return stored / taken


def _rates(plan: Plan, directory: Path, identity: ServerIdentity) -> str:
    author = _Author()
    log = Log.open(directory / "rates", identity, now_ms=_now_ms)
    log.append([author.register()])
    records, rows = author.records(), []
    for group in plan.groups:
        progress(f"log: groups of {group}")
        size = sum(len(record.payload) + 81 for record in islice(_Author().records(), group)) + 77 + 33
        ours, bare = [], []
        for _ in range(plan.turns):
            bare.append(_bare_rate(directory, size, group, plan.seconds))
            ours.append(_log_rate(log, records, group, plan.seconds))
        ratio = median(ours) / median(bare)
        rows.append([str(group), number(median(bare)), number(median(ours)), f"{ratio:.2f}x", number(size / group)])
    log.close()
    header = ["messages a group", "bare write+fdatasync /s", "stored /s", "of it", "bytes a message"]
    return table("Stored messages a second, with an fsync for each group", header, rows)


def _scale(plan: Plan, directory: Path, identity: ServerIdentity) -> str:
    progress(f"log: filling {plan.messages} messages")
    author, path = _Author(), directory / "log"
    log = Log.open(path, identity, now_ms=_now_ms)
    log.append([author.register()])
    records, began = author.records(), time.perf_counter()
    for _ in range(plan.messages // FILL_GROUP):
        log.append(list(islice(records, FILL_GROUP)))
    filled_s = time.perf_counter() - began
    log.close()
    (directory / "signing.pem").write_bytes(identity.signing.to_pem())
    (directory / "decryption.pem").write_bytes(identity.decryption.to_pem())
    found = _read(path, directory)
    sizes = [sum(each.stat().st_size for each in path.glob(kind)) / 2**20 for kind in ("*.segment", "index*")]
    rows = [
        ["stored, in groups of 1000", f"{number(plan.messages / filled_s)} /s"],
        ["segments, index", f"{number(sizes[0])} MiB, {number(sizes[1])} MiB"],
        ["start", f"{found['start_s']:.2f} s"],
        [
            "memory after the start (of it Python and libraries)",
            f"{number(found['start_mib'])} MiB ({number(found['before_mib'])})",
        ],
        ["memory after pages and proofs", f"{number(found['end_mib'])} MiB"],
        ["page of 50 from the middle, first / median", _first_and_median(found["page_ms"])],
        ["inclusion proof, first / median", _first_and_median(found["inclusion_ms"])],
        ["consistency proof, first / median", _first_and_median(found["consistency_ms"])],
    ]
    return table(f"A log of {plan.messages:,} messages", ["", ""], rows)


def _read(path: Path, keys: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.log_reader", str(path), str(keys), ROOM],
        stdout=subprocess.PIPE,
        check=True,
    )
    return dict(json.loads(done.stdout))


def _first_and_median(taken: list[float]) -> str:
    return f"{taken[0]:.1f} / {median(taken):.1f} ms"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def run(plan: Plan) -> str:
    """Both tables."""
    identity = ServerIdentity.generate()
    with tempfile.TemporaryDirectory(prefix="bisik-log") as name:
        directory = Path(name)
        return f"{_rates(plan, directory, identity)}\n\n{_scale(plan, directory, identity)}"


if __name__ == "__main__":
    command(run, full=FULL, small=SMALL)()
