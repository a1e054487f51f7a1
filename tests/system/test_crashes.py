"""Power cuts, with real processes: what was reported stored is in the history once, whoever was killed and when."""

import json
import signal
from pathlib import Path

import pytest
import trio

from bisik.demo.processes import Program
from tests.support.daemon_process import DaemonProcess, bisikd, open_daemon
from tests.support.processes import home_of, open_bisik, open_member, run_bisik, settled_state, steady_address

LOBBY = "#lobby"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return settled_state(tmp_path / "state")


async def kill(daemon: DaemonProcess) -> None:
    assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL


async def texts_in_history(home: Path) -> list[str]:
    history = await run_bisik("history", "--home", home, LOBBY, "--json")
    assert history.code == 0, history.talk
    return [json.loads(line)["text"] for line in history.lines]


def assert_log_is_whole(state: Path, messages: int) -> None:
    verified = json.loads(bisikd("log", "verify", "--json", "--state", state).stdout)
    assert (verified["ok"], verified["messages"], verified["problems"]) == (True, messages, [])


async def say(member: Program, texts: list[str]) -> None:
    for text in texts:
        await member.write({"room": LOBBY, "text": text})


async def until_stored(member: Program, count: int) -> None:
    await member.until(lambda member: len(member.of_type("stored")) >= count)


async def test_a_daemon_that_is_killed_again_and_again_loses_and_doubles_nothing(state: Path, tmp_path: Path) -> None:
    """A member talks on through two power cuts and is told of none; each line is stored once and in order."""
    lines = [f"baris {number}" for number in range(60)]
    batches = [lines[n : n + 20] for n in range(0, 60, 20)]
    listen = steady_address()
    async with trio.open_nursery() as nursery:
        seat = trio.CancelScope()
        members: list[Program] = []

        async def sit(ready: dict[str, str], *, task_status: trio.TaskStatus[None]) -> None:
            tama = home_of(tmp_path / "tama", ready, "tama")
            with seat:
                async with open_member(tama, ready["invite"], "tama", LOBBY) as member:
                    members.append(member)
                    task_status.started()
                    await trio.sleep_forever()

        for batch, enough in zip(batches, (1, 25, 60), strict=True):
            async with open_daemon(state, listen=listen) as daemon:
                if not members:
                    await nursery.start(sit, daemon.ready)
                await say(members[0], batch)
                await until_stored(members[0], enough)
                if enough == len(lines):
                    assert await texts_in_history(tmp_path / "tama") == lines
                await kill(daemon)
        seat.cancel()
    receipts = sorted(members[0].of_type("stored"), key=lambda receipt: int(receipt["seq"]))
    assert [receipt["number"] for receipt in receipts] == list(range(1, 61))
    assert [line["text"] for line in members[0].of_type("message")] == lines
    assert_log_is_whole(state, 60)


@pytest.mark.parametrize("moment", ["before it is reached", "when it is stored"])
async def test_a_send_outlives_the_daemon(moment: str, state: Path, tmp_path: Path) -> None:
    """`bisik send` finds the daemon again and exits 0; its message is there once, whether the receipt came or not."""
    async with open_daemon(state, listen=steady_address()) as daemon:
        tama = home_of(tmp_path / "tama", daemon.ready, "tama")
        async with open_bisik("send", "--home", tama, LOBBY, "halo", "--json") as send:
            if moment == "when it is stored":
                await daemon.line(lambda line: line["type"] == "message")
            await kill(daemon)
            async with open_daemon(state, listen=daemon.ready["listen"]):
                assert await send.wait() == 0, send.talk
                assert len(send.of_type("stored")) == 1
                assert await texts_in_history(tama) == ["halo"]
    assert_log_is_whole(state, 1)


async def test_a_client_that_is_killed_leaves_its_outbox_to_the_next_one(state: Path, tmp_path: Path) -> None:
    """What a killed client had taken to its outbox goes out before what is said next, in order and once."""
    async with open_daemon(state) as daemon:
        tama = home_of(tmp_path / "tama", daemon.ready, "tama")
        async with open_member(tama, daemon.ready["invite"], "tama", LOBBY) as member:
            await say(member, [f"baris {number}" for number in range(40)])
            await until_stored(member, 5)
            member.kill()
            await member.wait()
        reported = {line["number"] - 1 for line in member.of_type("stored")}
        assert (await run_bisik("send", "--home", tama, LOBBY, "terakhir")).code == 0
        *earlier, last = await texts_in_history(tama)
        assert last == "terakhir"
        assert earlier == [f"baris {number}" for number in range(len(earlier))]
        assert reported <= set(range(len(earlier)))
