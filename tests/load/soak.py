"""Real traffic for minutes: a daemon as a process of its own with its log, and hundreds of clients on loopback.

`make soak-load`, with CLIENTS=500 MINUTES=10, RATE (messages a second, in all) and SEED; SLICE=1 for what CI runs.
They talk in rooms; some quit and come back, some vanish without a word, come back, and are heard of once more from
another port, as a phone is after a tunnel. Exits 1 where memory, descriptors or tasks grow, where something is left
once everybody has gone, or where a message that was accepted did not come to everybody exactly once.
"""

import argparse
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import trio

from benchmarks.fleet import Fleet
from benchmarks.processes import allow_descriptors
from bisikd.passwords import Passwords
from bisikd.users import UserStore
from tests.load.seat import Room, Seat, SeatClient
from tests.load.watching import Watcher
from tests.support.daemon_process import DaemonProcess, fresh_state, open_daemon
from tests.support.keys import device_key

AT_ONCE: Final = 16  # clients that are coming in
COME_IN_S: Final = 60.0
ARRIVE_S: Final = 60.0  # for the last message to come to everybody
CLOSING_S: Final = 3.0  # for which who said goodbye still answers
TEXT_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Times in seconds. `people` sit in each room, and everybody is in every room, with a client for each."""

    clients: int = 500
    minutes: float = 10.0
    rate: float = 6.0  # messages a second, in all
    seed: int = 1
    people: int = 50
    quit_every_s: float = 2.0
    drop_every_s: float = 5.0
    ghost_s: float = 30.0  # from vanishing to being heard of again
    sample_s: float = 5.0


SLICE: Final = Plan(
    clients=40, minutes=0.75, people=10, quit_every_s=1.0, drop_every_s=2.0, ghost_s=5.0, sample_s=1.0
)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Crowd:
    """All seats, and what happens on them."""

    def __init__(self, plan: Plan, daemon: DaemonProcess, fleet: Fleet, nursery: trio.Nursery) -> None:
        assert daemon.invite.fingerprint is not None
        self.wrong: list[str] = []
        self.messages = self.quits = self.drops = 0
        self._plan = plan
        self._rng = random.Random(plan.seed)
        self._address, self._fingerprint = daemon.address, daemon.invite.fingerprint
        self._fleet = fleet
        self._nursery = nursery
        self._ghosts: set[SeatClient] = set()
        self._accepts = trio.CapacityLimiter(AT_ONCE)
        people = min(plan.people, plan.clients)
        rooms = [Room(f"#room{number}") for number in range(-(-plan.clients // people))]
        self.seats = [
            Seat(f"person{number % people}", device_key(number % people), rooms[number // people], self.wrong)
            for number in range(plan.clients)
        ]

    # Coming and going ----------------------------------------------------------------------------------------------

    async def come_in(self) -> None:
        """Everybody, a few at a time."""
        async with trio.open_nursery() as nursery:
            for seat in self.seats:
                nursery.start_soon(self._sit_down, seat)

    async def rehearse(self) -> None:
        """Two come, one misses what the other says and is given it from the log, and both go.

        What that opens, the log's own segment among it, is open from then on.
        """
        reader, speaker = self.seats[0], self.seats[1]
        for seat in (reader, speaker):
            await self._sit_down(seat)
        await self._goodbye(self._get_up(reader))
        speaker.say("rehearsal")
        assert speaker.client is not None
        self.messages += 1
        self._fleet.flush(speaker.client)
        await self._sit_down(reader)
        await self.arrive(self.seats[:2])
        await self.go_home()

    async def _sit_down(self, seat: Seat) -> None:
        async with self._accepts:
            client = SeatClient(seat, self._address, self._fingerprint)
            seat.client = client
            self._fleet.add(client, self._address)
            with trio.move_on_after(COME_IN_S) as waiting:
                await client.ready.wait()
            self._fleet.flush(client)
            if waiting.cancelled_caught:
                self.wrong.append(f"{seat.name} could not come into {seat.room.name} within {COME_IN_S:.0f} s")

    async def churn(self) -> None:
        """Talk, quit, vanish and come back, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._talk)
            nursery.start_soon(self._now_and_then, self._plan.quit_every_s, self._quit)
            nursery.start_soon(self._now_and_then, self._plan.drop_every_s, self._vanish)

    async def _talk(self) -> None:
        while True:
            await trio.sleep(self._rng.expovariate(self._plan.rate))
            seat = self._rng.choice(self.seats)
            if seat.free_to_speak:
                assert seat.client is not None
                self.messages += 1
                seat.say(f"{self.messages} ".ljust(TEXT_CHARACTERS, "x"))
                self._fleet.flush(seat.client)

    async def _now_and_then(self, every_s: float, do) -> None:  # type: ignore[no-untyped-def]
        while True:
            await trio.sleep(self._rng.expovariate(1 / every_s))
            seat = self._rng.choice(self.seats)
            if seat.client is not None and seat.client.lane is not None:
                self._nursery.start_soon(do, seat)

    async def _quit(self, seat: Seat) -> None:
        client = self._get_up(seat)
        self.quits += 1
        away_s = self._rng.uniform(1.0, self._plan.ghost_s)
        await self._goodbye(client)
        await trio.sleep(away_s)
        await self._sit_down(seat)

    async def _vanish(self, seat: Seat) -> None:
        client = self._get_up(seat)
        self.drops += 1
        self._fleet.remove(client)
        self._ghosts.add(client)
        self._nursery.start_soon(self._haunt, client)
        await trio.sleep(self._rng.uniform(0.0, 5.0))
        await self._sit_down(seat)

    async def _haunt(self, client: SeatClient) -> None:
        """Who vanished is heard of once more, from another port: the daemon may forget them."""
        await trio.sleep(self._plan.ghost_s)
        client.on_lane_message = lambda lane, data: None  # type: ignore[method-assign] # somebody else sits there now
        self._fleet.add(client, self._address)
        await self._goodbye(client)
        self._ghosts.discard(client)

    def _get_up(self, seat: Seat) -> SeatClient:
        client, seat.client = seat.client, None
        assert client is not None
        client.check()
        return client

    async def _goodbye(self, client: SeatClient) -> None:
        client.on_lane_message = lambda lane, data: None  # type: ignore[method-assign] # it reads no longer
        client.say_goodbye()
        self._fleet.flush(client)
        await trio.sleep(CLOSING_S)
        self._fleet.remove(client)

    # The end -------------------------------------------------------------------------------------------------------

    async def arrive(self, seats: list[Seat]) -> None:
        """Wait until all of them sit, nothing is under way and they were shown everything."""
        with trio.move_on_after(ARRIVE_S + COME_IN_S):
            while self._late(seats) or self._ghosts:  # noqa: ASYNC110 # many things must be so at once
                await trio.sleep(0.2)
        self.wrong.extend(self._late(seats)[:5])

    def _late(self, seats: list[Seat]) -> list[str]:
        return [
            f"{seat.name} has been shown {seat.position} of {seat.room.head} in {seat.room.name}"
            for seat in seats
            if seat.client is None or seat.client.lane is None or seat.waits or (seat.position or 0) < seat.room.head
        ]

    async def go_home(self) -> None:
        """Everybody says goodbye."""
        async with trio.open_nursery() as nursery:
            for seat in self.seats:
                if seat.client is not None:
                    nursery.start_soon(self._goodbye, self._get_up(seat))
                    await trio.sleep(0.005)

    def count(self) -> None:
        """Every message that was accepted was stored once."""
        rooms = {seat.room.name: seat.room for seat in self.seats}.values()
        stored = sum(room.texts.total() for room in rooms)
        twice = [text.strip("x ") for room in rooms for text, times in room.texts.items() if times > 1]
        accepted = sum(seat.accepted for seat in self.seats)
        shown = sum(seat.shown for seat in self.seats)
        say(
            f"{self.messages} messages said, {accepted} accepted, {stored} stored, {len(twice)} of them twice; "
            f"{shown} entries shown; {self.quits} quit and {self.drops} vanished, and came back"
        )
        if twice:
            self.wrong.append(f"stored twice: {twice[:10]}")
        if not self.messages == accepted == stored or not stored:
            self.wrong.append("what was said, accepted and stored is not the same, or nothing")


