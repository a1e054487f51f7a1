"""After a crash: exactly what was committed, or a refusal that names the byte. Nothing in between, for any bytes."""

from itertools import combinations, product

import pytest

from bisikd.log import LogDamaged
from bisikd.log.format import RecordKind
from bisikd.log.recovery import Cut, Refusal, Whole, judge
from bisikd.log.replay import Extent, Position
from tests.daemon.log.bench import DIRECTORY, Small, open_log, read_back, small_log
from tests.daemon.log.disks import MemoryFiles
from tests.daemon.log.talk import Talk

STRIDE = 5  # coprime with 8: every place in a byte has its turn


@pytest.fixture(scope="module", params=[True, False], ids=["closed", "killed"])
def small(request: pytest.FixtureRequest) -> Small:
    return small_log(closed=request.param)


# The rules by themselves --------------------------------------------------------------------------------------------


def extent(*, settled: int, sound: int, size: int, behind: int | None = None) -> Extent:
    return Extent(Position(settled, group=5, counter=20), sound, size, behind)


@pytest.mark.parametrize(
    ("ends", "last", "verdict"),
    [
        (extent(settled=900, sound=900, size=900), True, Whole),
        (extent(settled=900, sound=900, size=900), False, Whole),
        (extent(settled=900, sound=900, size=950), True, Cut),  # bytes of nothing
        (extent(settled=900, sound=930, size=930), True, Cut),  # records without their COMMIT
        (extent(settled=900, sound=930, size=950), True, Cut),
        (extent(settled=900, sound=900, size=950, behind=6), True, Cut),  # of the unfinished group itself
        (extent(settled=900, sound=900, size=950, behind=7), True, Refusal),  # that group was fsynced
        (extent(settled=900, sound=930, size=950, behind=9), True, Refusal),
        (extent(settled=900, sound=900, size=950), False, Refusal),  # only the last segment may be cut
        (extent(settled=900, sound=930, size=930), False, Refusal),
    ],
)
def test_the_rules(ends: Extent, last: bool, verdict: type) -> None:
    """The table of docs/log.md: a cut is always behind the last COMMIT, a refusal names where the damage begins."""
    found = judge(ends, last=last)
    assert type(found) is verdict
    if isinstance(found, Cut):
        assert found.at == 900
    if isinstance(found, Refusal):
        assert found.offset == ends.sound_end


# Every truncation ---------------------------------------------------------------------------------------------------


def test_every_truncation_of_the_last_segment_recovers_to_its_last_commit(small: Small) -> None:
    """Each length that the file could have: cut back to the last whole group, and to nothing less."""
    whole = small.contents[small.last]
    ends = small.ends(2)
    for length in range(len(whole)):
        files = MemoryFiles(small.contents | {small.last: whole[:length]})
        if length < 944:
            with pytest.raises(LogDamaged, match=r"00000002\.segment, byte 0: .*cut short"):
                read_back(files)
            continue
        end, leaves = max([(944, 2)] + [at for at in ends if at[0] <= length])
        assert read_back(files).payloads == small.reading.payloads[:leaves], length
        assert files.snapshot() == small.contents | {small.last: whole[:end]}, length


def test_every_truncation_of_an_older_segment_is_refused(small: Small) -> None:
    """Wherever it is cut, even where a group ends: the next segment says how long it was. Nothing is changed."""
    name, whole = min(small.contents.items())
    for length in range(len(whole)):
        files = MemoryFiles(small.contents | {name: whole[:length]})
        before = files.snapshot()
        with pytest.raises(LogDamaged, match=r"0000000[12]\.segment, byte"):
            read_back(files)
        assert files.snapshot() == before, length


def test_the_log_goes_on_after_every_kind_of_cut(small: Small) -> None:
    """Behind a cut a new segment begins, and both are whole at the next start."""
    whole = small.contents[small.last]
    for length in range(944, len(whole), 97):
        files = MemoryFiles(small.contents | {small.last: whole[:length]})
        log = open_log(files)
        room, head = "#lobby", log.head("#lobby")
        kept = log.entries(room, 0, 100)
        talk = Talk()
        talk.heads[room] = head
        log.append([talk.join("sari")])
        again = open_log(files)
        assert again.entries(room, 0, 100) == kept + talk.said[room]


