"""Direct messages as a person at the keys meets them."""

from pathlib import Path

from bisik_protocol.chat.messages import MessageEntry, encode
from tests.client.fake_daemon import FakeDaemon
from tests.client.tui.stage import Person, Stage, play

ROOM = "@sari+tama"


def current(stage: Stage) -> str | None:
    return None if stage.app.rooms.current is None else stage.app.rooms.current.name


def test_speaking_to_somebody_and_being_answered(tmp_path: Path) -> None:
    """`/msg` goes to the conversation and says it; what the other answers stands there; the server has no text."""
    daemon = FakeDaemon()
    tama = Person(daemon, "tama", 1)

    async def scene(stage: Stage) -> None:
        await stage.type("/msg tama kopi berdua\n")
        await stage.until(lambda: current(stage) == "@tama")
        await stage.until_seen("kopi berdua ✓")
        stage.link.kick()
        assert tama.heard() == ["kopi berdua"]
        tama.say("lima menit lagi", room=ROOM)
        stage.link.kick()
        await stage.until_seen("lima menit lagi")
        await stage.type("baik\n")
        await stage.until_seen("baik ✓")

    play(scene, tmp_path, daemon=daemon)
    assert len(daemon.rooms[ROOM]) == 3
    for entry in daemon.rooms[ROOM]:
        assert isinstance(entry, MessageEntry)
        assert not any(text in encode(entry) for text in (b"kopi", b"menit", b"baik"))


def test_what_somebody_else_begins_is_counted_and_rings(tmp_path: Path) -> None:
    """A conversation appears under the rooms, with a count and a mark as for a mention."""
    daemon = FakeDaemon()
    tama = Person(daemon, "tama", 1)

    async def scene(stage: Stage) -> None:
        tama.speak_to("sari")
        tama.say("satu", "dua", room=ROOM)
        stage.link.kick()
        await stage.until_seen("2 @tama 2!")
        assert stage.rang == ["\x07"] * len(stage.rang)
        assert stage.rang
        await stage.press("alt+2")
        await stage.until_seen("dua")
        await stage.until_gone("@tama 2!")

    play(scene, tmp_path, daemon=daemon)


def test_a_first_message_without_a_connection_stays_in_the_input(tmp_path: Path) -> None:
    """What cannot be sealed yet is not taken, and not lost: it stands in the input again, with a sentence."""
    daemon = FakeDaemon()
    Person(daemon, "tama", 1)

    async def scene(stage: Stage) -> None:
        await stage.type("/msg tama\n")
        await stage.until(lambda: current(stage) == "@tama")
        assert stage.app._session is not None
        chat = stage.app._session._chat
        assert chat is not None
        with chat._store.writing() as connection:
            connection.execute("DELETE FROM recipients")
        stage.link.cut()
        stage.link.never_reached = True
        await stage.type("halo\n")
        await stage.until_seen("needs a connection once")
        await stage.until(lambda: stage.app._prompt.editor.text == "halo")

    play(scene, tmp_path, daemon=daemon)


def test_leaving_closes_until_there_is_news(tmp_path: Path) -> None:
    """`/leave` takes the conversation away; the next thing that is said brings it back."""
    daemon = FakeDaemon()
    tama = Person(daemon, "tama", 1)

    async def scene(stage: Stage) -> None:
        await stage.type("/msg tama halo\n")
        await stage.until_seen("halo ✓")
        await stage.type("/leave\n")
        await stage.until(lambda: current(stage) == "#lobby")
        await stage.until_gone("2 @tama")
        tama.heard()
        tama.say("masih ada?", room=ROOM)
        stage.link.kick()
        await stage.until_seen("@tama 1!")

    play(scene, tmp_path, daemon=daemon)


def test_the_other_is_renamed(tmp_path: Path) -> None:
    """The conversation on the screen is called after the new name, and what stood in the input stays."""
    daemon = FakeDaemon()
    tama = Person(daemon, "tama", 1)

    async def scene(stage: Stage) -> None:
        await stage.type("/msg tama halo\n")
        await stage.until_seen("halo ✓")
        await stage.type("belum selesai")
        daemon.names["tama"] = "budi"
        key = tama.conversation.own_key
        daemon.devices[key] = ("budi", daemon.devices[key][1])
        assert stage.app._session is not None
        chat = stage.app._session._chat
        assert chat is not None
        chat._conversation.direct_rooms.list()
        stage.link.kick()
        await stage.until(lambda: current(stage) == "@budi")
        await stage.until_seen("@budi")
        assert stage.app._prompt.editor.text == "belum selesai"

    play(scene, tmp_path, daemon=daemon)
