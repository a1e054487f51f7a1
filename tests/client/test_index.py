"""Full text on this device: what is found, by which words, and that no query can break it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik.errors import HomeError
from bisik.events import Message
from bisik.index import SearchIndex


def said(text: str, seq: int, room: str = "#lobby", author: str = "sari") -> Message:
    time = f"2026-11-22T09:00:{seq % 60:02}.000Z"
    return Message(room=room, author=author, text=text, seq=seq, id=f"{seq:032x}", time=time, kind="say")


@pytest.fixture
def index(tmp_path: Path) -> SearchIndex:
    made = SearchIndex(tmp_path / "server" / "search.db")
    made.add(
        [
            said("Dua kopi, tentu.", 1),
            said("The backup is done", 2, author="robot"),
            said("Kopi lagi di dapur", 3, room="#dapur"),
            said("café \x1b[31m au lait", 4),
            said("日本語 で 話す", 5),
        ]
    )
    return made


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("kopi", [1, 3]),
        ("KOPI", [1, 3]),
        ("kop", [1, 3]),
        ("kopi dua", [1]),
        ("dua tent", [1]),
        ("du kopi", []),
        ("cafe lait", [4]),
        ("日本語", [5]),
        ("nothing", []),
        ("", []),
        ("   ", []),
    ],
)
def test_all_words_are_found_and_the_last_may_be_a_beginning(
    index: SearchIndex, query: str, found: list[int]
) -> None:
    """In any order, whatever their case and accents; oldest first."""
    assert [message.seq for message in index.search(query)] == found


def test_rooms_authors_and_numbers_narrow_it(index: SearchIndex) -> None:
    """The newest are kept, and each comes whole."""
    assert [message.seq for message in index.search("kopi", room="#dapur")] == [3]
    assert [message.seq for message in index.search("done", author="robot")] == [2]
    assert index.search("done", author="sari") == []
    assert index.search("kopi", count=1) == [said("Kopi lagi di dapur", 3, room="#dapur")]


def test_what_is_added_twice_is_found_once(tmp_path: Path) -> None:
    """Live and from history, in this run and the next."""
    for _run in range(2):
        index = SearchIndex(tmp_path / "search.db")
        index.add([said("halo", 1), said("halo", 1)])
        index.cover("#lobby", 1)
        index.cover("#lobby", 0)
        assert len(index.search("halo")) == 1
        assert (index.covered("#lobby"), index.covered("#dapur")) == (1, 0)
        index.close()


@given(st.text(max_size=40))
def test_no_query_is_more_than_words(query: str) -> None:
    """Operators, quotes, brackets and stars are text."""
    index = SearchIndex(None)
    index.add([said("halo", 1)])
    assert len(index.search(query)) <= 1
    assert len(index.search(f'halo "{query[:0]}')) == 1
    index.close()


@pytest.mark.parametrize(
    "query", ['"', "*", "a AND", "NOT", "NEAR(", "text:halo", "^", "!!!", "a OR b", "\x00", "\ud800"]
)
def test_what_looks_like_an_operator_is_none(index: SearchIndex, query: str) -> None:
    """It finds nothing, and raises nothing."""
    assert index.search(query) == []


def test_a_damaged_index_says_that_it_can_be_deleted(tmp_path: Path) -> None:
    """It is a cache."""
    path = tmp_path / "search.db"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(HomeError, match="can be deleted"):
        SearchIndex(path)


def test_the_newest_of_a_room(index: SearchIndex) -> None:
    """So many, or all, and those before a number; oldest first, and never another room's."""
    assert [message.seq for message in index.last("#lobby")] == [1, 2, 4, 5]
    assert [message.seq for message in index.last("#lobby", 2)] == [4, 5]
    assert [message.seq for message in index.last("#lobby", 2, before=4)] == [1, 2]
    assert index.last("#lobby", before=1) == []
