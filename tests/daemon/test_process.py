"""The daemon as a process: the contract's lines and exit codes, stopping, being killed, and garbage on its port."""

import json
import os
import random
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import trio

from bisik_protocol.chat.messages import Code, Refused
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.crypto.identity import fingerprint_text
from bisik_protocol.transport.client import ClientEndpoint
from bisik_protocol.transport.events import CloseCode
from tests.support.chatter import Chatter, open_chatter
from tests.support.daemon_process import CLEAN, PATIENCE_S, PROGRAM, DaemonProcess, bisikd, fresh_state, open_daemon
from tests.support.keys import device_key, server_identity


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return fresh_state(tmp_path / "state")


def chatting(daemon: DaemonProcess, device: int, **how: object):  # type: ignore[no-untyped-def]
    fingerprint = daemon.invite.fingerprint
    assert fingerprint is not None
    return open_chatter(device_key(device), daemon.address, fingerprint, **how)


async def enter(daemon: DaemonProcess, chatter: Chatter, name: str, *rooms: str) -> None:
    await chatter.enter(name, daemon.ready["join_password"])
    for room in rooms:
        await chatter.join(room)


# The contract ------------------------------------------------------------------------------------------------------


async def test_the_first_line_says_all_that_is_needed_to_come_in(state: Path) -> None:
    """Address, fingerprint, join password and invite agree with each other and with the keys on the disk."""
    async with open_daemon(state) as daemon:
        ready = daemon.ready
        assert list(ready) == ["type", "listen", "fingerprint", "join_password", "invite"]
        assert ready["type"] == "ready"
        assert ready["fingerprint"] == fingerprint_text(server_identity().fingerprint)
        invite = daemon.invite
        assert f"{invite.host}:{invite.port}" == ready["listen"]
        assert invite.fingerprint == server_identity().fingerprint
        assert invite.join_password == ready["join_password"]


async def test_what_happens_is_printed_line_by_line(state: Path) -> None:
    """Joins, messages and leaves, with the fields that scripts rely on."""
    async with open_daemon(state) as daemon:
        async with chatting(daemon, 1) as tama:
            await enter(daemon, tama, "tama", LOBBY)
            entry = await tama.receipt(LOBBY, tama.say(LOBBY, "halo\x1b[31m"))
        await daemon.line(lambda line: line["type"] == "leave")
        join, message, leave = daemon.lines
        assert list(join) == ["type", "room", "author", "time", "seq"]
        assert (join["type"], join["room"], join["author"], join["seq"]) == ("join", LOBBY, "tama", 1)
        assert list(message) == ["type", "room", "author", "text", "seq", "id", "time"]
        assert (message["text"], message["seq"]) == ("halo\x1b[31m", entry.seq)
        assert (leave["type"], leave["seq"]) == ("leave", 3)


async def test_people_talk_to_each_other(state: Path) -> None:
    """Two clients, one room: each sees the other's messages once and in order."""
    async with open_daemon(state) as daemon, chatting(daemon, 1) as tama, chatting(daemon, 2) as sari:
        await enter(daemon, tama, "tama", LOBBY)
        await enter(daemon, sari, "sari", LOBBY)
        for number in range(50):
            tama.say(LOBBY, f"t{number}")
            sari.say(LOBBY, f"s{number}")
        for chatter in (tama, sari):
            await chatter.until(lambda chatter=chatter: len(chatter.texts(LOBBY)) == 100)  # type: ignore[misc]
        assert tama.texts(LOBBY) == sari.texts(LOBBY)
        assert [text for text in tama.texts(LOBBY) if text[0] == "s"] == [f"s{number}" for number in range(50)]


async def test_ipv6_is_served_beside_ipv4(state: Path) -> None:
    """Without a host every address of the machine is listened on, by one socket."""
    async with open_daemon(state, listen=":0") as daemon:
        port = daemon.invite.port
        fingerprint = daemon.invite.fingerprint
        assert fingerprint is not None
        hosts = ["127.0.0.1", "::1"] if daemon.ready["listen"].startswith("[::]") else ["127.0.0.1"]
        for device, host in enumerate(hosts):
            async with open_chatter(device_key(device), (host, port), fingerprint) as chatter:
                await enter(daemon, chatter, f"user{device}", LOBBY)


