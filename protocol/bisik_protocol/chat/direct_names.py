"""The names of direct rooms: `@`, and the two people's names as they were when it began, in order, with `+` between.

Neither sign can be in a person's name. This file knows nothing of who is called how now.
"""

from functools import lru_cache
from typing import Final

from bisik_protocol.chat.names import InvalidName, canonical_name

_MARK: Final = "@"
_BETWEEN: Final = "+"


def is_direct(room: str) -> bool:
    """Whether this is what a direct room is called, and not another room."""
    return room.startswith(_MARK)


def direct_room(one: str, other: str) -> str:
    """The room of two canonical names. Raises ValueError for one name twice."""
    if one == other:
        raise ValueError("a direct room is between two people")
    return _MARK + _BETWEEN.join(sorted((one, other)))


@lru_cache(maxsize=4096)  # asked at every post
def direct_names(room: str) -> tuple[str, str]:
    """The two names in the name of a direct room. Raises InvalidName for what `direct_room` did not make."""
    one, between, other = room.removeprefix(_MARK).partition(_BETWEEN)
    if not is_direct(room) or not between or not one < other:
        raise InvalidName("That is not the name of a direct room.")
    for name in (one, other):
        if canonical_name(name) != name:
            raise InvalidName("That is not the name of a direct room.")
    return one, other
