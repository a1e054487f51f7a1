"""The UI as a person at the keys meets it."""

from pathlib import Path

from bisik_protocol.chat.messages import JoinEntry
from bisik_protocol.chat.names import LOBBY
from tests.client.fake_daemon import START_MS, FakeDaemon
from tests.client.tui.stage import Person, Stage, play


def test_what_is_typed_is_sent_and_comes_back_stored(tmp_path: Path) -> None:
    """Typed, queued, stored: one line, with a mark that says so."""
    daemon = FakeDaemon()

    async def scene(stage: Stage) -> None:
        await stage.type("halo semua\n")
        await stage.until_seen("halo semua ✓")

    play(scene, tmp_path, daemon=daemon)
    assert daemon.texts() == ["halo semua"]


def test_what_others_say_arrives_and_their_marks_stay_text(tmp_path: Path) -> None:
    """No markup, no control sequence and no order of letters of others is ever carried out."""
    daemon = FakeDaemon()
    tama = Person(daemon, "tama", 1)

    async def scene(stage: Stage) -> None:
        tama.say("[red]merah[/red] [@click=app.bell]x[/]", "esc \x1b[31m \x1b]0;t\x07 \u202e rlo")
        stage.link.kick()
        await stage.until_seen("[red]merah[/red] [@click=app.bell]x[/]")
        await stage.until_seen("esc ␛[31m ␛]0;t␇ � rlo")

    play(scene, tmp_path, daemon=daemon)


def test_rooms_count_what_is_unread_and_show_where_it_begins(tmp_path: Path) -> None:
    """Counts at the left, `!` for a mention, a line above what is new, and nothing unread after that."""
    daemon = FakeDaemon()
    tama = Person(daemon, "tama", 1)
    daemon.append(JoinEntry(LOBBY, 1, START_MS, "tama"))

    async def scene(stage: Stage) -> None:
        await stage.until_seen("tama joined")
        await stage.type("/join #dapur\n")
        await stage.until(lambda: stage.app.rooms.current is not None and stage.app.rooms.current.name == "#dapur")
        lobby = stage.app.rooms.get(LOBBY)
        assert lobby is not None
        await stage.until(lambda: lobby.seen == 1)
        tama.say("satu", "Sari, dua")
        stage.link.kick()
        await stage.until_seen("1 #lobby 2!")
        await stage.press("alt+a")
        await stage.until_seen("Sari, dua")
        assert stage.sees("─ new ─")
        assert stage.rang == ["\x07"]
        await stage.until_gone("#lobby 2!")
        await stage.press("alt+2", "alt+1")
        await stage.until_gone("─ new ─")

    play(scene, tmp_path, daemon=daemon)
