"""Line mode and the dialogue as a person meets them: in a terminal, and through pipes."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.client.processes import BISIK, Daemon, bisik, json_lines

if sys.platform == "win32":
    pytest.skip("needs a Unix terminal", allow_module_level=True)

from tests.client.terminal import Terminal

Open = Callable[..., Terminal]


@pytest.fixture
def terminals() -> Iterator[Open]:
    """Opens terminals, and closes them after the test."""
    opened: list[Terminal] = []

    def open_terminal(*arguments: str | Path, columns: int = 80) -> Terminal:
        opened.append(Terminal([BISIK, "--lines", *arguments], columns=columns))
        return opened[-1]

    yield open_terminal
    for terminal in opened:
        terminal.close()


@pytest.fixture(scope="module")
def ayu(shared_daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody who speaks from a shell."""
    return member(shared_daemon, "ayu-line", tmp_path_factory.mktemp("homes") / "ayu", 60)


def member(daemon: Daemon, name: str, home: Path, key: int) -> Path:
    daemon.home(home, key=key)
    done = bisik("register", daemon.invite, "--name", name, "--home", home)
    assert done.returncode == 0, done.stderr
    return home


def say(home: Path, room: str, text: str) -> None:
    assert bisik("send", "--home", home, room, text).returncode == 0


