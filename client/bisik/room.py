"""Into the room with Trio alone: who one is (asked at the first visit only), then line mode."""

from functools import partial

import trio

from bisik.chat import PERSON, open_profile
from bisik.dialogue import dialogue
from bisik.home import Home, Profile
from bisik.plain import LineMode
from bisik.screen import Pipes, PlainScreen, Screen, TerminalScreen, can_redraw, wants_color
from bisik.stdin import Stdin
from bisik.tui.ring import Bell, How, When
from bisik.visit import check_same_name, known_profile, person_name, read_invite
from bisik.visitor import Visitor


def stay(
    home: Home,
    invite_text: str | None,
    name_text: str | None,
    *,
    plain: bool = False,
    bell: str = "off",
    how: str = "bel",
) -> None:
    """Come in and stay until the person leaves, in line mode; `plain`: nothing is drawn again. Raises BisikError."""
    trio.run(
        partial(
            enter,
            home=home,
            invite_text=invite_text,
            name_text=name_text,
            plain=plain,
            bell=Bell(When(bell), How(how)),
        )
    )


def settle_who(home: Home, invite_text: str | None, name_text: str | None) -> Profile:
    """Only find out who one is and where, by a dialogue if need be. Raises BisikError."""
    return trio.run(_who_and_where, home, Stdin(), invite_text, name_text)


async def enter(
    *,
    home: Home,
    invite_text: str | None = None,
    name_text: str | None = None,
    plain: bool = False,
    bell: Bell | None = None,
) -> None:
    """Come in and stay until the person leaves. Raises BisikError."""
    stdin = Stdin()
    profile = await _who_and_where(home, stdin, invite_text, name_text)
    home.use(profile)
    screen: Screen = Pipes()
    if can_redraw():
        screen = PlainScreen() if plain else TerminalScreen(color=wants_color())
    async with open_profile(home, profile, reader=PERSON) as chat:
        await LineMode(chat, screen, bell=bell or Bell()).run(stdin)


async def _who_and_where(home: Home, stdin: Stdin, invite_text: str | None, name_text: str | None) -> Profile:
    if invite_text is None:
        return home.default() or await Visitor(home, stdin).run(dialogue())
    invite = read_invite(invite_text)
    name = None if name_text is None else person_name(name_text)
    profile = known_profile(home, invite) if invite.fingerprint is not None else None
    if profile is None:
        return await Visitor(home, stdin).run(dialogue(invite, name))
    check_same_name(home, profile, name)
    return profile
