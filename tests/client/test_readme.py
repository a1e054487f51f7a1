"""What the README shows is run: the bot, and the way from an invite to the first message."""

import re
import subprocess
import sys
from pathlib import Path

import trio

from bisik.chat import open_chat
from bisik.events import Message
from tests.client.processes import Daemon, bisik, json_lines

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def bot_source(invite: str, home: Path) -> str:
    """The README's only Python, with a real invite in it."""
    (source,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(source.splitlines()) <= 15
    return str(source).replace("bisik://…", invite).replace("echo-home", str(home))


def test_the_bot_of_the_readme_echoes(shared_daemon: Daemon, tmp_path: Path) -> None:
    """It comes in by an invite, hears, and answers."""
    home = shared_daemon.home(tmp_path / "bot", key=188)
    bot = subprocess.Popen(
        [sys.executable, "-c", bot_source(shared_daemon.invite, home)], stdout=subprocess.PIPE, text=True
    )
    try:

        async def talk() -> str:
            mine = shared_daemon.home(tmp_path / "caller", key=189)
            async with open_chat(shared_daemon.invite, name="echo-caller", home=mine) as chat:
                await chat.send("#lobby", "!echo halo from the test")
                async for event in chat.events():
                    if isinstance(event, Message) and event.author == "echo":
                        return event.text
            raise AssertionError("events do not end")

        assert trio.run(talk) == "halo from the test"
        assert bot.stdout is not None
        assert bot.stdout.readline().startswith("stored as ")
    finally:
        bot.kill()
        bot.communicate()


def test_from_an_invite_to_the_first_message_in_three_actions(shared_daemon: Daemon, tmp_path: Path) -> None:
    """The command, a name, the message: nothing else is asked."""
    home = tmp_path / "fresh"
    done = bisik("join", shared_daemon.invite, "--home", home, stdin="newcomer-3\nhalo, I am new\n")
    assert done.returncode == 0
    assert done.stderr.count("Name:") == 1
    lines = json_lines(bisik("history", "--home", home, "--json", "--count", "1").stdout)
    assert lines[0]["text"] == "halo, I am new"