async def test_a_wrong_password_and_a_taken_name_are_refused_in_words(state: Path) -> None:
    """The real Argon2, the real channel: three tries and the connection ends."""
    async with open_daemon(state) as daemon:
        async with chatting(daemon, 1) as tama:
            await enter(daemon, tama, "tama")
        async with chatting(daemon, 2) as sari:
            assert await sari.prove("wrong") == Refused(1, Code.INCORRECT_PASSWORD, "Incorrect password. Try again.")
            await sari.prove(daemon.ready["join_password"])
            assert (await sari.register("Tama")).code is Code.NAME_TAKEN
            for _ in range(2):
                assert (await sari.login("tama", "wrong")).code is Code.LOGIN_ID_INCORRECT
            assert (await sari.until_closed()).code == CloseCode.REFUSED


# Ending ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_tells_the_clients_signs_the_log_and_exits_0(state: Path, how: signal.Signals) -> None:
    """Clients hear that the daemon goes away, and what was said is proved by a log that ends in a checkpoint."""
    async with open_daemon(state) as daemon, chatting(daemon, 1) as tama:
        await enter(daemon, tama, "tama", LOBBY)
        await tama.receipt(LOBBY, tama.say(LOBBY, "halo"))
        assert await daemon.stop(how) == 0
        closed = await tama.until_closed()
        assert (closed.code, closed.by_peer) == (CloseCode.GOING_AWAY, True)
        assert daemon.talk == b""
    verified = json.loads(bisikd("log", "verify", "--json", "--state", state).stdout)
    assert (verified["ok"], verified["messages"], verified["unfinished_bytes"]) == (True, 1, 0)
    assert verified["checkpoints"] >= 1


async def test_a_stop_stores_and_acknowledges_what_was_taken(state: Path) -> None:
    """Posts that the daemon has read before the signal are in the log when it ends."""
    async with open_daemon(state) as daemon, chatting(daemon, 1) as tama:
        await enter(daemon, tama, "tama", LOBBY)
        for number in range(100):
            tama.say(LOBBY, str(number))
        await tama.until(lambda: len(tama.texts(LOBBY)) >= 10)
        assert await daemon.stop() == 0
        acknowledged = len(tama.texts(LOBBY))
    shown = bisikd("log", "show", "--state", state).stdout
    assert shown.count("<tama>") >= acknowledged


async def test_after_kill_9_every_acknowledged_message_is_there_once(state: Path) -> None:
    """Killed in mid-conversation, again and again: nothing that was reported stored is lost or doubled."""
    said: dict[str, list[bytes]] = {}
    rng = random.Random(7)
    acknowledged: set[str] = set()
    for _ in range(4):
        async with open_daemon(state) as daemon, chatting(daemon, 1, said=said) as tama:
            await tama.enter("tama", daemon.ready["join_password"])
            joined = await tama.join(LOBBY, history=0)
            for seq in range(joined.chain_seq + 1, len(said.get(LOBBY, [])) + 1):
                tama.repeat(LOBBY, seq)
            for _ in range(60):
                tama.say(LOBBY, f"message {len(said[LOBBY]) + 1 if LOBBY in said else 1}")
            enough = rng.randrange(1, 60)
            await tama.until(lambda enough=enough: len(tama.texts(LOBBY)) >= enough)  # type: ignore[misc]
            await daemon.stop(signal.SIGKILL)
            acknowledged.update(tama.texts(LOBBY))
    stored = [
        json.loads(line)["text"]
        for line in bisikd("log", "export", "--room", "lobby", "--state", state).stdout.splitlines()
        if '"message"' in line
    ]
    assert stored == [f"message {number}" for number in range(1, len(stored) + 1)]
    assert acknowledged <= set(stored)
    assert json.loads(bisikd("log", "verify", "--json", "--state", state).stdout)["ok"]


