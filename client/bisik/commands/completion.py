"""bisik completion: how a shell learns to complete this program's commands."""

import click

from bisik.cli import COMPLETE_VARIABLE

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print what SHELL needs to complete commands and options.

    \b
    bash:  bisik completion bash > ~/.local/share/bash-completion/completions/bisik
    zsh:   bisik completion zsh > ~/.zfunc/_bisik     (with ~/.zfunc in fpath)
    fish:  bisik completion fish > ~/.config/fish/completions/bisik.fish
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 # nobody else needs it

    from bisik.cli import cli  # noqa: PLC0415 # this module is loaded by it

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 # the argument is one of the three
    click.echo(kind(cli, {}, "bisik", COMPLETE_VARIABLE).source())