class TestTerminal:
    def in_room(self, terminals: Open, home: Path, room: str, columns: int = 80) -> Terminal:
        terminal = terminals("--home", home, columns=columns)
        terminal.until_bottom("#lobby> ")
        terminal.type(f"/join {room}\n")
        terminal.until_bottom(f"{room}> ")
        return terminal

    def test_what_arrives_never_breaks_the_line_being_typed(
        self, shared_daemon: Daemon, terminals: Open, ayu: Path, tmp_path: Path
    ) -> None:
        """Above it the event, below it again what was typed; then it is sent whole."""
        home = member(shared_daemon, "line-1", tmp_path / "a", 61)
        terminal = self.in_room(terminals, home, "#l1")
        terminal.type("half a sent")
        terminal.until_bottom("#l1> half a sent")
        say(ayu, "#l1", "hostile \x1b[2J\x1b]0;owned\x07 text")
        terminal.until_row("<ayu-line> hostile ␛[2J␛]0;owned␇ text")
        terminal.until_bottom("#l1> half a sent")
        terminal.type("ence\n")
        terminal.until_row("<line-1> half a sentence")
        terminal.until_bottom("#l1> ")
        assert not [row for row in terminal.rows[:-1] if "> half a sent" in row and "<line-1>" not in row]
        terminal.type("qqq\n")
        assert terminal.wait() == 0
        assert terminal.wrong == []

    def test_keys_that_people_use(self, shared_daemon: Daemon, terminals: Open, tmp_path: Path) -> None:
        """Backspace, ^W, ^U, arrows, letters of any script; ^D leaves."""
        home = member(shared_daemon, "line-2", tmp_path / "a", 62)
        terminal = self.in_room(terminals, home, "#l2")
        terminal.type("nonsense\x15halo dunya\x17dunia\x1b[A\x1b[D é日本\x7f\n")
        terminal.until_row("<line-2> halo dunia é日")
        terminal.until_bottom("#l2> ")
        terminal.type("\x04")
        assert terminal.wait() == 0
        assert terminal.wrong == []

    def test_a_long_line_scrolls_in_one_row(self, shared_daemon: Daemon, terminals: Open, tmp_path: Path) -> None:
        """Its end is what is seen, also after the terminal has become narrower."""
        home = member(shared_daemon, "line-3", tmp_path / "a", 63)
        terminal = self.in_room(terminals, home, "#l3", columns=40)
        terminal.type("x" * 100 + "end")
        terminal.until_bottom("x" * 36 + "end")
        terminal.resize(20)
        terminal.until(lambda seen: seen.rows[-1].startswith("x" * 16 + "end"))
        terminal.type("\n")
        terminal.until(lambda seen: seen.rows[-1].startswith("#l3> "))
        terminal.type("/quit\n")
        assert terminal.wait() == 0

    def test_commands(self, shared_daemon: Daemon, terminals: Open, ayu: Path, tmp_path: Path) -> None:
        """Rooms are joined, listed, spoken in and left; mistakes get a hint."""
        home = member(shared_daemon, "line-4", tmp_path / "a", 64)
        terminal = self.in_room(terminals, home, "#l4")
        # Who is there is what is stored.
        terminal.until(lambda seen: any(re.fullmatch(r"\d\d:\d\d (#l4 )?-- line-4 joined", row) for row in seen.rows))
        for typed, seen in [
            ("/who\n", "   line-4"),
            ("/me waves\n", "* line-4 waves"),
            ("//me is a command\n", "<line-4> /me is a command"),
            ("/jion #x\n", "-- There is no command /jion. Did you mean /join?"),
            ("/join\n", "-- What? Like this: /join #room"),
            ("/join two words\n", "-- A room name cannot hold spaces; use _ or - instead."),
            ("/who #never-there\n", "-- There is no room #never-there."),
            ("/leave #never-there\n", "-- You are not in #never-there."),
            ("/help\n", "leave; so does qqq"),
        ]:
            terminal.type(typed)
            terminal.until_row(seen)
        terminal.type("/rooms\n")
        terminal.until(lambda seen: any(row.startswith("   * #l4  1 here") for row in seen.rows))
        say(ayu, "#lobby", "meanwhile elsewhere 4")
        terminal.until_row("#lobby <ayu-line> meanwhile elsewhere 4")
        terminal.type("/leave\n")
        terminal.until_row("-- You speak in #lobby now.")
        terminal.type("/leave\n")
        terminal.until_row("-- That is the last room you are in; /quit leaves altogether.")
        terminal.type("/quit\n")
        assert terminal.wait() == 0
        assert terminal.wrong == []

    def test_rooms_are_remembered_and_the_last_lines_shown_again(
        self, shared_daemon: Daemon, terminals: Open, ayu: Path, tmp_path: Path
    ) -> None:
        """The second visit asks nothing, and misses nothing."""
        home = member(shared_daemon, "line-5", tmp_path / "a", 65)
        terminal = self.in_room(terminals, home, "#l5")
        terminal.type("before\n")
        terminal.until_row("<line-5> before")
        terminal.type("qqq\n")
        assert terminal.wait() == 0
        say(ayu, "#l5", "while you were away")
        terminal = terminals("--home", home)
        terminal.until_row("#l5 <ayu-line> while you were away")
        terminal.until_row("#l5 <line-5> before")
        assert "Name" not in "".join(terminal.rows)
        terminal.type("qqq\n")
        assert terminal.wait() == 0

    def test_the_terminal_is_left_as_it_was(self, shared_daemon: Daemon, terminals: Open, tmp_path: Path) -> None:
        """However it ends: by command, ^C, or a signal."""
        home = member(shared_daemon, "line-6", tmp_path / "a", 66)
        for end, code in (("qqq\n", 0), ("\x03", 130), (None, 130)):
            terminal = terminals("--home", home)
            terminal.until_bottom("#lobby> ")
            assert not terminal.echoes()
            if end is None:
                terminal.tell(signal.SIGTERM)
            else:
                terminal.type(end)
            assert terminal.wait() == code
            assert terminal.echoes()

    def test_stopped_and_continued_it_goes_on(self, shared_daemon: Daemon, terminals: Open, tmp_path: Path) -> None:
        """As ^Z and fg do it."""
        home = member(shared_daemon, "line-7", tmp_path / "a", 67)
        terminal = self.in_room(terminals, home, "#l7")
        terminal.type("typed be")
        terminal.until_bottom("#l7> typed be")
        terminal.tell(signal.SIGSTOP)
        terminal.tell(signal.SIGCONT)
        terminal.type("fore\n")
        terminal.until_row("<line-7> typed before")
        terminal.type("qqq\n")
        assert terminal.wait() == 0

    def test_the_link_is_told_in_words_and_messages_wait(
        self, daemon: Daemon, terminals: Open, tmp_path: Path
    ) -> None:
        """The daemon dies and comes back: the prompt counts what is queued, and it goes out by itself."""
        home = member(daemon, "tama", tmp_path / "a", 68)
        terminal = terminals("--home", home)
        terminal.until_row("tama joined")
        daemon.stop(signal.SIGKILL)
        terminal.type("while nobody serves\n")
        terminal.until_bottom("#lobby (1 queued)> ")
        terminal.until(lambda seen: any("Nobody is listening" in row for row in seen.rows))
        daemon.start()
        terminal.until_row("-- Connected again.")
        terminal.until_row("<tama> while nobody serves")
        terminal.until_bottom("#lobby> ")
        terminal.type("qqq\n")
        assert terminal.wait() == 0
        lines = json_lines(bisik("history", "--home", home, "--json").stdout)
        assert [line["text"] for line in lines] == ["while nobody serves"]

    def test_leaving_with_something_queued_says_so(self, daemon: Daemon, terminals: Open, tmp_path: Path) -> None:
        """Exit code 5: it is kept."""
        home = member(daemon, "tama", tmp_path / "a", 69)
        daemon.stop()
        terminal = terminals("--home", home)
        terminal.until_bottom("#lobby> ")
        terminal.type("later\n")
        terminal.until_bottom("#lobby (1 queued)> ")
        terminal.type("qqq\n")
        assert terminal.wait() == 5
        assert any("could not be sent yet" in row for row in terminal.rows)

    def test_the_dialogue_hides_what_is_secret(self, shared_daemon: Daemon, terminals: Open, tmp_path: Path) -> None:
        """And ends in the room."""
        home = shared_daemon.home(tmp_path / "a", key=70)
        terminal = terminals("--home", home)
        for prompt, answer in [
            ("Server: ", "127.0.0.1"),
            ("Port [9999]: ", str(shared_daemon.port)),
            ("Is that the right one? (yes/no) ", "yes"),
            ("Password: ", "wrong"),
            ("Password: ", shared_daemon.join_password),
            ("Register or login? ", "register"),
            ("Name: ", "line-10"),
        ]:
            terminal.until_bottom(prompt)
            terminal.type(f"{answer}\n")
        terminal.until_row("-- line-10 joined")
        screen = "\n".join(terminal.rows)
        assert shared_daemon.join_password not in screen
        assert "Incorrect password. Try again." in screen
        terminal.type("qqq\n")
        assert terminal.wait() == 0

    def test_a_password_that_is_typed_too_early_is_not_shown(
        self, shared_daemon: Daemon, terminals: Open, tmp_path: Path
    ) -> None:
        """The network takes its time, and somebody who types fast does not."""
        home = shared_daemon.home(tmp_path / "a", key=81)
        terminal = terminals("--home", home)
        terminal.until_bottom("Server: ")
        terminal.type("127.0.0.1\n")
        terminal.until_bottom("Port [9999]: ")
        shared_daemon.tell(signal.SIGSTOP)  # it does not answer before everything has been typed
        try:
            terminal.type(f"{shared_daemon.port}\n")
            terminal.until(lambda seen: any(row.startswith("Looking for a server") for row in seen.rows))
            early = ["yes", "wrong", shared_daemon.join_password, "register", "line-11"]
            terminal.type("".join(f"{answer}\n" for answer in early))
        finally:
            shared_daemon.tell(signal.SIGCONT)
        terminal.until_row("-- line-11 joined")
        assert shared_daemon.join_password not in "\n".join(terminal.rows)
        terminal.type("qqq\n")
        assert terminal.wait() == 0

    def test_ctrl_c_in_the_dialogue_ends_it(self, terminals: Open, tmp_path: Path) -> None:
        """Quietly, with 130, and with the terminal as it was."""
        terminal = terminals("--home", tmp_path / "a")
        terminal.until_bottom("Server: ")
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert terminal.echoes()
        assert not (tmp_path / "a").exists()


