"""Pictures of the UI for people: `make pictures` writes them to docs/pictures.

They are taken of the real thing, on the tests' stage, with a small story in it.
"""

import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bisik_protocol.chat.messages import JoinEntry, MemberInfo, Role
from bisik_protocol.chat.names import LOBBY
from tests.client.fake_daemon import START_MS, FakeDaemon
from tests.client.tui.stage import QUIET, Person, Stage, play

PICTURES = Path(__file__).parents[3] / "docs" / "pictures"
SIZE = (100, 24)


def main(folder: Path = PICTURES) -> None:
    """Write them all."""
    os.environ["TZ"] = "Asia/Jakarta"
    time.tzset()
    folder.mkdir(exist_ok=True)
    for name, theme in (("screen", "dark"), ("screen-light", "light")):
        picture = _picture(theme)
        shown = picture.replace("&#160;", " ")
        assert "Masih di terowongan" in shown
        assert "2 of 3" in shown
        assert "we hear nothing" not in shown
        (folder / f"{name}.svg").write_text(picture, encoding="utf-8")


def _picture(theme: str) -> str:
    daemon = FakeDaemon()
    daemon.members = [
        MemberInfo("tama", 0, role=Role.OWNER),
        MemberInfo("sari", 0),
        MemberInfo("ayu", 0),
        MemberInfo("budi", 4000, reachable=False),
    ]
    for seq, name in enumerate(("tama", "ayu", "sari"), 1):
        daemon.append(JoinEntry(LOBBY, seq, START_MS, name))
    tama, ayu = Person(daemon, "tama", 1), Person(daemon, "ayu", 2)
    taken: list[str] = []

    async def scene(stage: Stage) -> None:
        await _story(stage, tama, ayu)
        taken.append(_steady(stage.app.export_screenshot(title="bisik")))

    with TemporaryDirectory() as home:
        play(scene, Path(home), daemon=daemon, size=SIZE, theme=theme)
    return taken[0]


async def _story(stage: Stage, tama: Person, ayu: Person) -> None:
    await stage.until_seen("sari joined")
    for room in ("#dapur", "#kebun"):
        await stage.type(f"/join {room}\n")
        await stage.until(lambda room=room: getattr(stage.app.rooms.get(room), "seen", None) is not None)
    await stage.press("alt+1")
    lobby = stage.app.rooms.get(LOBBY)
    assert lobby is not None
    tama.say("Selamat pagi, pos dua. Dua kopi?", "The generator is down until noon, so the uplink is the phone’s.")
    stage.link.kick()
    await stage.type("Dua kopi, tentu.\n")
    await stage.until_seen("Dua kopi, tentu. ✓")
    ayu.say("@sari the readings of station 4 look odd to me:\n  04:00  17.2\n  05:00  71.2\ntwo digits swapped?")
    stage.link.kick()
    await stage.type("Could be. I look at the paper copy when I am out of the tunnel.\n")
    await stage.until_seen("out of the tunnel. ✓")
    own = [item for item in lobby.items if getattr(item, "author", "") == "sari" and hasattr(item, "id")]
    lobby.confirm(own[0].id, 3, 3)
    lobby.confirm(own[1].id, 2, 3)
    tama.say("menu?", "sari, gula habis", room="#dapur")
    ayu.say("hujan", room="#kebun")
    stage.link.kick()
    await stage.until_seen("2!")
    stage.link.numbers = replace(
        QUIET, srtt_s=0.31, loss_out=0.28, loss_in=0.09, repair_datagrams=7, unanswered_s=0.4
    )
    await stage.until_seen("repair 7")
    stage.link._wire = None  # the tunnel
    await stage.type("Masih di terowongan\n")
    await stage.until_seen("terowongan … queued")
    await stage.type("kopinya ")


def _steady(svg: str) -> str:
    """The same story gives the same file: Rich names what is in it anew each time."""
    return re.sub(r"terminal-\d+", "terminal", svg)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
