"""Every sentence of the client that can be translated, read from its source: `python -m tests.support.catalogue`.

That prints, as entries to be filled in, what the Indonesian catalogue lacks, and names what nobody says any more.
"""

import ast
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from bisik import cli
from bisik.i18n import LOCALE_DIRECTORY, read_catalogue

CLIENT = Path(cli.__file__).parent
CATALOGUE = LOCALE_DIRECTORY / "id.po"


def sentences() -> dict[str, str | None]:
    """From each sentence, in the order of the source, to its plural if it has one."""
    found: dict[str, str | None] = {}
    for path in sorted(CLIENT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id in ("_", "N_") and isinstance(node.args[0], ast.Constant):
                    found.setdefault(node.args[0].value, None)
                elif node.func.id == "ngettext":
                    singular, plural = (ast.literal_eval(argument) for argument in node.args[:2])
                    found[singular] = plural
    for text in command_line_texts():
        found.setdefault(text, None)
    return found


def command_line_texts() -> Iterator[str]:
    """What `--help` says: of the program, its commands and all their options."""
    context = click.Context(cli.cli, **cli.cli.context_settings)
    yield from _texts(cli.cli)
    for name, summary in cli.COMMANDS.items():
        yield summary
        command = cli.cli.load(name)
        assert command is not None
        yield from _texts(command, context)


def _texts(command: click.Command, context: click.Context | None = None) -> Iterator[str]:
    if command.help:
        yield cleandoc(command.help)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            yield parameter.help
    if isinstance(command, click.Group) and not isinstance(command, cli.LazyGroup):
        for inner in command.commands.values():
            yield from _texts(inner, context)


def _entry(singular: str, plural: str | None) -> str:
    lines = ["msgid " + _quoted(singular)]
    if plural is None:
        return "\n".join([*lines, 'msgstr ""'])
    return "\n".join([*lines, "msgid_plural " + _quoted(plural), 'msgstr[0] ""'])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\b", "\\b")
    parts = [part.replace("\n", "\\n") for part in escaped.splitlines(keepends=True)]
    return f'"{parts[0]}"' if len(parts) == 1 else '""\n' + "\n".join(f'"{part}"' for part in parts)


def main() -> None:
    """Print what is missing and what is left over."""
    wanted, there = sentences(), read_catalogue(CATALOGUE)
    for singular, plural in wanted.items():
        if singular not in there:
            click.echo(_entry(singular, plural) + "\n")
    for sentence in there:
        if sentence not in wanted:
            click.echo(f"# nobody says this any more: {sentence!r}")


if __name__ == "__main__":
    main()