async def test_after_a_restart_a_client_learns_at_once_that_it_was_forgotten(state: Path) -> None:
    """Its next packet is answered with a reset, on the same port, under the same identity."""
    async with open_daemon(state) as first, chatting(first, 1) as tama:
        await enter(first, tama, "tama", LOBBY)
        await first.stop(signal.SIGKILL)
        async with open_daemon(state, listen=first.ready["listen"]):
            tama.say(LOBBY, "is anybody there?")
            closed = await tama.until_closed()
            assert closed.code == CloseCode.RESET


async def test_a_reader_of_its_output_who_goes_away_does_not_end_it(state: Path) -> None:
    """`bisikd --json | head -1` serves on."""
    command = [*PROGRAM, "run", "--json", "--state", str(state), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, env=CLEAN, stdout=subprocess.PIPE)  # noqa: ASYNC220 # it does not block
    try:
        assert process.stdout is not None
        daemon = DaemonProcess(None, json.loads(process.stdout.readline()))  # type: ignore[arg-type]
        process.stdout.close()
        async with chatting(daemon, 1) as tama:
            await enter(daemon, tama, "tama", LOBBY)
            await tama.receipt(LOBBY, tama.say(LOBBY, "halo"))
    finally:
        process.terminate()
        assert process.wait(30) == 0


# Attacks -----------------------------------------------------------------------------------------------------------


