"""What the names of styles look like: dark, light, and the terminal's own colours.

`terminal` paints no background and uses the sixteen colours that a terminal's owner has chosen. It is also what
NO_COLOR gets, with every colour taken out: then weight, dimness and reversal say what colours say elsewhere.
"""

from dataclasses import dataclass
from typing import Final

from rich.style import Style
from textual.theme import BUILTIN_THEMES, Theme


@dataclass(frozen=True, slots=True)
class Palette:
    """A theme of Textual's, and a Rich style for each name of ours."""

    theme: Theme
    styles: dict[str, Style]

    @property
    def name(self) -> str:
        return self.theme.name

    def style(self, name: str) -> Style:
        return self.styles.get(name, _PLAIN)


_PLAIN: Final = Style.null()


def _styles(
    *,
    dim: str,
    accent: str,
    good: str,
    poor: str,
    bad: str,
    on_bar: str,
    names: tuple[str, ...],
    selected: str,
) -> dict[str, Style]:
    written = {
        "time": dim,
        "day": dim,
        "presence": dim,
        "talk": dim,
        "list": "",
        "notice": f"bold {poor}",
        "new": f"bold {bad}",
        "act": "italic",
        "mention": f"bold reverse {accent}",
        "name-own": f"bold {accent}",
        "state": dim,
        "queued": poor,
        "failed": f"bold {bad}",
        "room": "",
        "room-current": selected,
        "room-unread": "bold",
        "room-mention": f"bold {bad}",
        "member": "",
        "member-quiet": dim,
        "topic": f"italic {dim}",
        "heading": f"bold {dim}",
        "bar": "",
        "bar-good": good,
        "bar-opening": dim,
        "bar-poor": f"bold {poor}",
        "bar-broken": f"bold {on_bar} on {bad}" if bad else "bold reverse",
        "prompt": f"bold {accent}",
        "cursor": "reverse",
        "key": f"bold {accent}",
    }
    written |= {f"name-{number}": f"bold {colour}" for number, colour in enumerate(names)}
    return {name: Style.parse(text.strip()) if text.strip() else _PLAIN for name, text in written.items()}


DARK: Final = Palette(
    Theme(
        name="bisik-dark",
        primary="#7aa2d6",
        background="#15181d",
        foreground="#d6d9de",
        surface="#15181d",
        panel="#1f242c",
        dark=True,
    ),
    _styles(
        dim="#808894",
        accent="#e0b060",
        good="#86b386",
        poor="#e0b060",
        bad="#e8746c",
        on_bar="#15181d",
        names=("#7aa2d6", "#86b386", "#c792b8", "#6fb7b7", "#d69a7a", "#a3a0dc", "#b5b46a", "#e08a9b"),
        selected="bold #15181d on #7aa2d6",
    ),
)

LIGHT: Final = Palette(
    Theme(
        name="bisik-light",
        primary="#2f5d9b",
        background="#fbfaf7",
        foreground="#24272c",
        surface="#fbfaf7",
        panel="#e9e7e0",
        dark=False,
    ),
    _styles(
        dim="#6b7078",
        accent="#8a5a00",
        good="#2f6b36",
        poor="#8a5a00",
        bad="#b3261e",
        on_bar="#fbfaf7",
        names=("#2f5d9b", "#2f6b36", "#8a3f78", "#16686b", "#98481c", "#544ea8", "#6b6200", "#a62f4d"),
        selected="bold #fbfaf7 on #2f5d9b",
    ),
)

TERMINAL: Final = Palette(
    Theme(
        name="bisik-terminal",
        ansi=True,
        primary="ansi_blue",
        secondary="ansi_cyan",
        warning="ansi_yellow",
        error="ansi_red",
        success="ansi_green",
        accent="ansi_green",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        dark=True,
        variables=BUILTIN_THEMES["ansi-dark"].variables,
    ),
    _styles(
        dim="dim",
        accent="yellow",
        good="green",
        poor="yellow",
        bad="red",
        on_bar="default",
        names=("blue", "green", "magenta", "cyan", "red", "bright_blue", "yellow", "bright_magenta"),
        selected="bold reverse",
    ),
)

PALETTES: Final = {"dark": DARK, "light": LIGHT, "terminal": TERMINAL}


def next_name(name: str) -> str:
    """The theme after this one, round and round."""
    names = list(PALETTES)
    return names[(names.index(name) + 1) % len(names)]
