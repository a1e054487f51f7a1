"""The command line: what scripts rely on. Data on stdout, talk on stderr, exit codes, and never a traceback."""

import os
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bisik import cli
from bisik.errors import HomeError, IdentityMismatch, NotStored, Refused, Unreachable, WrongUsage
from bisik_protocol.chat.messages import Code
from bisik_protocol.crypto.identity import fingerprint_text
from tests.client.processes import BISIK, Daemon, bisik, json_lines


@dataclass
class Member:
    """A registered home."""

    name: str
    home: Path
    login_id: str


@pytest.fixture(scope="module")
def tama(shared_daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Member:
    home = shared_daemon.home(tmp_path_factory.mktemp("homes") / "tama", key=40)
    done = bisik("register", shared_daemon.invite, "--name", "Tama-CLI", "--home", home)
    assert done.returncode == 0, done.stderr
    return Member("tama-cli", home, done.stdout.strip())


@pytest.fixture(scope="module")
def ayu(shared_daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Member:
    home = shared_daemon.home(tmp_path_factory.mktemp("homes") / "ayu", key=41)
    done = bisik("register", shared_daemon.invite, "--name", "ayu-cli", "--home", home, "--json")
    assert done.returncode == 0, done.stderr
    (registered,) = json_lines(done.stdout)
    assert registered["type"] == "registered"
    assert registered["name"] == "ayu-cli"
    assert registered["fingerprint"] == fingerprint_text(shared_daemon.fingerprint)
    return Member("ayu-cli", home, registered["login_id"])


def send(member: Member, room: str, *texts: str) -> None:
    for text in texts:
        done = bisik("send", "--home", member.home, room, "--", text)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class TestRegisterAndLogin:
    def test_only_the_login_id_is_data(self, tama: Member) -> None:
        """A script may keep it in a variable."""
        assert len(tama.login_id.split()) == 1
        assert len(tama.login_id) > 16

    def test_a_second_device_logs_in_with_the_login_id(
        self, shared_daemon: Daemon, tama: Member, tmp_path: Path
    ) -> None:
        """From a file; then it can speak, under the same name."""
        id_file = tmp_path / "id"
        id_file.write_text(f"  {tama.login_id.upper()}\n")
        home = shared_daemon.home(tmp_path / "second", key=42)
        login = ("login", shared_daemon.invite, "--name", "tama-cli", "--home", home)
        done = bisik(*login, "--id-file", id_file)
        assert done.returncode == 0, done.stderr
        send(Member("tama-cli", home, ""), "#second-device", "from the second")
        history = json_lines(bisik("history", "--home", home, "#second-device", "--json").stdout)
        assert [message["author"] for message in history] == ["tama-cli"]
        again = bisik(*login, "--json")
        assert again.returncode == 0  # a device that was admitted needs no login ID
        assert json_lines(again.stdout)[0]["type"] == "logged-in"

    @pytest.mark.parametrize("option", [("--id-file", "-"), ()])
    def test_a_wrong_login_id_is_refused(
        self, shared_daemon: Daemon, tama: Member, tmp_path: Path, option: tuple[str, ...]
    ) -> None:
        """From standard input, asked for or not. Nothing is remembered."""
        home = shared_daemon.home(tmp_path / "x", key=43)
        login = ("login", shared_daemon.invite, "--name", tama.name, "--home", home, *option)
        done = bisik(*login, stdin="aaaa-aaaa-aaaa-aaaa-aaaa\n")
        assert (done.returncode, done.stdout) == (1, "")
        assert "not the login ID of tama-cli" in done.stderr
        assert bisik("servers", "--home", home).stdout == ""

    def test_an_unknown_name_is_refused(self, shared_daemon: Daemon, tmp_path: Path) -> None:
        """Before an ID is asked for."""
        home = shared_daemon.home(tmp_path / "x", key=43)
        done = bisik("login", shared_daemon.invite, "--name", "nobody-cli", "--home", home)
        assert done.returncode == 1
        assert "Nobody here has that name" in done.stderr

    @pytest.mark.parametrize("name", ["tama-cli", "TAMA-CLI", "tаma-cli"])
    def test_a_taken_name_or_a_look_alike_is_refused(
        self, shared_daemon: Daemon, tama: Member, tmp_path: Path, name: str
    ) -> None:
        """The third has a Cyrillic letter in it."""
        home = shared_daemon.home(tmp_path / "x", key=44)
        done = bisik("register", shared_daemon.invite, "--name", name, "--home", home)
        assert (done.returncode, done.stdout) == (1, "")
        assert "taken" in done.stderr

    def test_a_wrong_join_password_is_refused(self, shared_daemon: Daemon, tmp_path: Path) -> None:
        """In the original's words."""
        home = shared_daemon.home(tmp_path / "x", key=44)
        invite = shared_daemon.invite.replace(shared_daemon.join_password, "wrong")
        done = bisik("register", invite, "--name", "new-cli", "--home", home)
        assert (done.returncode, done.stderr) == (1, "bisik: Incorrect password. Try again.\n")

    def test_an_invite_without_a_password_asks_for_it(self, shared_daemon: Daemon, tmp_path: Path) -> None:
        """From standard input, where that is no terminal."""
        home = shared_daemon.home(tmp_path / "x", key=45)
        invite = shared_daemon.invite.partition("&join=")[0]
        done = bisik(
            "register", invite, "--name", "asked-cli", "--home", home, stdin=f"{shared_daemon.join_password}\n"
        )
        assert done.returncode == 0, done.stderr
        assert "Password:" in done.stderr

    def test_registering_twice_is_refused(self, shared_daemon: Daemon, tama: Member) -> None:
        """The login ID cannot be shown again."""
        done = bisik("register", shared_daemon.invite, "--name", "tama-cli", "--home", tama.home)
        assert (done.returncode, done.stdout) == (1, "")

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no mode bits")
    def test_the_home_is_its_owners_alone(self, tama: Member) -> None:
        """The key can speak for its owner."""
        for path in tama.home.rglob("*"):
            if path.name in ("device.pem", "profile.toml", "default"):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600


class TestSendAndRead:
    def test_what_is_sent_is_in_the_history_once(self, tama: Member, ayu: Member) -> None:
        """From both, in order, as everybody sees it."""
        send(tama, "#once", "one")
        send(ayu, "#once", "two")
        lines = json_lines(bisik("history", "--home", ayu.home, "#once", "--json").stdout)
        assert [(line["author"], line["text"]) for line in lines] == [("tama-cli", "one"), ("ayu-cli", "two")]
        assert set(lines[0]) == {"type", "room", "author", "text", "seq", "id", "time"}

    def test_standard_input_is_one_message(self, tama: Member) -> None:
        """With its lines; the last end of line is the shell's."""
        done = bisik("send", "--home", tama.home, "#stdin", "-", "--json", stdin="one\ntwo é\n")
        assert done.returncode == 0
        (stored,) = json_lines(done.stdout)
        (line,) = json_lines(bisik("history", "--home", tama.home, "#stdin", "--json").stdout)
        assert line["text"] == "one\ntwo é"
        assert (line["seq"], line["id"], line["time"]) == (stored["seq"], stored["id"], stored["time"])

    @pytest.mark.parametrize(
        ("room", "text"), [("#x", ""), ("#x", "  \n"), ("two words", "x"), ("#", "x"), ("#x", "y" * 60_001)]
    )
    def test_what_can_never_be_sent_is_wrong_usage(self, tama: Member, room: str, text: str) -> None:
        """And is not queued."""
        done = bisik("send", "--home", tama.home, room, "-", stdin=text)
        assert done.returncode == 2
        assert done.stderr.startswith("bisik: ")
        assert bisik("send", "--home", tama.home, "#after", "fine").returncode == 0

    def test_tail_counts_messages_and_goes_on_where_it_stopped(self, tama: Member, ayu: Member) -> None:
        """And so does the next one."""
        send(tama, "#tail", "one", "two", "three")
        tail = ("tail", "--home", ayu.home, "--room", "#tail", "--json", "--count")
        first, second = bisik(*tail, "2"), bisik(*tail, "1")
        assert (first.returncode, second.returncode) == (0, 0)
        texts = [line["text"] for line in json_lines(first.stdout) if line["type"] == "message"]
        assert texts == ["one", "two"]
        assert [line["text"] for line in json_lines(second.stdout) if line["type"] == "message"] == ["three"]
        kinds = {line["type"] for line in json_lines(first.stdout)}
        assert kinds == {"join", "message", "leave"}

    def test_tail_follows(self, tama: Member, ayu: Member) -> None:
        """What is said while it runs comes at once; a reader that has had enough is no error."""
        send(tama, "#follow", "before")
        arguments = [BISIK, "tail", "--home", str(ayu.home), "--room", "#follow"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail:
            assert tail.stdout is not None
            assert tail.stderr is not None
            seen = [tail.stdout.readline() for _ in range(3)]
            assert seen[1].endswith("<tama-cli> before\n")
            send(tama, "#follow", "now")
            assert "<tama-cli> now" in tail.stdout.readline()
            tail.stdout.close()
            send(tama, "#follow", "nobody reads this")
            assert tail.wait(timeout=20) == 0
            assert tail.stderr.read() == ""

    def test_tail_of_several_rooms_names_them(self, tama: Member, ayu: Member) -> None:
        """Each line says where it was said; each room has a place of its own."""
        send(tama, "#east", "from the east")
        send(tama, "#west", "from the west")
        tail = ("tail", "--home", ayu.home, "--room", "#east", "--room", "west", "--count", "2")
        lines = bisik(*tail).stdout
        assert "#east <tama-cli> from the east" in lines
        assert "#west <tama-cli> from the west" in lines
        send(tama, "#west", "more from the west")
        again = bisik("tail", "--home", ayu.home, "--room", "#west", "--count", "1", "--json")
        said = [line["text"] for line in json_lines(again.stdout) if line["type"] == "message"]
        assert said == ["more from the west"]

    def test_tail_of_no_room_is_refused(self, tama: Member) -> None:
        """It has not begun."""
        done = bisik("tail", "--home", tama.home, "--room", "#never", "--count", "1")
        assert done.returncode == 1
        assert "There is no room #never yet" in done.stderr

    def test_history_for_people_and_its_parts(self, tama: Member) -> None:
        """The last few; with joins and leaves; nothing that acts on a terminal."""
        send(tama, "#parts", "one", "two", "\x1b]0;owned\x07three")
        history = ("history", "--home", tama.home, "#parts")
        lines = bisik(*history).stdout.splitlines()
        assert [line[5:] for line in lines] == [
            " <tama-cli> one",
            " <tama-cli> two",
            " <tama-cli> ␛]0;owned␇three",
        ]
        assert bisik(*history, "--count", "1").stdout.splitlines() == lines[-1:]
        everything = bisik(*history, "--all").stdout
        assert "-- tama-cli joined" in everything
        assert "-- tama-cli left" in everything
        as_json = bisik(*history, "--json").stdout
        assert as_json.isascii()
        assert "\x1b" not in as_json

    def test_who_and_servers(self, shared_daemon: Daemon, tama: Member) -> None:
        """For people and for programs."""
        send(tama, "#who", "x")
        assert bisik("who", "--home", tama.home, "#who").stdout == ""
        (server,) = json_lines(bisik("servers", "--home", tama.home, "--json").stdout)
        assert (server["name"], server["port"], server["default"]) == ("tama-cli", shared_daemon.port, True)
        assert bisik("servers", "--home", tama.home).stdout.startswith("* tama-cli  127.0.0.1:")
        done = bisik("who", "--home", tama.home, "#never")
        assert done.returncode == 1

    def test_the_home_may_stand_in_the_environment_or_before_the_command(self, tama: Member) -> None:
        """As people expect it."""
        before = subprocess.run(
            [BISIK, "--home", str(tama.home), "servers"], capture_output=True, text=True, check=True
        )
        around = subprocess.run(
            [BISIK, "servers"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "BISIK_HOME": str(tama.home)},
        )
        assert before.stdout == around.stdout != ""


class TestTrouble:
    def test_nobody_listening_is_unreachable_and_a_message_is_queued(self, daemon: Daemon, tmp_path: Path) -> None:
        """Exit codes 3 and 5; the next command brings the message."""
        home = daemon.home(tmp_path / "a")
        assert bisik("register", daemon.invite, "--name", "tama", "--home", home).returncode == 0
        daemon.stop()
        for command in (("history",), ("who",), ("tail", "--count", "1")):
            done = bisik(*command, "--home", home)
            assert (done.returncode, done.stdout) == (3, "")
            assert "Nobody is listening" in done.stderr
        queued = bisik("send", "--home", home, "#lobby", "one", "--timeout", "0.2")
        assert queued.returncode == 5
        assert "kept in the outbox" in queued.stderr
        daemon.start()
        assert bisik("send", "--home", home, "#lobby", "two").returncode == 0
        texts = [line["text"] for line in json_lines(bisik("history", "--home", home, "--json").stdout)]
        assert texts == ["one", "two"]

    def test_history_of_a_server_that_is_away_is_what_this_device_has(self, daemon: Daemon, tmp_path: Path) -> None:
        """Whoever asks for the log is told by the code that it is not; whoever asks for this device's gets it."""
        home = daemon.home(tmp_path / "a")
        assert bisik("register", daemon.invite, "--name", "tama", "--home", home).returncode == 0
        for text in ("satu kopi", "dua kopi"):
            assert bisik("send", "--home", home, "#lobby", text).returncode == 0
        assert bisik("search", "kopi", "--home", home).returncode == 0  # which puts them into the index
        daemon.stop()
        away = bisik("history", "--home", home, "--json")
        assert away.returncode == 3
        assert [line["text"] for line in json_lines(away.stdout)] == ["satu kopi", "dua kopi"]
        assert "this is what was read on this device" in away.stderr
        assert "Nobody is listening" in away.stderr
        asked_for = bisik("history", "--home", home, "--json", "--offline", "--count", "1")
        assert asked_for.returncode == 0
        assert [line["text"] for line in json_lines(asked_for.stdout)] == ["dua kopi"]

    def test_another_server_is_an_identity_mismatch(self, shared_daemon: Daemon, tmp_path: Path) -> None:
        """Exit code 4, with both fingerprints, and nothing sent."""
        other = shared_daemon.invite.replace(fingerprint_text(shared_daemon.fingerprint), fingerprint_text(bytes(32)))
        done = bisik("register", other, "--name", "x", "--home", tmp_path / "x")
        assert done.returncode == 4
        assert "NOT the one" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["nonsense"], 2),
            (["send"], 2),
            (["send", "#lobby", "x", "--timeout", "soon"], 2),
            (["register", "bisik://host/", "--name", "x"], 2),
            (["register", "nonsense:port", "--name", "x"], 2),
            (["register", "127.0.0.1:1", "--name", ""], 2),
            (["history", "--count", "0"], 2),
            (["join", "127.0.0.1:99999"], 2),
            (["history"], 1),
            (["send", "#lobby", "x"], 1),
            (["--version"], 0),
            (["--help"], 0),
            (["tail", "--help"], 0),
            (["servers"], 0),
        ],
    )
    def test_exit_codes_without_a_server(
        self,
        arguments: list[str],
        code: int,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Wrong usage, nobody to be, and help."""
        monkeypatch.setenv("BISIK_HOME", str(tmp_path / "none"))
        assert cli.run(arguments) == code
        written = capsys.readouterr()
        assert "Traceback" not in written.err
        assert (code == 0) or written.out == ""

    def test_ctrl_c_is_quiet(self, ayu: Member) -> None:
        """Exit code 130 and one word."""
        arguments = [BISIK, "tail", "--home", str(ayu.home), "--room", "#lobby"]
        send(ayu, "#lobby", "something to wait for")
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail:
            assert tail.stdout is not None
            assert tail.stderr is not None
            tail.stdout.readline()
            tail.send_signal(signal.SIGINT)
            assert tail.wait(timeout=20) == 130
            assert tail.stderr.read() == "bisik: Interrupted.\n"


class TestEndings:
    @pytest.fixture
    def failing(self, monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
        """A command line that ends with what is put into the list."""
        errors: list[BaseException] = []

        def fail(*_: object, **__: object) -> None:
            raise errors[0]

        monkeypatch.setattr(cli.cli, "invoke", fail)
        return errors

    @pytest.mark.parametrize(
        ("error", "code", "said"),
        [
            (Refused(Code.NAME_TAKEN, "No."), 1, "bisik: No.\n"),
            (HomeError("Bad."), 1, "bisik: Bad.\n"),
            (WrongUsage("What?"), 2, "bisik: What?\n"),
            (Unreachable("Where?"), 3, "bisik: Where?\n"),
            (IdentityMismatch("Who?"), 4, "bisik: Who?\n"),
            (NotStored("Later."), 5, "bisik: Later.\n"),
            (KeyboardInterrupt(), 130, "bisik: Interrupted.\n"),
            (Refused(Code.UNKNOWN, "\x1b[2Jgone"), 1, "bisik: ␛[2Jgone\n"),
            (ExceptionGroup("", [ValueError(), Unreachable("Where?")]), 3, "bisik: Where?\n"),
            (BaseExceptionGroup("", [Unreachable("Where?"), KeyboardInterrupt()]), 130, "bisik: Interrupted.\n"),
        ],
    )
    def test_every_error_has_its_code_and_sentence(
        self,
        failing: list[BaseException],
        capsys: pytest.CaptureFixture[str],
        error: BaseException,
        code: int,
        said: str,
    ) -> None:
        """Alone or in a group; what the server said is made harmless."""
        failing.append(error)
        assert cli.run(["servers"]) == code
        assert capsys.readouterr().err == said

    def test_a_bug_is_a_sentence_and_a_traceback_only_on_request(
        self, failing: list[BaseException], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A person can do nothing with one."""
        failing.append(ZeroDivisionError("inside"))
        assert cli.run(["servers"]) == 1
        said = capsys.readouterr().err
        assert "ZeroDivisionError" in said
        assert "Traceback" not in said
        monkeypatch.setenv("BISIK_DEBUG", "1")
        assert cli.run(["servers"]) == 1
        assert "Traceback" in capsys.readouterr().err

    def test_every_listed_command_exists_and_explains_itself(self, capsys: pytest.CaptureFixture[str]) -> None:
        """In the words of the list."""
        for name in cli.COMMANDS:
            assert cli.run([name, "--help"]) == 0
            assert "Usage: bisik" in capsys.readouterr().out


class TestSearch:
    def test_words_are_found_in_the_rooms_that_one_is_in(self, shared_daemon: Daemon, tmp_path: Path) -> None:
        """What was said before this device searched at all is fetched first; offline it searches what it has."""
        home = shared_daemon.home(tmp_path / "a", key=181)
        assert bisik("register", shared_daemon.invite, "--name", "seeker", "--home", home).returncode == 0
        for text in ("a needle 181 here", "hay", "another needle 181"):
            assert bisik("send", "--home", home, "#lobby", text).returncode == 0
        offline = bisik("search", "--home", home, "--offline", "needle", "181")
        assert (offline.returncode, offline.stdout) == (1, "")
        done = bisik("search", "--home", home, "--json", "needle", "181")
        assert [line["text"] for line in json_lines(done.stdout)] == ["a needle 181 here", "another needle 181"]
        assert set(json_lines(done.stdout)[0]) == {"type", "room", "author", "text", "seq", "id", "time"}
        again = bisik("search", "--home", home, "--offline", "--room", "lobby", "--from", "seeker", "needl")
        assert again.stdout.count("<seeker>") == 2
        nobody = bisik("search", "--home", home, "--offline", "--from", "x y", "needle")
        assert nobody.returncode == 2


class TestWaiting:
    def test_a_script_waits_for_who_speaks_to_it(self, shared_daemon: Daemon, tmp_path: Path) -> None:
        """Own words and those to others pass; the next wait goes on where this one stopped; silence is exit 1."""
        homes = []
        for number, name in ((182, "waiter"), (183, "caller")):
            homes.append(shared_daemon.home(tmp_path / name, key=number))
            assert bisik("register", shared_daemon.invite, "--name", name, "--home", homes[-1]).returncode == 0
        waiter, caller = homes
        bisik("send", "--home", caller, "#lobby", "waiter, this is before the first wait")
        silent = bisik("wait", "--home", waiter, "--mention", "--timeout", "0")
        assert (silent.returncode, silent.stdout) == (1, "")
        for home, text in [
            (waiter, "I am waiter"),
            (caller, "waiters"),
            (caller, "@Waiter: one"),
            (caller, "waiter 2"),
        ]:
            assert bisik("send", "--home", home, "#lobby", text).returncode == 0
        for text in ("@Waiter: one", "waiter 2"):
            done = bisik("wait", "--home", waiter, "--mention", "--json", "--from", "caller", "--timeout", "30")
            assert [line["text"] for line in json_lines(done.stdout)] == [text]

    def test_what_was_not_read_is_counted(self, shared_daemon: Daemon, tmp_path: Path) -> None:
        """By room, with what names the reader; nothing is marked as read by it."""
        home = shared_daemon.home(tmp_path / "a", key=184)
        assert bisik("register", shared_daemon.invite, "--name", "unreader", "--home", home).returncode == 0
        other = shared_daemon.home(tmp_path / "b", key=185)
        assert bisik("register", shared_daemon.invite, "--name", "teller", "--home", other).returncode == 0
        assert bisik("--home", home, stdin="/join #unread\n/leave #lobby\n").returncode == 0
        for text in ("one", "unreader: two"):
            assert bisik("send", "--home", other, "#unread", text).returncode == 0
        for _time in range(2):
            done = bisik("unread", "--home", home, "--json")
            assert json_lines(done.stdout) == [{"type": "unread", "room": "#unread", "messages": 2, "mentions": 1}]
        assert bisik("unread", "--home", home).stdout == "#unread  2 messages, 1 to you\n"
        assert bisik("--home", home, stdin="").returncode == 0

    def test_a_file_is_sent(self, shared_daemon: Daemon, tama: Member, tmp_path: Path) -> None:
        """Up to the cap; what is no text, too long or not there is a sentence."""
        path = tmp_path / "report.txt"
        path.write_text("line one\nline two\n", "utf-8")
        assert bisik("send", "--home", tama.home, "#files", "--file", path).returncode == 0
        lines = json_lines(bisik("history", "--home", tama.home, "#files", "--json").stdout)
        assert lines[0]["text"] == "line one\nline two"
        path.write_bytes(b"\xff\xfe")
        assert bisik("send", "--home", tama.home, "#files", "--file", path).returncode == 2
        path.write_text("x" * 60_001)
        assert bisik("send", "--home", tama.home, "#files", "--file", path).returncode == 2
        assert bisik("send", "--home", tama.home, "#files", "--file", tmp_path / "none").returncode == 2
        assert bisik("send", "--home", tama.home, "#files").returncode == 2
        assert bisik("send", "--home", tama.home, "#files", "text", "--file", path).returncode == 2


class TestDevices:
    def test_a_lost_device_is_revoked_from_another(self, shared_daemon: Daemon, tmp_path: Path) -> None:
        """Listed by its key, named by its first letters; then it is told how to come back."""
        laptop = shared_daemon.home(tmp_path / "a", key=186)
        phone = shared_daemon.home(tmp_path / "b", key=187)
        done = bisik("register", shared_daemon.invite, "--name", "loser", "--home", laptop)
        id_file = tmp_path / "id"
        id_file.write_text(done.stdout)
        again = ("login", shared_daemon.invite, "--name", "loser", "--home", phone, "--id-file", id_file)
        assert bisik(*again).returncode == 0
        listed = json_lines(bisik("devices", "--home", laptop, "--json").stdout)
        assert [(line["this"], line["online"]) for line in listed] == [(True, True), (False, False)]
        assert len(bisik("devices", "--home", laptop).stdout.splitlines()) == 2
        assert bisik("devices", "--home", laptop, "--revoke", "").returncode == 2
        assert bisik("devices", "--home", laptop, "--revoke", listed[0]["device"]).returncode == 1
        assert bisik("devices", "--home", laptop, "--revoke", listed[1]["device"][:16]).returncode == 0
        refused = bisik("who", "--home", phone)
        assert refused.returncode == 1
        assert "bisik login INVITE" in refused.stderr
