"""The UI as a person at the keys meets it."""

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from rich.cells import cell_len
from textual import events
from textual.strip import Strip

from bisik.errors import HomeError, IdentityMismatch, NotStored
from bisik.events import ChatEvent, LinkState
from bisik.tui import room as bounds
from bisik.tui import session
from bisik_protocol.chat.messages import MAX_PAGE_ENTRIES, JoinEntry, MemberInfo, Role
from bisik_protocol.chat.names import LOBBY
from tests.client.fake_daemon import START_MS, FakeDaemon
from tests.client.tui.stage import QUIET, Person, Stage, play


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


def chatty(count: int) -> FakeDaemon:
    """A lobby with so many entries, numbered."""
    daemon = FakeDaemon()
    for seq in range(1, count + 1):
        daemon.append(JoinEntry(LOBBY, seq, START_MS, f"orang-{seq}"))
    return daemon


class TestTyping:
    def test_what_is_typed_before_the_chat_is_open_is_kept(self, tmp_path: Path) -> None:
        """The screen is there first; nobody has to wait for the rest."""
        daemon = FakeDaemon()

        async def scene(stage: Stage) -> None:
            await stage.type("satu\ndua")
            await stage.until_seen("satu ✓")
            assert stage.app._prompt.editor.text == "dua"

        play(scene, tmp_path, daemon=daemon, early=True)
        assert daemon.texts() == ["satu"]

    def test_a_burst_of_keys_is_taken_in_order(self, tmp_path: Path) -> None:
        """As a terminal gives it when somebody types faster than the screen is drawn."""
        daemon = FakeDaemon()

        async def scene(stage: Stage) -> None:
            for letter in "satu\rdua\r/join #dapur\r":
                stage.app._prompt.post_message(events.Key("enter" if letter == "\r" else letter, letter))
            await stage.until(lambda: daemon.texts() == ["satu", "dua"])
            await stage.until(lambda: stage.app.rooms.current is stage.app.rooms.get("#dapur"))

        play(scene, tmp_path, daemon=daemon)
        assert daemon.texts() == ["satu", "dua"]

    def test_several_lines(self, tmp_path: Path) -> None:
        """Also pasted; the input grows with them, and one message holds them."""
        daemon = FakeDaemon()

        async def scene(stage: Stage) -> None:
            await stage.type("satu")
            await stage.press("ctrl+j")
            stage.app._prompt.post_message(events.Paste("dua\r\ntiga\x1b"))
            await stage.until(lambda: stage.app._prompt.size.height == 3)
            await stage.press("enter")
            await stage.until_seen("tiga ✓")

        play(scene, tmp_path, daemon=daemon)
        assert daemon.texts() == ["satu\ndua\ntiga"]

    def test_drafts_stay_in_their_rooms(self, tmp_path: Path) -> None:
        """What stands in the input goes and comes with the room."""

        async def scene(stage: Stage) -> None:
            await stage.type("/join #dapur\n")
            await stage.until_seen("2 #dapur")
            await stage.type("resep")
            await stage.press("alt+1")
            assert stage.app._prompt.editor.text == ""
            await stage.type("halo")
            await stage.press("alt+down")
            assert stage.app._prompt.editor.text == "resep"
            await stage.press("alt+up")
            assert stage.app._prompt.editor.text == "halo"

        play(scene, tmp_path)

    def test_tab_completes_those_who_are_there(self, tmp_path: Path) -> None:
        """Members, and those who spoke; not oneself."""
        daemon = FakeDaemon()
        daemon.members = [MemberInfo("sari", 0), MemberInfo("salim", 0, role=Role.MODERATOR), MemberInfo("ayu", 900)]
        Person(daemon, "santi", 1).say("halo")

        async def scene(stage: Stage) -> None:
            await stage.until_seen("@salim")
            await stage.until_seen("halo")
            await stage.type("sa")
            await stage.press("tab")
            assert stage.app._prompt.editor.text == "santi: "
            await stage.press("tab")
            assert stage.app._prompt.editor.text == "salim: "
            await stage.press("shift+tab", "ctrl+u")
            await stage.type("/jo")
            await stage.press("tab")
            assert stage.app._prompt.editor.text == "/join "

        play(scene, tmp_path, daemon=daemon)

    def test_keys_that_mean_nothing_leave_no_letters(self, tmp_path: Path) -> None:
        """Alt with a letter is not that letter."""

        async def scene(stage: Stage) -> None:
            await stage.press("alt+x", "ctrl+g", "f12", "x")
            assert stage.app._prompt.editor.text == "x"

        play(scene, tmp_path)


