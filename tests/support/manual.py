"""The man pages, from the same source as --help: `python -m tests.support.manual` writes docs/man.

One page a program, with every subcommand in it. They are in English, whatever the locale, and carry no date, so that
the same source gives the same bytes.
"""

from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from bisik import cli as bisik_cli
from bisikd import cli as bisikd_cli

MAN = Path(__file__).parents[2] / "docs" / "man"


def pages() -> dict[Path, str]:
    """Each page's file and text."""
    return {
        MAN / "bisik.1": page("bisik", bisik_cli.cli, "group chat for bad networks"),
        MAN / "bisikd.1": page("bisikd", bisikd_cli.cli, "daemon of the group chat bisik"),
    }


def page(name: str, program: click.Group, what: str) -> str:
    """A man page in roff."""
    context = click.Context(program, info_name=name, **program.context_settings)
    lines = [
        f'.TH "{name.upper()}" 1 "" "bisik" "User Commands"',
        ".SH NAME",
        rf"{name} \- {what}",
        ".SH SYNOPSIS",
        rf"\fB{name}\fR {_text(' '.join(program.collect_usage_pieces(context)))}",
        ".SH DESCRIPTION",
        *_paragraphs(program.help or ""),
        ".SH OPTIONS",
        *_options(program, context),
        ".SH COMMANDS",
    ]
    for path, command, inner in _commands(program, context):
        usage = " ".join(command.collect_usage_pieces(inner))
        lines += [f'.SS "{path} {_text(usage)}"', *_paragraphs(command.help or ""), *_options(command, inner)]
    lines += [".SH EXIT STATUS", *_exit_status()] if name == "bisik" else []
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.load(name) if isinstance(group, bisik_cli.LazyGroup) else group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        path = inner.command_path.partition(" ")[2]
        if isinstance(command, click.Group):
            yield from _commands(command, inner)
        else:
            yield path, command, inner


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            lines += [".nf", *(_line(line) for line in paragraph.split("\n")[1:]), ".fi"]
        else:
            lines += [_line(" ".join(paragraph.split())), ".PP"]
    return lines[:-1] if lines and lines[-1] == ".PP" else lines


def _options(command: click.Command, context: click.Context) -> list[str]:
    lines: list[str] = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None and parameter.name != "help":
            lines += [".TP", rf"\fB{_text(record[0])}\fR", _line(record[1])]
    return lines


def _exit_status() -> list[str]:
    codes = {
        0: "done",
        1: "refused, or not found",
        2: "wrong usage",
        3: "the server was not reached",
        4: "whoever answered is not the server that is known here",
        5: "queued, and not stored yet",
        130: "interrupted",
    }
    return [line for code, what in codes.items() for line in (".TP", rf"\fB{code}\fR", what)]


def _line(text: str) -> str:
    escaped = _text(text)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _text(text: str) -> str:
    return text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq")


def main() -> None:
    """Write them."""
    MAN.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, "utf-8")
        click.echo(path)


if __name__ == "__main__":
    main()
