"""The replay window, as a table of transcripts in the manner of wireguard-go's replay_test."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.crypto.replay import REPLAY_WINDOW_PACKETS, ReplayWindow

SIZE = REPLAY_WINDOW_PACKETS
LAST = (1 << 48) - 1

# (what the row shows, [(number, accepted), ...] in the order of arrival)
TRANSCRIPTS: list[tuple[str, list[tuple[int, bool]]]] = [
    ("the first number is new, once", [(0, True), (0, False)]),
    ("numbers in order are new", [(n, True) for n in range(300)]),
    (
        "a first number above zero leaves those below it new",
        [(5, True), (0, True), (4, True), (5, False), (0, False)],
    ),
    ("swapped neighbours are both new", [(1, True), (0, True), (3, True), (2, True), (2, False), (3, False)]),
    ("every number of a reversed run is new", [(n, True) for n in reversed(range(SIZE))]),
    ("the oldest in the window is new", [(SIZE - 1, True), (0, True), (0, False)]),
    ("one behind the window counts as seen", [(SIZE, True), (0, False), (1, True), (1, False)]),
    (
        "the window forgets as it moves",
        [(0, True), (SIZE - 1, True), (0, False), (SIZE, True), (0, False), (1, True)],
    ),
    ("a step of size - 1 keeps the edge", [(0, True), (SIZE - 1, True), (0, False), (1, True), (SIZE - 1, False)]),
    ("a step of size drops everything", [(0, True), (SIZE, True), (0, False), (SIZE, False), (1, True)]),
    ("a step of size + 1 drops everything", [(0, True), (SIZE + 1, True), (1, False), (2, True), (SIZE + 1, False)]),
    (
        "a jump to the last number of all is cheap",
        [(7, True), (LAST, True), (7, False), (LAST, False), (LAST - 1, True)],
    ),
    ("the edge under the last number", [(LAST, True), (LAST - SIZE + 1, True), (LAST - SIZE, False)]),
    ("a gap stays open after later numbers", [(0, True), (2, True), (3, True), (1, True), (1, False), (4, True)]),
]


@pytest.mark.parametrize("transcript", [row[1] for row in TRANSCRIPTS], ids=[row[0] for row in TRANSCRIPTS])
def test_transcript_of_arrivals(transcript: list[tuple[int, bool]]) -> None:
    """Each arrival of the row is accepted or refused as the row says."""
    window = ReplayWindow()
    assert [(number, window.accept(number)) for number, _ in transcript] == transcript


@given(st.lists(st.integers(0, 40), max_size=120), st.integers(1, 16))
def test_window_agrees_with_a_set_of_everything_seen(arrivals: list[int], size: int) -> None:
    """A number is accepted exactly if it never came before and is less than `size` behind the highest."""
    window = ReplayWindow(size)
    seen: set[int] = set()
    for number in arrivals:
        expected = number not in seen and (not seen or number > max(seen) - size)
        assert window.accept(number) is expected
        if expected:
            seen.add(number)


@given(st.lists(st.one_of(st.integers(0, LAST), st.integers(0, 3 * SIZE)), max_size=60))
def test_no_number_is_ever_accepted_twice(arrivals: list[int]) -> None:
    """Whatever the jumps and the order, a second arrival is refused."""
    window = ReplayWindow()
    accepted = [number for number in arrivals * 2 if window.accept(number)]
    assert len(accepted) == len(set(accepted))


def test_memory_stays_bounded_after_jumps() -> None:
    """The bitmap never outgrows the window, however the numbers run."""
    window = ReplayWindow()
    for number in [0, 1, SIZE, 5 * SIZE, LAST - 9, LAST]:
        window.accept(number)
        assert window._seen.bit_length() <= SIZE
