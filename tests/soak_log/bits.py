"""Every single-bit flip and every truncation length of a log of over 100 KB: refused by name, or recovered exactly.

Each case is read from the last settled group before the damage on: what lies before it is the same bytes as ever. A
flip must be refused in the damaged file, at or before the damaged byte, with nothing changed; but in the last record
of all, which holds nothing, it must be recovered to the last COMMIT. A truncation of the last segment must be
recovered to the last COMMIT before it, and one of an older segment refused.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

from bisikd.log import LogDamaged, LogPolicy
from bisikd.log.recovery import Start
from tests.daemon.log.bench import DIRECTORY, Reading, open_log, read_back
from tests.daemon.log.disks import MemoryFiles
from tests.daemon.log.talk import Talk
from tests.soak_log.campaign import Budget, Result, spread

LOG_BYTES = 102_400


@dataclass
class Large:
    """A log of several segments, and for each where its groups end and how many leaves there are then."""

    contents: dict[str, bytes]
    reading: Reading
    header: int = 944
    ends: dict[str, list[int]] = field(default_factory=dict)
    starts: dict[str, list[Start]] = field(default_factory=dict)
    leaves: dict[str, list[int]] = field(default_factory=dict)

    @property
    def last(self) -> str:
        return max(self.contents)

    def before(self, name: str, at: int) -> Start | None:
        """Where to read on from: behind the last settled group that ends at or before this byte."""
        found = bisect_right(self.ends[name], at) - 1
        if found >= 0:
            return self.starts[name][found]
        earlier = [other for other in self.contents if other < name]
        return self.starts[max(earlier)][-1] if earlier else None


def large_log() -> Large:
    """Talk in three segments of groups of one to five, the last killed in its middle."""
    talk, files = Talk(), MemoryFiles()
    policy = LogPolicy(segment_bytes=35_000, checkpoint_records=20)
    log = open_log(files, policy=policy)
    log.append([talk.register("tama"), talk.register("budi", 1)])
    number = 0
    while files.used < LOG_BYTES:
        number += 1
        group = [
            talk.say(("tama", "budi")[part % 2], "kata " * (number % 9) + str(number)) for part in range(number % 5)
        ]
        log.append([*group, talk.join(f"tamu{number}")])
    reading = read_back(MemoryFiles(files.snapshot()))
    large = Large(files.snapshot(), reading)
    for (segment, end, _, leaves), start in zip(reading.ends, reading.starts, strict=True):
        name = f"{segment:08}.segment"
        large.ends.setdefault(name, []).append(end)
        large.starts.setdefault(name, []).append(start)
        large.leaves.setdefault(name, []).append(leaves)
    return large


def run_flips(budget: Budget, count: int) -> Result:
    """Every bit of every file."""
    large = large_log()
    places = [(name, 8 * len(data)) for name, data in large.contents.items()]
    total = sum(bits for _, bits in places)
    result = Result(wanted=count or total, unit=f"of {total:,} bits flipped in {total // 8:,} bytes")
    recovered = 0
    for number in budget.take(spread(total)):
        if result.done >= result.wanted:
            break
        recovered += _flip(large, *_place(places, number), result)
        result.done += 1
    result.notes.append(f"{result.done - recovered:,} refused by name, {recovered:,} recovered to the last COMMIT")
    return result


def _place(places: list[tuple[str, int]], number: int) -> tuple[str, int]:
    """Which file, and where in it, a number over all of them is."""
    for name, size in places:
        if number < size:
            return name, number
        number -= size
    raise AssertionError("there is no such place")


def _flip(large: Large, name: str, bit: int, result: Result) -> bool:
    """Whether it was recovered rather than refused."""
    at = bit // 8
    flipped = bytearray(large.contents[name])
    flipped[at] ^= 1 << bit % 8
    files = MemoryFiles(large.contents)
    files.contents[name].now = flipped
    ends = large.ends[name]
    harmless = name == large.last and at >= ends[-2]  # SYNCED, behind everything
    start = large.before(name, at)
    try:
        reading = read_back(files, start)
    except LogDamaged as refused:
        group_end = ends[found] if (found := bisect_right(ends, at) - 1) >= 0 else 0
        if harmless or refused.path != DIRECTORY / name or not group_end <= refused.offset <= at:
            result.problem(f"bit {bit} of {name}: refused with {refused}")
        if bytes(files.contents[name].now) != flipped:
            result.problem(f"bit {bit} of {name}: refused, and changed")
        return False
    rest = large.reading.payloads[start.tree.size if start else 0 :]
    if not harmless or reading.payloads != rest:
        result.problem(f"bit {bit} of {name}: neither refused nor recovered")
    return True


def run_cuts(budget: Budget, count: int) -> Result:
    """Every length that every file could have."""
    large = large_log()
    total = sum(len(data) for data in large.contents.values())
    places = [(name, len(data)) for name, data in large.contents.items()]
    result = Result(wanted=count or total, unit=f"of {total:,} truncations")
    for number in budget.take(spread(total)):
        if result.done >= result.wanted:
            break
        _cut(large, *_place(places, number), result)
        result.done += 1
    return result


def _cut(large: Large, name: str, length: int, result: Result) -> None:
    whole = large.contents[name]
    files = MemoryFiles(large.contents)
    files.contents[name].now = bytearray(whole[:length])
    start = large.before(name, length)
    try:
        reading = read_back(files, start)
    except LogDamaged as refused:
        if name == large.last and length >= large.header:
            result.problem(f"{name} cut to {length}: refused with {refused}")
        if bytes(files.contents[name].now) != whole[:length]:
            result.problem(f"{name} cut to {length}: refused, and changed")
        return
    end = start.position.offset if start and f"{start.number:08}.segment" == name else large.header
    if name != large.last or reading.payloads or bytes(files.contents[name].now) != whole[:end]:
        result.problem(f"{name} cut to {length}: not recovered exactly to its last COMMIT")
