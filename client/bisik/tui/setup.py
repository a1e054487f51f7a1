"""What the app is given: who, where, how it is to look and sound, and how to get the session once it has painted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bisik.tui.ring import Bell, How, When
from bisik.tui.rooms import Rooms

if TYPE_CHECKING:
    from bisik.tui.session import Face, Session

    OpenSession = Callable[[Rooms, Face, Bell], Session]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Made once, before the first paint."""

    me: str
    where: str
    """The server, for people."""
    load: "Callable[[], OpenSession]"
    """Called in a thread: it may take as long as imports do."""
    theme: str = "dark"
    no_color: bool = False
    ring_when: When = When.MENTIONS
    ring_how: How = How.BEL
    mouse: bool = True
    keys: Mapping[str, object] = field(default_factory=dict)
