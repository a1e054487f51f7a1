"""The dialogue with a person: the steps of `dialogue` carried out on a terminal, or a pipe, and a network."""

import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final

import click
import trio

from bisik import dialogue as steps
from bisik.dial import identify
from bisik.errors import IdentityMismatch, Interrupted, Refused, Unreachable
from bisik.gate import Gate, arrive, open_gate
from bisik.home import Home, Profile
from bisik.i18n import _
from bisik.stdin import STDIN, EndOfInput, Stdin
from bisik_protocol.chat.text import harmless

FIND_S: Final = 8.0

_OnNetwork = steps.Find | steps.Enter | steps.Prove | steps.Register | steps.Login


class Visitor:
    """One dialogue."""

    def __init__(self, home: Home, stdin: Stdin) -> None:
        self._home = home
        self._stdin = stdin
        self._gates = AsyncExitStack()
        self._gate: Gate | None = None

    async def run(self, dialogue: steps.Dialogue) -> Profile:
        """Who the person is and where, remembered in the home. Raises BisikError."""
        # What is typed between two questions may be a password that comes too early: it is not shown.
        with _echo(self._stdin, False):
            return await self._run(dialogue)

    async def _run(self, dialogue: steps.Dialogue) -> Profile:
        answer: steps.Answer = None
        async with self._gates:
            while True:
                try:
                    step = dialogue.send(answer)
                except StopIteration as stop:
                    return self._remember(stop.value)
                except steps.GiveUp as error:
                    raise (IdentityMismatch if error.mismatch else Unreachable)(str(error)) from None
                answer = await self._carry_out(step)

    def _remember(self, settled: steps.Settled) -> Profile:
        return self._home.save(
            name=settled.name, host=settled.host, port=settled.port, fingerprint=settled.fingerprint
        )

    async def _carry_out(self, step: steps.Step) -> steps.Answer:
        if isinstance(step, steps.Say):
            click.echo(harmless(step.text, multiline=True), err=True)
            return None
        if isinstance(step, steps.Ask):
            return await self._ask(step)
        try:
            return await self._on_network(step)
        except Refused as refused:
            return steps.Problem(str(refused), refused.code)
        except Unreachable as error:
            return steps.Problem(str(error))

    # On the network ---------------------------------------------------------------------------------------------

    async def _on_network(self, step: _OnNetwork) -> steps.Answer:
        if isinstance(step, steps.Find):
            return await self._find(step)
        if isinstance(step, steps.Enter):
            await self._enter(step)
        elif self._gate is None:
            raise TypeError(step)
        elif isinstance(step, steps.Prove):
            await self._gate.prove(step.join_password)
        elif isinstance(step, steps.Register):
            return steps.Registered(await self._gate.register(step.name))
        else:
            await self._gate.login(step.name, step.login_id)
        return None

    async def _find(self, step: steps.Find) -> steps.Found:
        click.echo(
            _("Looking for a server at {host} port {port} …").format(host=harmless(step.host), port=step.port),
            err=True,
        )
        fingerprint = await identify(step.host, step.port, timeout_s=FIND_S)
        profile = self._home.profile(fingerprint)
        here = self._home.at_address(step.host, step.port)
        return steps.Found(
            fingerprint,
            known_as=None if profile is None else profile.name,
            expected=None if here is None else here.fingerprint,
        )

    async def _enter(self, step: steps.Enter) -> None:
        await self._gates.aclose()
        device, line = await arrive(self._home, host=step.host, port=step.port, fingerprint=step.fingerprint)
        gate = open_gate(step.host, step.port, step.fingerprint, device, line)
        self._gate = await self._gates.enter_async_context(gate)
        await self._gate.reach()

    # At the terminal --------------------------------------------------------------------------------------------

    async def _ask(self, step: steps.Ask) -> str:
        try:
            return await ask(self._stdin, step.prompt, secret=step.secret)
        except EndOfInput:
            raise Interrupted(_("There was nothing more to read, and the dialogue was not finished.")) from None


async def ask(stdin: Stdin, prompt: str, *, secret: bool = False) -> str:
    """Put a question on stderr and read the answer; what is secret is not echoed. Raises EndOfInput."""
    if not stdin.is_terminal:
        click.echo(prompt.rstrip(), err=True)
        return await stdin.line()
    if secret and sys.platform == "win32":
        return await trio.to_thread.run_sync(_read_hidden, prompt, abandon_on_cancel=True)
    with _echo(stdin, not secret):  # before the prompt: somebody may type at the first sight of it
        click.echo(prompt, nl=False, err=True)
        answer = await stdin.line()
    if secret:
        click.echo(err=True)
    return answer


def _read_hidden(prompt: str) -> str:
    from getpass import getpass  # noqa: PLC0415 # seldom needed

    return getpass(prompt)


@contextmanager
def _echo(stdin: Stdin, on: bool) -> Iterator[None]:
    """Whether the terminal shows what is typed, for a while."""
    if sys.platform == "win32" or not stdin.is_terminal:
        yield
        return
    import termios  # noqa: PLC0415 # Unix only

    before = termios.tcgetattr(STDIN)
    wanted = termios.tcgetattr(STDIN)
    wanted[3] = wanted[3] | termios.ECHO if on else wanted[3] & ~termios.ECHO
    try:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, wanted)
        yield
    finally:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)
