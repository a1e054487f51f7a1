"""The way in: which interface a person gets, with as little loaded before the first paint as can be.

Somebody at a terminal that can do it gets the screen, everybody else line mode: pipes, TERM=dumb, and whoever asks
for --lines (a line to type on, below what is said) or --plain (nothing is drawn again). Who one is, is asked at the
first visit only, in plain lines; the screen opens after that.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from bisik.home import Home
from bisik.screen import can_redraw
from bisik.settings import load_settings

if TYPE_CHECKING:
    from bisik.home import Profile


def come_in(
    home: Home,
    *,
    plain: bool = False,
    lines: bool = False,
    invite_text: str | None = None,
    name_text: str | None = None,
) -> None:
    """Stay until the person leaves. Raises BisikError."""
    settings = load_settings()
    interface = "plain" if plain else "lines" if lines else settings.interface
    line_mode = "bisik.room"  # brings Trio and cryptography with it
    if interface != "screen" or not can_redraw():
        import_module(line_mode).stay(
            home, invite_text, name_text, plain=interface == "plain", bell=settings.bell, how=settings.notify
        )
        return
    known = home.default() if invite_text is None else None
    profile: Profile = known or import_module(line_mode).settle_who(home, invite_text, name_text)
    home.use(profile)
    import_module("bisik.tui.run").run(home, profile, settings)
