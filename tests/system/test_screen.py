"""The screen in a terminal that is really there, with a real daemon, as people use it."""

import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.client.processes import BISIK, Daemon, bisik
from tests.support import tmux
from tests.support.tmux import PROMPT, Tmux, Window

pytestmark = pytest.mark.skipif(not tmux.available, reason="tmux is not installed")


@pytest.fixture
def terminals() -> Iterator[Tmux]:
    """Their socket's path must be short."""
    with TemporaryDirectory(prefix="bisik-") as folder, Tmux(Path(folder)) as server:
        yield server


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "daemon")
    yield made
    made.stop()


def member(daemon: Daemon, name: str, home: Path, key: int) -> Path:
    daemon.home(home, key=key)
    done = bisik("register", daemon.invite, "--name", name, "--home", home)
    assert done.returncode == 0, done.stderr
    return home


def in_room(terminals: Tmux, home: Path, name: str, *, columns: int = 100, rows: int = 24) -> Window:
    window = terminals.window(name, columns=columns, rows=rows)
    window.type(f"{BISIK} --home {home}; echo ended $?", "Enter")
    window.until_seen(" ms ")
    return window


def test_from_the_first_visit_to_a_talk_of_two(daemon: Daemon, terminals: Tmux, tmp_path: Path) -> None:
    """A dialogue in plain lines, then the screen; both see what both say; the terminal is as it was after that."""
    tama = in_room(terminals, member(daemon, "tama", tmp_path / "tama", 70), "tama")
    sari = terminals.window("sari", columns=80)
    home = daemon.home(tmp_path / "sari", key=71)
    sari.type(f"{BISIK} join --home {home} '{daemon.invite}'; echo ended $?", "Enter")
    sari.until_seen("Name:")
    sari.type("sari", "Enter")
    sari.until_seen("sari at 127.0.0.1")
    sari.until_seen("#lobby")
    tama.until_seen("sari joined")
    tama.type("halo sari, [red]merah[/]", "Enter")
    sari.until_seen("tama  halo sari, [red]merah[/]")
    sari.type("halo juga", "Enter")
    tama.until_seen("sari: halo juga")
    sari.until_seen("halo juga ✓✓ 1 of 1")
    sari.type("C-d")
    sari.until_seen("ended 0")
    tama.until_seen("sari left")


def test_a_link_that_is_cut_and_comes_back(daemon: Daemon, terminals: Tmux, tmp_path: Path) -> None:
    """A daemon that hangs, and one that is killed: both are told, and what was said meanwhile goes out."""
    window = in_room(terminals, member(daemon, "tama", tmp_path / "tama", 70), "tama")
    daemon.tell(signal.SIGSTOP)
    window.type("ke dalam terowongan", "Enter")
    window.until_seen("ke dalam terowongan … queued")
    window.until_seen("◐ we hear nothing from the server for")
    daemon.tell(signal.SIGCONT)
    window.until_seen("ke dalam terowongan ✓")
    window.until_seen("●")
    daemon.stop(signal.SIGKILL)
    window.type("masih di sini", "Enter")
    window.until_seen("masih di sini … queued")
    window.until(lambda text: "Nobody is listening" in text or "Next try in" in text or "Connecting" in text)
    daemon.start()
    window.until_seen("masih di sini ✓")


def test_sizes_themes_and_suspending(daemon: Daemon, terminals: Tmux, tmp_path: Path) -> None:
    """Down to 40 columns and 15 rows, in the dark and in the light, in the background and back."""
    home = member(daemon, "tama", tmp_path / "tama", 70)
    window = in_room(terminals, home, "tama")
    window.until_seen("Members")
    for columns, rows in ((80, 24), (40, 15)):
        window.resize(columns, rows)
        window.until(lambda text: "Members" not in text)
        window.type(f"pada {columns} kolom", "Enter")
        window.until_seen(f"pada {columns} kolom ✓")
    window.resize(100, 24)
    window.until_seen("Members")
    dark = window.styles()
    window.type("F4")
    window.until(lambda _: window.styles() != dark)
    light = window.styles()
    window.type("F4")
    window.until(lambda _: window.styles() not in (dark, light))
    window.type("C-z")
    window.until_seen(PROMPT)
    window.type("echo di luar", "Enter")
    window.until_seen("\ndi luar")
    assert bisik("send", "--home", home, "#lobby", "sementara itu").returncode == 0
    window.type("fg", "Enter")
    window.until_seen("sementara itu")
    window.type("qqq", "Enter")
    window.until(lambda text: text.rstrip().endswith(PROMPT.strip()))
    window.type("echo and $?", "Enter")
    window.until_seen("\nand 0")


def test_no_color_and_plain(daemon: Daemon, terminals: Tmux, tmp_path: Path) -> None:
    """NO_COLOR: weight and reversal, no colour at all. TERM=dumb and --plain: lines."""
    home = member(daemon, "tama", tmp_path / "tama", 70)
    window = terminals.window("tama")
    window.type(f"NO_COLOR=1 {BISIK} --home {home}", "Enter")
    window.until_seen("Members")
    window.until_seen(" ms ")
    colours = {style for style in window.styles() if any(f"{n}" in style for n in (38, 48)) or "[3" in style[:3]}
    assert colours <= {"\x1b[39m"}
    window.type("/quit", "Enter")
    window.until(lambda text: text.rstrip().endswith(PROMPT.strip()))
    window.type(f"clear; {BISIK} --plain --home {home}", "Enter")
    window.until_seen("-- Connected to 127.0.0.1")