async def test_garbage_on_the_port_changes_nothing(state: Path) -> None:
    """Random and mutated datagrams: no reply larger than its cause, no exception, and the chat goes on."""
    rng = random.Random(20)
    async with open_daemon(state) as daemon, chatting(daemon, 1) as tama:
        await enter(daemon, tama, "tama", LOBBY)
        stranger = ClientEndpoint(daemon.address, daemon.invite.fingerprint, random=os.urandom, now=0.0)
        hellos = [data for data, _ in stranger.datagrams_to_send(0.0)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(daemon.address)
            sock.setblocking(False)
            sent = received = 0
            for number in range(3000):
                datagram = bytearray(rng.choice(hellos) if number % 3 == 0 else rng.randbytes(rng.randrange(1500)))
                if number % 3 == 0:
                    datagram[rng.randrange(len(datagram))] ^= rng.randrange(1, 256)
                if number % 3 == 1 and datagram:
                    datagram[0] = rng.choice([1, 2, 3, 4, 5, 0x40, 0x41])
                sent += sock.send(datagram)
                try:
                    received += len(sock.recv(4096))
                except BlockingIOError:
                    if number % 50 == 0:
                        await trio.lowlevel.checkpoint()
            await tama.receipt(LOBBY, tama.say(LOBBY, "still here"))
        assert received < sent
        assert daemon.talk == b""
        assert daemon.process.returncode is None


# Commands ----------------------------------------------------------------------------------------------------------


async def test_status_tells_of_sessions_rooms_and_the_log(state: Path) -> None:
    """For programs as JSON, for people in lines; refused datagrams are counted by reason."""
    async with open_daemon(state) as daemon, chatting(daemon, 1) as tama:
        await enter(daemon, tama, "tama", LOBBY, "#lab")
        await tama.receipt("#lab", tama.say("#lab", "halo"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"\x01 no hello", daemon.address)
        status = json.loads((await run("status", "--json", "--state", state)).stdout)
        (session,) = status["sessions"]
        assert (session["user"], session["rooms"], session["behind"]) == ("tama", ["#lab", LOBBY], [])
        assert session["address"].startswith("127.0.0.1:")
        assert session["srtt_s"] > 0
        assert session["datagrams_received"] > 0
        rules = {"topic": "", "private": False, "read_only": False, "allowed": []}
        assert status["rooms"] == [
            {"room": "#lab", "members": ["tama"], "sessions": 1, "head": 2} | rules,
            {"room": LOBBY, "members": ["tama"], "sessions": 1, "head": 1} | rules,
        ]
        assert status["log"]["size"] == 4  # a device, two joins, a message
        assert sum(status["drops"].values()) == 1
        lines = (await run("status", "--state", state)).stdout
        assert "tama  127.0.0.1:" in lines
        assert "#lab  2 entries, 1 sessions: tama" in lines


async def test_a_session_leaves_no_task_behind(state: Path) -> None:
    """The number of tasks rises with a session, and is what it was once that has ended."""

    async def tasks(sessions: int) -> int:
        with trio.fail_after(PATIENCE_S):
            while True:
                status = json.loads((await run("status", "--json", "--state", state)).stdout)
                if len(status["sessions"]) == sessions:
                    return int(status["tasks"])

    async with open_daemon(state) as daemon:
        before = await tasks(0)
        async with chatting(daemon, 1) as tama:
            await enter(daemon, tama, "tama", LOBBY)
            assert await tasks(1) > before
        assert await tasks(0) == before


async def test_status_counts_what_was_refused(state: Path) -> None:
    """A wrong password, and a session that was ended for talking on a lane that nobody gave it."""
    async with open_daemon(state) as daemon, chatting(daemon, 1) as stranger, chatting(daemon, 2) as tama:
        assert isinstance(await stranger.prove("wrong"), Refused)
        status = json.loads((await run("status", "--json", "--state", state)).stdout)
        assert status["refused"] == {"incorrect-password": 1}
        await enter(daemon, tama, "tama", LOBBY)
        (await tama.connected()).send(77, b"hello?")
        tama.flush()
        assert (await tama.until_closed()).code == CloseCode.PROTOCOL
        status = json.loads((await run("status", "--json", "--state", state)).stdout)
        assert status["refused"]["bad-lane"] == 1
        assert "refused: bad-lane 1, incorrect-password " in (await run("status", "--state", state)).stdout


async def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return await trio.to_thread.run_sync(lambda: bisikd(*arguments, **variables))


async def test_the_invite_is_the_same_from_a_running_and_a_stopped_daemon(state: Path) -> None:
    """And a renewed join password lets newcomers in and the old one does not, at once."""
    async with open_daemon(state) as daemon:
        assert (await run("invite", "--state", state)).stdout.strip() == daemon.ready["invite"]
        renewed = json.loads((await run("invite", "--renew", "--json", "--state", state)).stdout)
        assert renewed["join_password"] != daemon.ready["join_password"]
        async with chatting(daemon, 1) as tama:
            assert isinstance(await tama.prove(daemon.ready["join_password"]), Refused)
            assert not isinstance(await tama.prove(renewed["join_password"]), Refused)
        await daemon.stop()
    stopped = json.loads((await run("invite", "--json", "--state", state)).stdout)
    assert stopped["join_password"] == renewed["join_password"]
    again = json.loads((await run("invite", "--renew", "--json", "--state", state)).stdout)
    assert again["join_password"] != renewed["join_password"]


async def test_accounts_and_log_can_be_read_beside_a_running_daemon(state: Path) -> None:
    """Who there is, what was said for people, and everything for programs."""
    async with open_daemon(state) as daemon, chatting(daemon, 1) as tama:
        await enter(daemon, tama, "tama", LOBBY)
        await tama.receipt(LOBBY, tama.say(LOBBY, "halo \x1b]0;title\x07"))
        assert (await run("users", "list", "--state", state)).stdout.startswith("tama  since 2")
        user = json.loads((await run("users", "list", "--json", "--state", state)).stdout)
        assert user["devices"] == [fingerprint_text(tama.device.public.key_hash)]
        running = user
        shown = (await run("log", "show", "--state", state)).stdout
        assert "\x1b" not in shown
        assert "#lobby <tama> halo" in shown
        records = [json.loads(line) for line in (await run("log", "export", "--state", state)).stdout.splitlines()]
        assert [record["type"] for record in records] == ["device", "join", "message"]
        assert [record["index"] for record in records] == [0, 1, 2]
        assert (await run("log", "verify", "--state", state)).returncode == 0
        await daemon.stop()
    (state / "users" / "sari.toml").write_text("name = ")
    stopped = await run("users", "list", "--json", "--state", state)
    assert json.loads(stopped.stdout) == running
    assert "sari.toml, line 1" in stopped.stderr


async def test_damage_in_the_log_is_found_and_named(state: Path) -> None:
    """`log verify` exits 1 and says in which file and at which byte."""
    async with open_daemon(state) as daemon, chatting(daemon, 1) as tama:
        await enter(daemon, tama, "tama", LOBBY)
        await tama.receipt(LOBBY, tama.say(LOBBY, "halo"))
        await daemon.stop()
    segment = sorted((state / "log").glob("*.segment"))[0]
    content = bytearray(segment.read_bytes())
    content[-2000] ^= 1
    segment.write_bytes(content)
    verified = await run("log", "verify", "--state", state)
    assert verified.returncode == 1
    assert "NOT as it was written" in verified.stdout
    assert str(segment) in verified.stdout
    (state / "log" / "index.sqlite3").unlink()
    refused = await run("run", "--state", state, "--listen", "127.0.0.1:0")
    assert refused.returncode == 1
    assert f"{segment}, byte " in refused.stderr
    assert "bisikd log verify" in refused.stderr
    assert "bisikd log salvage" in refused.stderr
    salvaged = await run("log", "salvage", state / "log", state / "new", "--state", state)
    assert salvaged.returncode == 0
    assert str(segment) in salvaged.stdout
    assert "Copied 2 records" in salvaged.stdout
    (state / "log").rename(state / "old")
    (state / "new").rename(state / "log")
    assert (await run("log", "verify", "--state", state)).returncode == 0
    async with open_daemon(state) as daemon:
        await daemon.stop()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["run", "--listen", "127.0.0.1:99999"], 2, "Cannot listen on '127.0.0.1:99999'"),
        (["--listen", "127.0.0.1:abc"], 2, "A port is a number"),
        (["run", "--listen", "192.0.2.1:0"], 1, "is not an address of this machine"),
        (["run", "--public-host", "a b"], 2, "cannot stand in an invite"),
        (["run", "--config", "/no/such/file"], 2, "There is no configuration file /no/such/file"),
        (["run", "--nonsense"], 2, "No such option"),
        (["nonsense"], 2, "No such command"),
        (["status"], 3, "No bisikd answers in"),
        (["log", "show", "--room", "#a b"], 2, "A room name cannot hold spaces"),
    ],
)
def test_mistakes_are_sentences_with_exit_codes(state: Path, arguments: list[str], code: int, sentence: str) -> None:
    """No traceback for anything that an operator may do."""
    done = bisikd(*arguments, BISIKD_STATE=str(state))
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("arguments", [["users", "list"], ["log", "verify"], ["log", "show"], ["log", "export"]])
def test_without_state_the_commands_that_read_it_say_so(tmp_path: Path, arguments: list[str]) -> None:
    """A wrong --state is a sentence, and makes nothing."""
    done = bisikd(*arguments, "--state", tmp_path / "none")
    assert done.returncode == 1
    assert "There is no bisikd state in" in done.stderr
    assert not (tmp_path / "none").exists()


async def test_a_port_or_a_state_that_is_in_use_is_said(state: Path, tmp_path: Path) -> None:
    """The second daemon on a port, and the second one on a directory, exit 1 with the reason."""
    async with open_daemon(state) as daemon:
        second = await run("run", "--state", state, "--listen", "127.0.0.1:0")
        assert (second.returncode, second.stdout) == (1, "")
        assert f"(process {daemon.process.pid}) is using" in second.stderr
        other = await run("run", "--state", fresh_state(tmp_path / "other"), "--listen", daemon.ready["listen"])
        assert other.returncode == 1
        assert f"Port {daemon.invite.port} is in use already" in other.stderr


def test_the_first_start_makes_its_state(tmp_path: Path) -> None:
    """Without a command and without a configuration: it serves, tells people how to come in, and stops when told."""
    command = [*PROGRAM, "--state", str(tmp_path / "new"), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, env=CLEAN, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    assert lines[0].startswith("bisikd listens on 127.0.0.1:")
    assert [line.split()[0] for line in lines[1:]] == ["fingerprint", "join", "invite"]
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_the_version_is_told() -> None:
    """Of the one distribution that both programs come in."""
    assert bisikd("--version").stdout.startswith("bisikd, version ")
