"""The demo: a daemon and two people as processes, all datagrams through bad weather, SIGKILL in the middle.

The people are told what to say and nothing else. What the demo claims at its end is computed in `report` from what
the processes printed; it succeeds only if every claim holds.
"""

import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from bisik.demo.ports import steady_port
from bisik.demo.processes import Program, ProgramEnded, run_program
from bisik.demo.relay import Relay
from bisik.demo.report import person_report, problems_of
from bisik.demo.screen import Screen, network_table, people_table
from bisik.demo.script import PEOPLE, ROOMS, Line, conversation
from bisik.demo.weather import Conditions
from bisik_protocol.chat.invite import parse_invite

READY_S: Final = 20.0
HERE_S: Final = 60.0  # two registrations through the weather
HEARD_S: Final = 60.0  # everything has to be heard by then
END_S: Final = 20.0
OUTAGE_LINES: Final = 10  # said while nobody serves
OTHER_HARM: Final = ("duplicated", "corrupted", "overtaken")
INTERRUPTED: Final = 130


class Failed(Exception):  # noqa: N818
    """The demo cannot go on. Says why in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the demo is to go."""

    lines: int | None = None  # of the conversation; None: all
    pause_s: float = 0.12  # between two lines: quick people
    loss: float = 0.3
    seed: int = 1

    def __post_init__(self) -> None:
        if self.lines is not None and self.lines < 4:  # a crash in the middle needs a middle
            raise ValueError("A conversation has at least four lines.")


def run_demo(plan: Plan | None = None) -> int:
    """Run it and print it. The exit status: 0 if every claim holds, 1 if not, 130 when interrupted."""
    screen = Screen(PEOPLE)
    with tempfile.TemporaryDirectory(prefix="bisik-demo-", ignore_cleanup_errors=True) as directory:
        demo = Demo(plan or Plan(), screen, Path(directory))
        return trio.run(demo.run)


