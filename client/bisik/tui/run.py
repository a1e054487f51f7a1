"""Into the UI with somebody whom the home knows, and out of it again."""

import gc
import os
from typing import TYPE_CHECKING

from bisik.home import Home, Profile
from bisik.screen import wants_color
from bisik.settings import Settings
from bisik.tui.app import BisikApp
from bisik.tui.keymap import let_digits_be_digits
from bisik.tui.ring import Bell, How, When
from bisik.tui.rooms import Rooms
from bisik.tui.setup import Setup

if TYPE_CHECKING:
    from bisik.tui.session import Face, Session
    from bisik.tui.setup import OpenSession


def run(home: Home, profile: Profile, settings: Settings) -> None:
    """Stay until the person leaves. Raises BisikError, after the terminal is as it was."""
    for variable in ("COLUMNS", "LINES"):  # Textual believes them, and they do not change when a window does
        os.environ.pop(variable, None)
    let_digits_be_digits()
    app = BisikApp(
        Setup(
            me=profile.name,
            where=profile.address,
            load=lambda: load(home, profile),
            theme=settings.theme,
            no_color=not wants_color(),
            ring_when=When(settings.bell),
            ring_how=How(settings.notify),
            mouse=settings.mouse,
            keys=settings.keys,
        )
    )
    app.run(mouse=settings.mouse)
    if app.error is not None:
        raise app.error


def load(home: Home, profile: Profile) -> "OpenSession":
    """What the first paint does without; to be called in a thread."""
    from functools import partial  # noqa: PLC0415 # all of this is what the first paint does without

    from bisik.chat import open_profile  # noqa: PLC0415
    from bisik.tui.session import Session  # noqa: PLC0415

    def open_session(rooms: Rooms, face: "Face", bell: Bell) -> "Session":
        return Session(partial(open_profile, home, profile, reader="chat"), rooms, face, bell)

    # Modules and classes stay to the end. A full collection that walks them all takes some 50 ms, between a key and
    # the screen that follows it; without them it takes 5.
    gc.freeze()
    return open_session
