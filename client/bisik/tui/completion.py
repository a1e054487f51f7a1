"""Tab: what the word before the cursor may become: names of people, rooms, commands and what stands behind them; once
more, the next one.

It keeps no lists of its own; whoever asks says what there is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bisik.tui.editor import Editor


@dataclass(frozen=True, slots=True)
class _Round:
    """The suggestions being gone through, and what the input looked like after the last one."""

    start: int
    words: Sequence[str]
    place: int
    text: str


class Completion:
    """The callables say what there is now; people come with those who spoke last first.

    `arguments` is asked what may stand behind the beginning of a line.
    """

    def __init__(
        self,
        *,
        people: Callable[[], Iterable[str]],
        rooms: Callable[[], Iterable[str]],
        commands: Callable[[str], Iterable[str]],
        arguments: Callable[[str], Sequence[str]] = lambda before: (),
    ) -> None:
        self._people = people
        self._rooms = rooms
        self._commands = commands
        self._arguments = arguments
        self._round: _Round | None = None

    def next(self, editor: Editor, *, step: int = 1) -> None:
        """Complete the word before the cursor, or put the next suggestion in the place of the last one."""
        last = self._round
        if last is not None and last.text == editor.before:
            place = (last.place + step) % len(last.words)
            self._put(editor, last.start, last.words, place)
            return
        start, words = self._suggestions(editor.before)
        if words:
            self._put(editor, start, words, 0 if step > 0 else len(words) - 1)

    def _put(self, editor: Editor, start: int, words: Sequence[str], place: int) -> None:
        editor.replace_before(start, words[place])
        self._round = _Round(start, words, place, editor.before)

    def _suggestions(self, before: str) -> tuple[int, list[str]]:
        start = max(before.rfind(" "), before.rfind("\n")) + 1
        word = before[start:]
        if arguments := self._arguments(before[:start]):
            return start, [f"{name} " for name in _beginning(word, arguments)]
        if not word:
            return start, []
        if start == 0 and word.startswith("/"):
            return start, [f"{name} " for name in self._commands(word)]
        if word.startswith("#"):
            return start, [f"{name} " for name in _beginning(word, self._rooms())]
        at = "@" if word.startswith("@") else ""
        behind = ": " if start == 0 and not at else " "
        return start, [f"{at}{name}{behind}" for name in _beginning(word.removeprefix("@"), self._people())]


def _beginning(start: str, names: Iterable[str]) -> list[str]:
    folded = start.casefold()
    return [name for name in dict.fromkeys(names) if name.casefold().startswith(folded)]