class TestPipes:
    def talk(self, home: Path, *lines: str, arguments: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return bisik(*arguments, "--home", home, stdin="".join(f"{line}\n" for line in lines))

    def test_the_whole_dialogue_with_every_wrong_answer(
        self, shared_daemon: Daemon, ayu: Path, tmp_path: Path
    ) -> None:
        """Each gets a clear sentence and another try."""
        port, password = str(shared_daemon.port), shared_daemon.join_password
        home = shared_daemon.home(tmp_path / "a", key=71)
        done = self.talk(
            home,
            *("13121213131", "127.0.0.1", "abc", "99999", "1"),
            *("127.0.0.1", port, "yes"),
            *("wrong", password, "tester", "register"),
            *("", "x" * 200, "\x1b[31mred", "AYU-LINE", "pipe-1"),
            *("halo from a pipe", "qqq"),
        )
        assert done.returncode == 0, done.stderr
        for sentence in [
            "That number is not an address",
            "A port is a number from 1 to 65535",
            "There is no such port",
            "Nobody is listening at 127.0.0.1 port 1",
            "Incorrect password. Try again.",
            "Type register if you are new here",
            "A name needs at least one letter or digit.",
            "That name is too long",
            "A name cannot hold control characters or escape sequences",
            "The name ayu-line, or one that looks like it, is taken.",
            "You are pipe-1. Your login ID is",
        ]:
            assert sentence in done.stderr
        assert "<pipe-1> halo from a pipe" in done.stdout
        assert "\x1b" not in done.stdout + done.stderr
        again = self.talk(home, "and again")
        assert again.returncode == 0
        assert "Server" not in again.stderr
        assert "<pipe-1> and again" in again.stdout

    def test_login_by_dialogue_after_too_many_wrong_answers(self, shared_daemon: Daemon, tmp_path: Path) -> None:
        """The server ends a session of guesses; the dialogue goes on by itself."""
        first = shared_daemon.home(tmp_path / "a", key=72)
        done = bisik("register", shared_daemon.invite, "--name", "pipe-2", "--home", first)
        login_id = done.stdout.strip()
        second = shared_daemon.home(tmp_path / "b", key=73)
        done = self.talk(
            second,
            *(f"127.0.0.1:{shared_daemon.port}", "yes", "w1", "w2", "w3", shared_daemon.join_password),
            *("login", "nobody-here", "pipe-2", "wrong-id", login_id, "from the second device", "/quit"),
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("Incorrect password. Try again.") == 3
        assert "Nobody here has that name" in done.stderr
        assert "That is not the login ID of pipe-2" in done.stderr
        assert "Welcome back, pipe-2." in done.stderr
        assert "<pipe-2> from the second device" in done.stdout

    def test_an_invite_does_it_in_one_go(self, shared_daemon: Daemon, tmp_path: Path) -> None:
        """Join asks for a name only; with one it asks nothing; known, it goes straight in."""
        home = shared_daemon.home(tmp_path / "a", key=74)
        done = self.talk(home, "pipe-3", "first", arguments=("join", shared_daemon.invite))
        assert "<pipe-3> first" in done.stdout, done.stderr
        again = self.talk(home, "second", arguments=("join", shared_daemon.invite))
        assert "<pipe-3> second" in again.stdout
        assert "Name:" not in again.stderr
        other = shared_daemon.home(tmp_path / "b", key=75)
        named = self.talk(other, "third", arguments=("join", shared_daemon.invite, "--name", "pipe-4"))
        assert "<pipe-4> third" in named.stdout
        wrong = self.talk(other, arguments=("join", shared_daemon.invite, "--name", "pipe-3"))
        assert wrong.returncode == 1

    def test_the_end_of_input_in_the_dialogue_is_a_sentence(self, shared_daemon: Daemon, tmp_path: Path) -> None:
        """At any question."""
        for lines in ([], ["127.0.0.1"], [f"127.0.0.1:{shared_daemon.port}"]):
            done = self.talk(tmp_path / "a", *lines)
            assert done.returncode == 130
            assert "the dialogue was not finished" in done.stderr
            assert "Traceback" not in done.stderr

    def test_another_server_at_a_known_address_is_a_loud_stop(self, daemon: Daemon, tmp_path: Path) -> None:
        """Typed by hand or remembered: exit code 4, both fingerprints."""
        home = member(daemon, "tama", tmp_path / "a", 76)
        daemon.stop()
        impostor = Daemon(tmp_path / "impostor", port=daemon.port, stranger=True)
        try:
            remembered = self.talk(home, "secret")
            assert remembered.returncode == 4
            (home / "default").write_text("")
            second = Daemon(tmp_path / "second", stranger=True)
            try:
                other = bisik("register", second.invite, "--name", "tama", "--home", home)
                assert other.returncode == 0, other.stderr
            finally:
                second.stop()
            (home / "default").write_text("")
            typed = self.talk(home, f"127.0.0.1:{daemon.port}")
            assert typed.returncode == 4
            for done in (remembered, typed):
                assert "is NOT the one" in done.stderr
        finally:
            impostor.stop()
