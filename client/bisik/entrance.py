"""The way in: which interface a person gets, with as little loaded before the first paint as can be.

Somebody at a terminal that can do it gets the screen, everybody else line mode: pipes, TERM=dumb, and whoever asks
for --plain. Who one is, is asked at the first visit only, in plain lines; the screen opens after that.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from bisik.home import Home
from bisik.screen import can_redraw
from bisik.settings import load_settings

if TYPE_CHECKING:
    from bisik.home import Profile


def come_in(home: Home, *, plain: bool = False, invite_text: str | None = None, name_text: str | None = None) -> None:
    """Stay until the person leaves. Raises BisikError."""
    settings = load_settings()
    lines = "bisik.room"  # brings Trio and cryptography with it
    plain = plain or settings.plain
    if plain or not can_redraw():
        import_module(lines).stay(home, invite_text, name_text, plain=plain, bell=settings.bell)
        return
    known = home.default() if invite_text is None else None
    profile: Profile = known or import_module(lines).settle_who(home, invite_text, name_text)
    home.use(profile)
    import_module("bisik.tui.run").run(home, profile, settings)