class TestLeaving:
    def test_control_d_leaves_only_where_nothing_is_typed(self, tmp_path: Path) -> None:
        """With text it erases, as in a shell; ^C clears, and says how to leave."""

        async def scene(stage: Stage) -> None:
            await stage.type("ab")
            await stage.press("home", "ctrl+d")
            assert stage.app._prompt.editor.text == "b"
            await stage.press("ctrl+c")
            assert stage.app._prompt.editor.text == ""
            await stage.press("ctrl+c")
            await stage.until_seen("Leave with ^D, /quit or qqq.")
            await stage.press("ctrl+d")
            await stage.until(lambda: not stage.runs)

        play(scene, tmp_path)

    def test_qqq_leaves(self, tmp_path: Path) -> None:
        """As ever."""

        async def scene(stage: Stage) -> None:
            await stage.type("qqq\n")
            await stage.until(lambda: not stage.runs)

        assert play(scene, tmp_path).app.error is None

    def test_what_could_not_be_sent_is_said_at_the_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is kept, and goes out the next time."""
        monkeypatch.setattr(session, "PARTING_S", 0.0)

        async def scene(stage: Stage) -> None:
            stage.link.cut()
            await stage.type("nanti\n")
            await stage.until_seen("nanti … queued")

        error = play(scene, tmp_path).app.error
        assert isinstance(error, NotStored)

    def test_an_end_that_the_chat_comes_to_is_told(self, tmp_path: Path) -> None:
        """Another identity answers, say: the screen closes, and the sentence stands in the terminal."""

        async def scene(stage: Stage) -> None:
            stage.link.failed = IdentityMismatch("Not the server that you know.")
            stage.link.kick()
            await stage.until(lambda: not stage.runs)

        assert str(play(scene, tmp_path).app.error) == "Not the server that you know."

    def test_a_home_that_cannot_be_opened_is_told(self, tmp_path: Path) -> None:
        """Whatever goes wrong before there is a chat."""

        async def scene(stage: Stage) -> None:
            await stage.until(lambda: stage.app.error is not None)

        def broken() -> NoReturn:
            raise HomeError("Cannot read it.")

        assert str(play(scene, tmp_path, early=True, load=broken).app.error) == "Cannot read it."


class TestStates:
    def test_a_cut_link_is_told_and_what_is_said_meanwhile_goes_out_later(self, tmp_path: Path) -> None:
        """Why, when the next try is, what waits; and then that it is stored."""
        daemon = FakeDaemon()

        async def scene(stage: Stage) -> None:
            await stage.until_seen("● 48 ms  ↑0% ↓2%")
            stage.link.cut()
            await stage.until_seen("✗ Next try in 4 s. chat.example.org cannot be found.")
            await stage.type("nanti\n")
            await stage.until_seen("nanti … queued")
            await stage.until_seen("1 queued")
            stage.link.connect()
            await stage.until_seen("nanti ✓")
            await stage.until_gone("queued")

        play(scene, tmp_path, daemon=daemon)
        assert daemon.texts() == ["nanti"]

    def test_both_kinds_of_silence_are_told_apart(self, tmp_path: Path) -> None:
        """They do not hear us, and we do not hear them."""

        async def scene(stage: Stage) -> None:
            stage.link.numbers = replace(QUIET, unanswered_s=5.0)
            await stage.until_seen("we hear the server, it does not hear us for 5 s; trying again")
            stage.link.numbers = replace(QUIET, silence_s=30.0, unanswered_s=30.0)
            await stage.until_seen("we hear nothing from the server for 30 s; looking for another way")

        play(scene, tmp_path)

    def test_a_refused_message_keeps_its_reason(self, tmp_path: Path) -> None:
        """And what is said after it goes out."""
        daemon = FakeDaemon()
        daemon.refuse_texts.add("terlarang")

        async def scene(stage: Stage) -> None:
            await stage.type("terlarang\nboleh\n")
            await stage.until_seen("terlarang ✗ not sent: Refused: ")
            await stage.until_seen("boleh ✓")

        play(scene, tmp_path, daemon=daemon)

    def test_what_waited_from_an_earlier_visit_is_shown(self, tmp_path: Path) -> None:
        """The outbox is on disk."""
        daemon = FakeDaemon()

        async def offline(stage: Stage) -> None:
            await stage.type("dari kemarin\n")
            await stage.until_seen("dari kemarin … queued")

        async def online(stage: Stage) -> None:
            await stage.until_seen("dari kemarin … queued")
            stage.link.connect()
            await stage.until_seen("dari kemarin ✓")

        play(offline, tmp_path, daemon=daemon, connected=False)
        play(online, tmp_path, daemon=daemon, connected=False)


class TestThePast:
    def test_it_is_fetched_as_one_scrolls_up(self, tmp_path: Path) -> None:
        """To the first entry, each once and in order; Escape leads back."""
        daemon = chatty(500)

        async def scene(stage: Stage) -> None:
            room = stage.app.rooms.get(LOBBY)
            assert room is not None
            await stage.until_seen("orang-500 joined")
            while not stage.sees("orang-1 joined"):
                await stage.press("pageup")
            assert stage.sees("reading back")
            numbers = [item.seq for item in room.items if isinstance(item, ChatEvent)]
            assert numbers == list(range(1, 501))
            await stage.press("escape")
            await stage.until_seen("orang-500 joined")
            assert not stage.sees("reading back")

        play(scene, tmp_path, daemon=daemon)

    def test_a_window_that_left_the_newest_comes_back_to_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Downwards page by page, or with one key; and what was said meanwhile is there."""
        monkeypatch.setattr(bounds, "MAX_ITEMS", 150)
        daemon = chatty(400)
        tama = Person(daemon, "tama", 1)

        async def scene(stage: Stage) -> None:
            room = stage.app.rooms.get(LOBBY)
            assert room is not None
            await stage.until_seen("orang-400 joined")
            while not stage.sees("orang-1 joined"):
                await stage.press("pageup")
                assert len(room.items) <= 150 + MAX_PAGE_ENTRIES
            assert room.detached
            tama.say("baru")
            stage.link.kick()
            while not stage.sees("baru"):
                await stage.press("pagedown")
                assert len(room.items) <= 150 + MAX_PAGE_ENTRIES
            await stage.press(*["pageup"] * 40)
            await stage.until(lambda: room.detached)
            await stage.press("escape")
            await stage.until_seen("baru")

        play(scene, tmp_path, daemon=daemon)

    def test_offline_it_is_what_this_device_has(self, tmp_path: Path) -> None:
        """Told apart by its day line, page by page to the first; and the server's own once it is there again."""
        daemon = FakeDaemon()
        tama = Person(daemon, "tama", 1)
        tama.say(*[f"kata {number}." for number in range(1, 121)])

        async def read(stage: Stage) -> None:
            await stage.until_seen("kata 120.")
            while not stage.sees("kata 75."):
                await stage.press("pageup")

        async def offline(stage: Stage) -> None:
            stage.link.tell(LinkState.WAITING, "No way.", retry_in_s=4.0)
            await stage.until_seen("kata 120.")
            room = stage.app.rooms.get(LOBBY)
            assert room is not None
            while not stage.sees("from this device"):
                await stage.press("pageup")
            assert stage.sees("kata 71.")
            assert not stage.sees("tama joined")
            await stage.until(lambda: room.kept_whole)
            assert room.kept == 50
            stage.link.connect()
            await stage.until_gone("from this device")
            while not stage.sees("kata 1."):
                await stage.press("pageup")
            assert room.kept == 0
            numbers = [item.seq for item in room.items if isinstance(item, ChatEvent)]
            assert numbers == list(range(1, 121))

        play(read, tmp_path, daemon=daemon)
        play(offline, tmp_path, daemon=daemon, connected=False)

    def test_scrolling_draws_only_what_scrolls(self, tmp_path: Path) -> None:
        """The columns at the sides stay as they are: they are half of the lines of a screen."""
        daemon = chatty(500)

        async def scene(stage: Stage) -> None:
            await stage.until_seen("orang-500 joined")
            drawn: list[int] = []
            for panel in (stage.app._rooms_panel, stage.app._members_panel):
                assert panel.render_line(0).text.strip()
                panel.render_line = lambda y: drawn.append(y) or Strip([])  # type: ignore[method-assign, func-returns-value]
            await stage.press(*["shift+up"] * 5)
            await stage.until_seen("reading back")
            assert not stage.sees("orang-500 joined")
            assert drawn == []
            stage.app._rooms_panel.put([])
            await stage.until(lambda: bool(drawn))

        play(scene, tmp_path, daemon=daemon)

    def test_the_wheel_scrolls(self, tmp_path: Path) -> None:
        """Over the timeline."""

        async def scene(stage: Stage) -> None:
            await stage.until_seen("orang-60 joined")
            stage.app._timeline.post_message(wheel(events.MouseScrollUp))
            await stage.until_gone("orang-60 joined")
            stage.app._timeline.post_message(wheel(events.MouseScrollDown))
            await stage.until_seen("orang-60 joined")

        play(scene, tmp_path, daemon=chatty(60))


