"""Whether the time that a refused login takes tells which names there are.

Each try is a session of its own that has proved the join password and asks to log in through the daemon's admission,
with Argon2id as it is but cheaper (MEMORY_KIB and PASSES), so that what stands beside the hash weighs more than it
does in life. The kinds of try are interleaved in an order from a seed. Of each kind the slowest TRIMMED share and the
quickest are left out, at the same quantiles for all, because the machine's pauses are in them; then Cohen's d is the
difference of two means by their pooled standard deviation. What is wanted is |d| under MAX_EFFECT.

Admission is asked directly: the network adds only noise. `known device of another name` is a member's device that
gives somebody else's name.
"""

import itertools
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from benchmarks.command import command
from benchmarks.tables import table
from bisik_protocol.chat.messages import Login, Prove
from bisik_protocol.chat.statements import LOGIN_CONTEXT
from bisikd.admission import Admission, Doorkeeper
from bisikd.blocking import in_threads
from bisikd.chat import Chat
from bisikd.guard import Guard, Limit
from bisikd.passwords import Cost, Passwords
from bisikd.users import UserStore
from tests.support.keys import device_key
from tests.support.memory_log import MemoryLog

MEMORY_KIB = 256
PASSES = 1
TRIMMED = 0.1
MAX_EFFECT = 0.1
PASSWORD = "k7mq-2hfd-x9wt-3bnr"  # noqa: S105 # of nobody's server
BINDING = bytes(32)
NO_WAITING = Limit(burst=1_000_000, interval_s=1.0, max_delay_s=1.0, max_entries=16)

KINDS = ("known name, wrong login ID", "unknown name, any login ID", "known device of another name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`tries` of each kind."""

    tries: int = 2000
    seed: int = 1


FULL = Plan()
SMALL = Plan(tries=20)


def trimmed(times: Sequence[float]) -> list[float]:
    """Without the TRIMMED share at either end."""
    cut = int(len(times) * TRIMMED)
    return sorted(times)[cut : len(times) - cut]


def effect(one: Sequence[float], other: Sequence[float]) -> float:
    """Cohen's d of two samples that are trimmed already: 0 where their means are equal."""
    pooled = ((statistics.variance(one) + statistics.variance(other)) / 2) ** 0.5
    return (statistics.fmean(one) - statistics.fmean(other)) / pooled if pooled else 0.0


async def run(plan: Plan) -> str:
    with TemporaryDirectory() as directory:
        times = await _measure(plan, Path(directory))
    kept = {kind: trimmed(found) for kind, found in times.items()}
    rows = [
        [kind, f"{statistics.fmean(found) * 1e6:,.1f}", f"{statistics.stdev(found) * 1e6:,.1f}"]
        for kind, found in kept.items()
    ]
    effects = {(a, b): effect(kept[a], kept[b]) for a, b in itertools.combinations(KINDS, 2)}
    largest = max(map(abs, effects.values()))
    title = (
        f"Refused logins, {plan.tries:,} of each, Argon2id of {MEMORY_KIB} KiB and {PASSES} pass, seed {plan.seed}"
    )
    return "\n\n".join(
        [
            table(title, ["login", "mean us", "deviation us"], rows),
            table("Cohen's d", ["between", "d"], [[f"{a} | {b}", f"{d:+.3f}"] for (a, b), d in effects.items()]),
            f"The largest |d| is {largest:.3f}; wanted is less than {MAX_EFFECT}.",
        ]
    )


async def _measure(plan: Plan, directory: Path) -> dict[str, list[float]]:
    door = _doorkeeper(directory)
    for name, number in (("tama", 0), ("sari", 1)):
        login_id_hash = door.passwords.hash("a login ID that nobody has")
        door.users.create(name, device_key(number).public.modulus, login_id_hash, 1)
    order = [kind for kind in KINDS for _ in range(plan.tries)]
    random.Random(plan.seed).shuffle(order)
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number, kind in enumerate(["", *KINDS] * 5 + order):
        lasted_s = await _try(door, kind or KINDS[0])
        if number >= 5 * (1 + len(KINDS)):  # the first ones fill caches
            times[kind].append(lasted_s)
    return times


async def _try(door: Doorkeeper, kind: str) -> float:
    name = "nobo" if kind == KINDS[1] else "tama"  # names of one length
    device = device_key(1 if kind == KINDS[2] else 2)
    request = Login(2, name, device.public.modulus, device.sign(LOGIN_CONTEXT, BINDING), "wrong-wrong-wrong-wrong")
    admission = Admission(door, binding=BINDING, host="192.0.2.7")
    await admission.answer(Prove(1, PASSWORD))
    began = time.perf_counter()
    await admission.answer(request)
    return time.perf_counter() - began


def _doorkeeper(directory: Path) -> Doorkeeper:
    passwords = Passwords(Cost(memory_kib=MEMORY_KIB, passes=PASSES, lanes=1))
    join_hash = passwords.hash(PASSWORD)
    chat = Chat(
        log=MemoryLog(),  # type: ignore[arg-type] # nothing is stored
        users=UserStore.open(directory),
        passwords=passwords,
        join_hash=lambda: join_hash,
        blocking=in_threads(),
        now=trio.current_time,
        now_ms=lambda: 1,
        flush=lambda: None,
        on_entry=lambda entry, statement: None,
        tell=lambda text: None,
        guard=Guard(NO_WAITING, NO_WAITING),
    )
    return chat.doorkeeper


main = command(run, full=FULL, small=SMALL)

if __name__ == "__main__":
    main()