# Every flipped bit --------------------------------------------------------------------------------------------------


def test_every_flipped_bit_is_refused_or_harmless(small: Small) -> None:
    """A bit of each byte and more of a log of 5 KB, with nothing to help but the log: refused, nothing changed.

    The one exception is the last record of all, SYNCED, which holds nothing: without it, everything is recovered.
    Of the log of a killed process, only the segment that ends otherwise than the other is taken. The campaign
    `flips` of tests/soak_log takes every bit of a larger log.
    """
    flips = 0
    for name, whole in small.contents.items():
        number = int(name[:8])
        if number == 1 and not small.closed:
            continue
        ends = [0, 944, *(end for end, _ in small.ends(number))]
        for bit in range(0, 8 * len(whole), STRIDE):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            files = MemoryFiles(small.contents | {name: bytes(flipped)})
            if name == small.last and bit // 8 >= ends[-2]:
                assert read_back(files).payloads == small.reading.payloads
                continue
            with pytest.raises(LogDamaged) as refused:
                read_back(files, small.between if number == 2 else None)
            assert refused.value.path == DIRECTORY / name
            assert max(end for end in ends if end <= bit // 8) <= refused.value.offset <= bit // 8
            assert files.contents[name].now == flipped
            flips += 1
    assert flips > 8 * 4000 // STRIDE if small.closed else flips > 10_000 // STRIDE


def test_a_damaged_sector_is_refused_or_harmless(small: Small) -> None:
    """512 bytes of zeros or of noise, at every place: as with one bit."""
    for name, whole in small.contents.items():
        mark = small.ends(2)[-2][0] if name == small.last else len(whole)
        for start, noise in product(range(0, len(whole), 32), (b"\0", b"\xa5", b"\0\0\x01\0")):
            end = min(start + 512, len(whole))
            damaged = whole[:start] + (noise * 512)[: end - start] + whole[end:]
            files = MemoryFiles(small.contents | {name: damaged})
            if start >= mark:
                assert read_back(files).payloads == small.reading.payloads
                continue
            try:
                read = read_back(files).payloads
            except LogDamaged:
                continue
            # only where nothing whole is left behind the damage is it like an unfinished write
            assert end > mark
            assert read == small.reading.payloads[: len(read)]


def test_without_its_mark_damage_to_the_newest_group_passes_for_an_unfinished_write() -> None:
    """The limit of what a file alone can tell: a power cut took SYNCED, then the last group was damaged.

    It is recovered to the COMMIT before. A client that holds a later checkpoint sees that something is gone.
    """
    small = small_log(closed=False)
    (end_before, leaves_before), (end, _), _ = small.ends(2)[-4:-3] + small.ends(2)[-2:]
    whole = small.contents[small.last][:end]
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    assert small.ends(2)[-1][0] == end + 33
    assert end_before < end
    files = MemoryFiles(small.contents | {small.last: bytes(flipped)})
    assert read_back(files).payloads == small.reading.payloads[:leaves_before]


# Every torn write ---------------------------------------------------------------------------------------------------


def test_every_set_of_sectors_that_a_power_cut_leaves_is_recovered() -> None:
    """While a group is being written, each subset of its sectors may be on the disk: the group is whole or gone."""
    talk, files = Talk(), MemoryFiles()
    log = open_log(files)
    log.append([talk.register("tama"), talk.join("tama")])
    acknowledged = read_back(MemoryFiles(files.snapshot())).payloads
    group = [*(talk.say("tama", text * 9) for text in ("satu", "dua", "tiga", "empat")), talk.leave("tama")]
    states = 0

    def before_fsync(operation: str, path: object) -> None:
        """The moment of the cut: everything is written, nothing is fsynced."""
        nonlocal states
        if operation != "sync_data":
            return
        sectors = files.unsynced_sectors()
        assert 6 <= len(sectors) <= 8
        for size in range(len(sectors) + 1):
            for kept in combinations(sectors, size):
                states += 1
                after = files.after_power_cut(set(kept))
                read = read_back(after).payloads
                whole = [*acknowledged, *(record.payload for record in group)]
                assert read == whole if size == len(sectors) else read in (acknowledged, whole)
                assert read_back(after).payloads == read  # and again: recovery is done once

    files.fault = before_fsync
    log.append(group)
    assert states >= 64


def test_what_was_acknowledged_survives_a_power_cut_at_any_moment() -> None:
    """Before each operation of a life of the log, all that is not fsynced is lost, or each part of it is kept."""
    talk, files = Talk(signed=False), MemoryFiles()
    acknowledged: list[bytes] = []

    def cut(operation: str, path: object) -> None:
        sectors = files.unsynced_sectors()
        for kept in ([], sectors, sectors[::2], sectors[1::2], sectors[-1:], sectors[:-1]):
            for names_kept in (False, True):
                after = files.after_power_cut(set(kept), names_kept=names_kept)
                read = read_back(after).payloads
                assert read[: len(acknowledged)] == acknowledged

    files.fault = cut
    for _ in range(2):
        log = open_log(files)
        if not acknowledged:
            log.append([talk.register("tama")])
            acknowledged = read_back(MemoryFiles(files.snapshot())).payloads
        for text in ("satu", "dua"):
            record = talk.say("tama", text)
            log.append([record])
            acknowledged = [*acknowledged, record.payload]
        log.close()


def test_a_killed_process_leaves_nothing_half_durable() -> None:
    """Groups that only the page cache has are fsynced by the next start, before it begins a segment behind them."""
    talk, files = Talk(signed=False), MemoryFiles()
    log = open_log(files)
    log.append([talk.register("tama")])
    unsynced = files.contents["00000001.segment"]
    log.append([talk.say("tama", "halo")])
    unsynced.synced = unsynced.synced[:944]  # as if killed between write and fsync
    open_log(files)
    assert len(read_back(files.after_power_cut()).payloads) == 2


# Whole segments -----------------------------------------------------------------------------------------------------


def test_a_missing_segment_is_refused(small: Small) -> None:
    """The first by its absence; the last is missed by whoever has a later checkpoint, or an index."""
    contents = {name: data for name, data in small.contents.items() if name != "00000001.segment"}
    with pytest.raises(LogDamaged, match=r"00000001\.segment, byte 0: .*missing"):
        read_back(MemoryFiles(contents))


def test_a_segment_under_another_number_is_refused(small: Small) -> None:
    """A copy of the last segment behind itself."""
    contents = small.contents | {"00000003.segment": small.contents["00000002.segment"]}
    with pytest.raises(LogDamaged, match="under the name of segment 3"):
        read_back(MemoryFiles(contents))


def test_a_segment_of_another_history_is_refused(small: Small) -> None:
    """Same server, same number, other records before it."""
    talk, files = Talk(signed=False), MemoryFiles()
    log = open_log(files)
    log.append([talk.register("tama"), talk.join("budi")])
    log.close()
    with pytest.raises(LogDamaged, match=r"00000002\.segment, byte 0: .*other records"):
        read_back(MemoryFiles(small.contents | {"00000001.segment": files.snapshot()["00000001.segment"]}))


def test_an_unfinished_segment_is_no_segment(small: Small) -> None:
    """What a crash leaves before a segment has its name is removed, and its number is used."""
    files = MemoryFiles(small.contents | {"00000003.unfinished": b"bisikl"})
    log = open_log(files)
    assert sorted(files.contents) == ["00000001.segment", "00000002.segment", "00000003.segment"]
    assert log.tree_size == len(small.records)


def test_other_files_are_left_alone(small: Small) -> None:
    """What is not ours is neither read nor removed."""
    files = MemoryFiles(small.contents | {"notes.txt": b"mine"})
    assert read_back(files).payloads == small.reading.payloads
    assert files.snapshot()["notes.txt"] == b"mine"


def test_the_small_log_has_every_kind_of_record(small: Small) -> None:
    """So that what is shown above is shown for all of them."""
    kinds = {kind for _, _, kind, _ in small.reading.ends}
    assert kinds == {RecordKind.COMMIT, RecordKind.CHECKPOINT, RecordKind.SYNCED}
