"""/set: what of the configuration a running client can take on, for every interface alike.

The rows are those of `settings`; the interface says which of them it can change, and how. Nothing is written: the
file is the person's own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bisik.i18n import _
from bisik.settings import KEYS, config_path, objection


@dataclass(frozen=True, slots=True)
class Adjustable:
    """A setting that an interface can change while it runs. `show` says what holds now."""

    show: Callable[[], str]
    change: Callable[[str], None]


class ForThisRun:
    """What can be set here, by the keys' names."""

    def __init__(self, adjustable: Mapping[str, Adjustable]) -> None:
        self._adjustable = adjustable

    def answer(self, argument: str) -> list[str]:
        """Do what stands behind /set; the lines that say what holds now, or why not."""
        name, value = _name_and_value(argument)
        if not name:
            path = _("For good it stands in {path}.").format(path=config_path())
            return [*(self._row(key.name) for key in KEYS), path]
        if name not in {key.name for key in KEYS}:
            return [objection(name, value) or ""]
        if not value:
            return [self._row(name)]
        adjustable = self._adjustable.get(name)
        if adjustable is None:
            return [_only_in_file(name)]
        complaint = objection(name, value)
        if complaint is not None:
            return [complaint]
        adjustable.change(value)
        return [f"{name} = {adjustable.show()}"]

    def words(self, before: str) -> list[str]:
        """What may stand behind `before`, the beginning of a line that ends with a blank; nothing elsewhere."""
        typed = before.split()
        if typed == ["/set"]:
            return list(self._adjustable)
        if len(typed) == 2 and typed[0] == "/set" and typed[1] in self._adjustable:
            return [choice for key in KEYS if key.name == typed[1] for choice in key.choices]
        return []

    def _row(self, name: str) -> str:
        key = next(key for key in KEYS if key.name == name)
        adjustable = self._adjustable.get(name)
        if adjustable is None:
            return _only_in_file(name)
        return f"{name} = {adjustable.show()}  ({', '.join(key.choices)})  {_(key.help)}"


def _only_in_file(name: str) -> str:
    return _("{name} is not for this run: it is read from {path} at the start.").format(name=name, path=config_path())


def _name_and_value(argument: str) -> tuple[str, str]:
    """`bell off`, and `bell = off` as the file has it."""
    name, _space, value = argument.replace("=", " ", 1).strip().partition(" ")
    return name.lower(), value.strip().strip('"').lower()