def make_accounts(state: Path, people: int) -> None:
    """Who takes part has been there before: registering is not what is looked at."""
    users = UserStore.open(state / "users")
    secret = Passwords().hash("nobody uses it")
    for number in range(people):
        users.create(f"person{number}", device_key(number).public.modulus, secret, 1_795_338_000_000)


async def soak(plan: Plan, scratch: Path) -> list[str]:
    """What did not hold, in words."""
    people = min(plan.people, plan.clients)
    state = fresh_state(scratch / "state")
    say(f"{people} people get their keys")
    await trio.to_thread.run_sync(make_accounts, state, people)
    limits = ("--set", f"limits.sessions_per_user={4 * -(-plan.clients // people)}")
    async with open_daemon(state, *limits) as daemon:
        try:
            return await load(plan, state, daemon)
        finally:
            if daemon.talk:
                say(f"bisikd said: {daemon.talk.decode()[-2000:]}")


async def load(plan: Plan, state: Path, daemon: DaemonProcess) -> list[str]:
    """The load on a daemon that runs."""
    fleet = Fleet()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fleet.run)
        crowd = Crowd(plan, daemon, fleet, nursery)
        watcher = Watcher(daemon.process.pid, state, say)
        await crowd.rehearse()
        base = await watcher.start()
        began = trio.current_time()
        await crowd.come_in()
        say(f"{plan.clients} clients came in within {trio.current_time() - began:.0f} s")
        with trio.move_on_after(plan.minutes * 60):
            async with trio.open_nursery() as busy:
                busy.start_soon(watcher.go_on, plan.sample_s, max(plan.sample_s, plan.minutes * 60 / 20))
                busy.start_soon(crowd.churn)
        await crowd.arrive(crowd.seats)
        await crowd.go_home()
        left = await watcher.home(base)
        crowd.count()
        say(f"bisikd status was asked {watcher.asked} times, {watcher.unanswered} of them in vain")
        growing = watcher.growing()
        nursery.cancel_scope.cancel()
    fleet.close()
    return [*dict.fromkeys(crowd.wrong), *left, *growing]


def plan_of(arguments: argparse.Namespace) -> Plan:
    if arguments.slice:
        return SLICE
    return Plan(**{name: value for name, value in vars(arguments).items() if value is not None and name != "slice"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--slice", action="store_true")
    plan = plan_of(parser.parse_args())
    allow_descriptors(2 * plan.clients + 1000)
    with TemporaryDirectory(prefix="bisik-load-") as scratch:
        wrong = trio.run(soak, plan, Path(scratch))
    for sentence in wrong[:20]:
        say(f"NO: {sentence}")
    say("did not hold" if wrong else "all held")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
