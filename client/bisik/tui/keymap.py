"""Which key does what, and what a person may change about that.

Keys have the names that Textual gives them. Actions are of the editor or of the app; the table is also the help.
Config files write a key as `ctrl+k` or `alt+up`, and `[keys]` in them maps an action to one key or a list of keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from bisik.errors import WrongUsage
from bisik.i18n import N_, _


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a key can do."""

    name: str
    keys: tuple[str, ...]
    help: str
    """Half a sentence, in English: show it through `_`."""


ACTIONS: Final = (
    Action("send", ("enter",), N_("send what is typed")),
    Action("new-line", ("ctrl+j", "alt+enter", "shift+enter"), N_("begin a new line")),
    Action("complete", ("tab",), N_("complete a name, a room or a command; again: the next one")),
    Action("complete-back", ("shift+tab",), N_("the suggestion before")),
    Action("up", ("up",), N_("the line above, or what you sent before")),
    Action("down", ("down",), N_("the line below, or back again")),
    Action("history-older", ("ctrl+p",), N_("what you sent before")),
    Action("history-newer", ("ctrl+n",), N_("what you sent after that")),
    Action("page-up", ("pageup",), N_("a page up; at the top older messages are fetched")),
    Action("page-down", ("pagedown",), N_("a page down")),
    Action("line-up", ("ctrl+up", "shift+up"), N_("a line up")),
    Action("line-down", ("ctrl+down", "shift+down"), N_("a line down")),
    Action("newest", ("ctrl+end", "alt+end", "escape"), N_("back to the newest message")),
    Action("room-next", ("alt+down", "ctrl+pagedown"), N_("the next room")),
    Action("room-previous", ("alt+up", "ctrl+pageup"), N_("the room before")),
    Action("room-unread", ("alt+a",), N_("the next room with something unread, mentions first")),
    *(Action(f"room-{n}", (f"alt+{n}",), N_("the room with this number")) for n in range(1, 10)),
    Action("toggle-rooms", ("f2",), N_("show or fold away the rooms")),
    Action("toggle-members", ("f3",), N_("show or fold away the members")),
    Action("theme", ("f4",), N_("the next theme")),
    Action("bell", ("f5",), N_("ring: never, for mentions, for every message")),
    Action("help", ("f1",), N_("show this; so does ? where nothing is typed")),
    Action("redraw", ("ctrl+l",), N_("draw the screen again")),
    Action("left", ("left", "ctrl+b"), N_("a letter to the left")),
    Action("right", ("right", "ctrl+f"), N_("a letter to the right")),
    Action("word-left", ("alt+b", "ctrl+left", "alt+left"), N_("a word to the left")),
    Action("word-right", ("alt+f", "ctrl+right", "alt+right"), N_("a word to the right")),
    Action("line-start", ("home", "ctrl+a"), N_("to the beginning of the line")),
    Action("line-end", ("end", "ctrl+e"), N_("to the end of the line")),
    Action("erase-left", ("backspace", "ctrl+h"), N_("erase a letter")),
    Action("erase-right", ("delete",), N_("erase the letter under the cursor")),
    Action("kill-word-left", ("ctrl+w",), N_("cut the word before the cursor")),
    Action("kill-part-left", ("alt+backspace", "ctrl+backspace"), N_("cut to the beginning of the word")),
    Action("kill-word-right", ("alt+d", "ctrl+delete"), N_("cut the word behind the cursor")),
    Action("kill-line-left", ("ctrl+u",), N_("cut to the beginning of the line")),
    Action("kill-line-right", ("ctrl+k",), N_("cut to the end of the line")),
    Action("yank", ("ctrl+y",), N_("put what was cut")),
    Action("transpose", ("ctrl+t",), N_("exchange two letters")),
    Action("undo", ("ctrl+underscore",), N_("take the last change back")),
    Action("cancel", ("ctrl+c",), N_("clear what is typed")),
    Action("leave", ("ctrl+d",), N_("erase a letter, or leave where nothing is typed")),
    Action("suspend", ("ctrl+z",), N_("go to the background; fg brings it back")),
)


def let_digits_be_digits() -> None:
    """Alt and a digit are sent as ESC and the digit; Textual takes them for letters of a Mac's keyboard (8.2)."""
    from textual._ansi_sequences import ANSI_SEQUENCES_KEYS  # noqa: PLC0415 # the only thing of Textual's here

    sequences = cast(dict[str, object], ANSI_SEQUENCES_KEYS)
    for digit in "123456789":
        sequences.pop(f"\x1b{digit}", None)


class Keymap:
    """The action of each key."""

    def __init__(self, changes: Mapping[str, object] | None = None) -> None:
        """`changes` is the config file's [keys]: an action's name and its keys. Raises WrongUsage."""
        self.keys = {action.name: action.keys for action in ACTIONS}
        taken: dict[str, str] = {}
        for name, value in (changes or {}).items():
            keys = _keys_untrusted(name, value)
            for key in keys:
                if key in taken:
                    raise WrongUsage(
                        _("In [keys], {key} is given to both {one} and {other}.").format(
                            key=key, one=taken[key], other=name
                        )
                    )
                taken[key] = name
        for name in self.keys:
            self.keys[name] = tuple(key for key in self.keys[name] if key not in taken)
        for name in changes or {}:
            self.keys[name] = tuple(key for key, action in taken.items() if action == name)
        self._actions = {key: name for name, keys in self.keys.items() for key in keys}

    def action(self, key: str) -> str | None:
        """What a key does; None for one that only stands for its letter."""
        return self._actions.get(key)

    def help_rows(self) -> list[tuple[str, str]]:
        """Keys and what they do; the nine keys for rooms in one row."""
        rows = []
        for action in ACTIONS:
            if action.name.startswith("room-") and action.name[5:].isdigit() and action.name != "room-1":
                continue
            keys = ", ".join(self.keys[action.name])
            if action.name == "room-1" and self.keys["room-1"] == ("alt+1",):
                keys = "alt+1 … alt+9"
            rows.append((keys, _(action.help)))
        return rows


def _keys_untrusted(name: str, value: object) -> list[str]:
    if name not in {action.name for action in ACTIONS}:
        raise WrongUsage(_("In [keys], there is no action {name}. F1 shows all of them.").format(name=repr(name)))
    keys = [value] if isinstance(value, str) else value
    if not isinstance(keys, list) or not all(isinstance(key, str) and key.strip() for key in keys):
        raise WrongUsage(_("In [keys], {name} wants a key or a list of keys.").format(name=name))
    return [key.strip().lower() for key in keys]
