"""The demo's conversation is one that its report can check, and one that is worth reading."""

from collections import Counter

import pytest

from bisik.demo.script import PEOPLE, ROOMS, conversation
from bisik_protocol.chat.names import canonical_name, canonical_room


def test_nobody_says_the_same_thing_twice_in_a_room() -> None:
    """Author, room and text name a line, so that a doubled message cannot hide."""
    assert max(Counter(conversation()).values()) == 1


def test_both_people_talk_in_both_rooms() -> None:
    """Each has about half of the lines, and each room has its share."""
    lines = conversation()
    for author in PEOPLE:
        assert 40 <= sum(line.author == author for line in lines) <= 60
    for room in ROOMS:
        assert sum(line.room == room for line in lines) >= 30


@pytest.mark.parametrize("count", [0, 4, 30])
def test_a_short_conversation_is_the_beginning_of_the_long_one(count: int) -> None:
    """A shorter demo says the same, and stops earlier."""
    assert conversation(count) == conversation()[:count]


def test_names_and_rooms_are_in_their_one_spelling() -> None:
    """What people see is what the script says, so the report compares like with like."""
    assert [canonical_name(name) for name in PEOPLE] == list(PEOPLE)
    assert [canonical_room(room) for room in ROOMS] == list(ROOMS)