class Demo:
    """One run, in a directory that is its own."""

    def __init__(self, plan: Plan, screen: Screen, directory: Path) -> None:
        self._plan = plan
        self._screen = screen
        self._state = directory / "server"
        self._homes = {name: directory / name for name in PEOPLE}
        self._lines = conversation(plan.lines)
        self._people: dict[str, Program] = {}
        self._killed_at = 0.0
        self._problems: list[str] = []

    async def run(self) -> int:
        """The whole demo. Returns the exit status."""
        interrupted = False
        began = time.monotonic()
        try:
            async with trio.open_nursery() as nursery:

                async def end_on_signal() -> None:
                    nonlocal interrupted
                    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                        await anext(signals)
                    interrupted = True
                    nursery.cancel_scope.cancel()

                nursery.start_soon(end_on_signal)
                await self._play(nursery)
                nursery.cancel_scope.cancel()
        except* (ProgramEnded, Failed) as group:
            self._problems.append(_first_sentence(group))
        if interrupted:
            self._screen.say("\nInterrupted.")
            return INTERRUPTED
        return self._conclude(time.monotonic() - began)

    def _conclude(self, took_s: float) -> int:
        if self._problems:
            self._screen.say(f"\nNOT as it should be, after {took_s:.0f} s:", fg="red", bold=True)
            for problem in self._problems:
                self._screen.say(f"  {problem}")
            return 1
        self._screen.say(f"\nEverything arrived, once and in order, in {took_s:.0f} s.", fg="green", bold=True)
        return 0

    # The play -------------------------------------------------------------------------------------------------------

    async def _play(self, nursery: trio.Nursery) -> None:
        self._screen.say("bisik demo: a daemon and two people in processes of their own, and between them a network")
        self._screen.say(
            f"that loses {self._plan.loss:.0%} of all datagrams each way, and copies, damages and reorders others"
            f" (seed {self._plan.seed})."
        )
        daemon, ready = await self._start_daemon(nursery, f"127.0.0.1:{steady_port()}")
        invite = parse_invite(ready["invite"])
        relay = Relay((invite.host, invite.port), conditions=Conditions(loss=self._plan.loss), seed=self._plan.seed)
        host, port = await nursery.start(relay.run)
        self._screen.headings()
        await self._seat_people(nursery, replace(invite, host=host, port=port).url())
        middle = len(self._lines) // 2
        await self._speak(self._lines[:middle])
        daemon = await self._crash(nursery, daemon, ready["listen"], self._lines[middle : middle + OUTAGE_LINES])
        await self._speak(self._lines[middle + OUTAGE_LINES :])
        await self._until_heard(len(self._lines))
        await self._say_goodbye(daemon)
        await self._account(relay)

    async def _start_daemon(self, nursery: trio.Nursery, listen: str) -> tuple[Program, dict[str, Any]]:
        arguments = ["-m", "bisikd", "run", "--json", "--listen", listen, "--state", str(self._state)]
        with _deadline(READY_S, "The daemon was not ready in time."):
            daemon: Program = await nursery.start(run_program, "bisikd", arguments)
            return daemon, await daemon.first("ready")

    async def _seat_people(self, nursery: trio.Nursery, invite: str) -> None:
        for name in PEOPLE:
            arguments = ["-m", "bisik.demo.talker", name, str(self._homes[name]), *ROOMS]
            person: Program = await nursery.start(run_program, name, arguments)
            person.on_line = partial(self._show, name)
            await person.write({"invite": invite})
            self._people[name] = person
        with _deadline(HERE_S, "Somebody did not come in in time."):
            for person in self._people.values():
                await person.first("here")

    async def _speak(self, lines: Sequence[Line]) -> None:
        for line in lines:
            await self._people[line.author].write({"room": line.room, "text": line.text})
            await trio.sleep(self._plan.pause_s)

    async def _crash(self, nursery: trio.Nursery, daemon: Program, listen: str, meanwhile: Sequence[Line]) -> Program:
        """Kill the daemon, let people talk to nobody, start it again on its port, and let them find it."""
        daemon.kill()
        self._killed_at = time.monotonic()
        with _deadline(END_S, "The daemon outlived SIGKILL."):
            status = await daemon.wait()
        self._screen.event(f"the daemon is killed with SIGKILL (exit status {status})")
        await self._speak(meanwhile)
        daemon, again = await self._start_daemon(nursery, listen)
        if again["listen"] != listen:
            raise Failed(f"The daemon came back on {again['listen']} and not on {listen}.")
        self._screen.event("the daemon is started again on the same port")
        await self._until_heard(len(self._lines) // 2 + len(meanwhile))
        return daemon

    async def _until_heard(self, count: int) -> None:
        """Until the first `count` lines were heard by everybody and their authors have receipts, or for HEARD_S."""
        wanted = {(line.author, line.room, line.text) for line in self._lines[:count]}
        with trio.move_on_after(HEARD_S):
            for name, person in self._people.items():
                own = sum(author == name for author, _, _ in wanted)
                await person.until(lambda person: wanted <= _heard(person))
                await person.until(lambda person, own=own: len(person.of_type("stored")) >= own)  # type: ignore[misc]

    async def _say_goodbye(self, daemon: Program) -> None:
        """Everybody leaves, and the daemon ends in order."""
        with _deadline(END_S, "Somebody did not end in time."):
            for person in self._people.values():
                await person.close_stdin()
            for name, person in self._people.items():
                if status := await person.wait():
                    self._problems.append("\n".join([f"{name}'s process ended with status {status}.", *person.talk]))
            daemon.terminate()
            status = await daemon.wait()
        if status and sys.platform != "win32":  # Windows has no way to ask
            self._problems.append("\n".join([f"The daemon ended with status {status}.", *daemon.talk]))

    # The account ----------------------------------------------------------------------------------------------------

    async def _account(self, relay: Relay) -> None:
        printed = {name: person.lines for name, person in self._people.items()}
        outage = (self._killed_at, self._back_at())
        people = [person_report(self._lines, name, printed, outage) for name in PEOPLE]
        for person in people:
            self._problems += problems_of(self._lines, person, printed[person.name])
        self._screen.say("")
        self._screen.say(people_table(people))
        self._screen.say("")
        self._screen.say(network_table([("to the daemon", relay.up.counts), ("to the people", relay.down.counts)]))
        harm = relay.up.counts + relay.down.counts
        if harm["lost"] < self._plan.loss / 2 * harm["offered"] or not all(harm[name] for name in OTHER_HARM):
            self._problems.append("The network was better than it should have been.")
        await self._verify(sum(person.stored for person in people))

    def _back_at(self) -> float:
        """When the last of the people was connected again."""
        connected = [
            [line["at"] for line in person.of_type("link") if line["state"] == "connected"]
            for person in self._people.values()
        ]
        return max(
            (next((at for at in times if at > self._killed_at), self._killed_at) for times in connected),
            default=self._killed_at,
        )

    async def _verify(self, stored: int) -> None:
        command = ["-m", "bisikd", "log", "verify", "--state", str(self._state)]
        self._screen.say(f"\n$ {' '.join(['bisikd', *command[2:-1], '...'])}", bold=True)
        done = await trio.run_process(
            [sys.executable, *command], capture_stdout=True, capture_stderr=True, check=False
        )
        verdict = (done.stdout + done.stderr).decode(errors="backslashreplace")
        self._screen.say(verdict.rstrip())
        if done.returncode:
            self._problems.append(f"`bisikd log verify` ended with status {done.returncode}.")
        if f"{stored} messages" not in verdict:
            self._problems.append(f"The log does not hold the {stored} messages that were reported stored.")

    def _show(self, viewer: str, line: dict[str, Any]) -> None:
        match line:
            case {"type": "message", "room": room, "author": author, "text": text}:
                self._screen.message(viewer, room, author, text)
            case {"type": "join" | "leave" as kind, "room": room, "author": author}:
                self._screen.note(viewer, f"{author} {'joined' if kind == 'join' else 'left'} {room}")
            case {"type": "link" | "notice", "text": text}:
                self._screen.note(viewer, text)


@contextmanager
def _deadline(seconds: float, sentence: str) -> Iterator[None]:
    try:
        with trio.fail_after(seconds):
            yield
    except trio.TooSlowError:
        raise Failed(sentence) from None


def _heard(person: Program) -> set[tuple[str, str, str]]:
    return {(line["author"], line["room"], line["text"]) for line in person.of_type("message")}


def _first_sentence(group: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)
