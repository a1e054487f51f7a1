"""The disk model of the crash campaigns: it forgets and reorders what a disk may, and nothing that was synced."""

from pathlib import Path
from random import Random

from tests.soak_log.campaign import Budget, spread
from tests.soak_log.nonces import run_nonces
from tests.soak_log.states import run_states
from tests.soak_log.tracing import SECTOR_BYTES, TracedFiles

ROOT = Path("/")


def test_what_is_synced_is_in_every_state() -> None:
    """Content by a sync of its file, name by a sync of its directory."""
    disk = TracedFiles()
    file = disk.create(ROOT / "a")
    file.write(0, b"safe")
    file.sync()
    assert {} in disk.crash_states()
    disk.sync_directory(ROOT)
    file.write(4, b" perhaps")
    states = list(disk.crash_states())
    assert all(state["a"].startswith(b"safe") for state in states)
    assert {b"safe", b"safe perhaps", b"safe" + bytes(8)} <= {state["a"] for state in states}


def test_a_write_is_torn_into_sectors_and_reordered() -> None:
    """Any sector of an unsynced write may be there without those before it."""
    disk = TracedFiles()
    file = disk.create(ROOT / "a")
    disk.sync_directory(ROOT)
    file.write(0, b"1" * SECTOR_BYTES + b"2" * SECTOR_BYTES)
    file.write(2 * SECTOR_BYTES, b"3")
    states = {state["a"] for state in disk.crash_states()}
    assert bytes(SECTOR_BYTES) + b"2" * SECTOR_BYTES in states
    assert bytes(2 * SECTOR_BYTES) + b"3" in states
    assert disk.one_state(Random(1))["a"] in states


def test_a_rename_may_be_lost_and_never_changes_what_a_file_holds() -> None:
    """Old name, new name, or both; the file behind them is the same."""
    disk = TracedFiles()
    file = disk.create(ROOT / "new")
    file.write(0, b"whole")
    file.sync()
    disk.rename(ROOT / "new", ROOT / "name")
    assert {tuple(sorted(state.items())) for state in disk.crash_states()} == {
        (),
        (("new", b"whole"),),
        (("name", b"whole"),),
    }


def test_a_disk_can_be_gone_on_with_after_a_cut() -> None:
    """What a state holds is the beginning of the next disk."""
    disk = TracedFiles({"a": b"left"})
    disk.open(ROOT / "a", writable=True).truncate(2)
    assert {state["a"] for state in disk.crash_states()} == {b"left", b"le"}


def test_a_spread_meets_every_number_once() -> None:
    """However many there are."""
    for total in (1, 2, 7, 100, 4096):
        assert sorted(spread(total)) == list(range(total))


def test_a_little_of_the_campaigns_holds() -> None:
    """A few hundred crash states, some thousand sealed records; continuous integration runs more of each."""
    for result in (run_states(Budget(30.0), 300), run_nonces(Budget(30.0), 3000)):
        assert result.problems == []
        assert result.done >= result.wanted