def wheel(kind: type[events.MouseEvent]) -> events.MouseEvent:
    return kind(None, 5, 5, 0, 0, 0, False, False, False)


class TestScreen:
    @pytest.mark.parametrize("key", ["question_mark", "f1"])
    def test_help(self, tmp_path: Path, key: str) -> None:
        """Keys and commands, and back to the room."""

        async def scene(stage: Stage) -> None:
            await stage.press(key)
            await stage.until_seen("send what is typed")
            await stage.press("end")
            await stage.until_seen("/quit")
            await stage.press("home", "pagedown", "escape")
            await stage.until_gone("send what is typed")
            await stage.type("a?")
            assert stage.app._prompt.editor.text == "a?"

        play(scene, tmp_path)

    @pytest.mark.parametrize("size", [(80, 24), (40, 15)])
    def test_columns_fold_away_where_there_is_no_room(self, tmp_path: Path, size: tuple[int, int]) -> None:
        """And come when they are wanted."""

        async def scene(stage: Stage) -> None:
            assert not stage.sees("Members")
            await stage.type("halo\n")
            await stage.until_seen("halo ✓")
            await stage.press("f3")
            await stage.until_seen("Members")
            await stage.press("f3", "f2")
            await stage.until_gone("Members")
            await stage.until_seen("1 #lobby")
            assert all(cell_len(row) <= size[0] for row in stage.rows())

        play(scene, tmp_path, size=size)

    def test_it_follows_the_size_of_its_window(self, tmp_path: Path) -> None:
        """Lines are wrapped anew, and the columns come and go."""
        daemon = FakeDaemon()
        Person(daemon, "tama", 1).say("kata " * 20)

        async def scene(stage: Stage) -> None:
            await stage.until_seen("Members")
            for width, height in ((40, 15), (120, 30), (80, 24)):
                await stage.pilot.resize_terminal(width, height)
                await stage.until(lambda height=height: len(stage.rows()) == height)
                await stage.until_seen("kata kata")
                assert stage.sees("Members") == (width > 80)

        play(scene, tmp_path, daemon=daemon)

    def test_themes(self, tmp_path: Path) -> None:
        """Round and round with a key, or by name."""

        async def scene(stage: Stage) -> None:
            names = [stage.app.palette_name]
            for _ in range(3):
                await stage.press("f4")
                names.append(stage.app.palette_name)
            assert names == ["dark", "light", "terminal", "dark"]
            await stage.type("/theme light\n")
            await stage.until(lambda: stage.app.palette_name == "light")
            assert stage.app._timeline.palette.name == "bisik-light"
            await stage.type("/theme pelangi\n")
            await stage.until_seen("There are these themes: dark, light, terminal.")

        play(scene, tmp_path)

    def test_settings_for_this_run(self, tmp_path: Path) -> None:
        """Shown, completed and changed."""

        async def scene(stage: Stage) -> None:
            await stage.type("/set\n")
            await stage.until_seen("theme = dark  (dark, light, terminal)")
            await stage.type("/set th")
            await stage.press("tab")
            await stage.type("l")
            await stage.press("tab", "enter")
            await stage.until_seen("theme = light")
            assert stage.app.palette_name == "light"
            await stage.type("/set them light\n")
            await stage.until_seen("Did you mean theme?")

        play(scene, tmp_path)

    def test_no_color_means_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not even grey."""
        monkeypatch.setenv("NO_COLOR", "1")
        daemon = FakeDaemon()
        Person(daemon, "tama", 1).say("halo sari")

        async def scene(stage: Stage) -> None:
            await stage.until_seen("halo sari")
            styles = {segment.style for line in stage.app.screen._compositor.render_strips() for segment in line}
            colors = {color for style in styles if style for color in (style.color, style.bgcolor) if color}
            assert all(color.is_default for color in colors)
            await stage.press("f4")
            await stage.until_seen("NO_COLOR is set")

        play(scene, tmp_path, daemon=daemon, no_color=True)

    def test_the_bell_is_a_choice(self, tmp_path: Path) -> None:
        """Said when it is changed, and kept to."""
        daemon = FakeDaemon()
        tama = Person(daemon, "tama", 1)
        daemon.append(JoinEntry(LOBBY, 1, START_MS, "tama"))

        async def scene(stage: Stage) -> None:
            room = stage.app.rooms.get(LOBBY)
            assert room is not None
            await stage.until(lambda: room.seen is not None)
            tama.say("halo semua")
            stage.link.kick()
            await stage.until_seen("halo semua")
            assert stage.rang == []
            await stage.press("f5")
            await stage.until_seen("Rings: for every message.")
            tama.say("masih semua")
            stage.link.kick()
            await stage.until(lambda: stage.rang == ["\x07"])

        play(scene, tmp_path, daemon=daemon)

    def test_commands_answer_in_the_room(self, tmp_path: Path) -> None:
        """Those of every interface; a mistake gets a hint."""

        async def scene(stage: Stage) -> None:
            await stage.type("/rooms\n/jion\n/me melambai\n")
            await stage.until_seen("* #lobby")
            await stage.until_seen("There is no command /jion. Did you mean /join?")
            await stage.until_seen("* sari melambai ✓")
            await stage.type("/join #dapur\n")
            await stage.until_seen("2 #dapur")
            await stage.type("/leave\n")
            await stage.until_gone("2 #dapur")
            await stage.until_seen("You have left #dapur.")

        play(scene, tmp_path)
