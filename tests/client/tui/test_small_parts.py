"""Completion, keys, the link bar and the bell, each alone; and what is done once everything is loaded."""

import gc
from dataclasses import replace
from pathlib import Path

import pytest

from bisik.errors import WrongUsage
from bisik.events import LinkChanged, LinkState
from bisik.home import Home, Profile
from bisik.tui.completion import Completion
from bisik.tui.editor import Editor
from bisik.tui.keymap import ACTIONS, Keymap
from bisik.tui.linkbar import LinkBar, LinkText, Mood
from bisik.tui.ring import Bell, How, When
from bisik.tui.rooms import Ring
from bisik.tui.run import load
from tests.client.tui.stage import QUIET


class TestCompletion:
    def complete(self, typed: str, times: int = 1, *, step: int = 1) -> str:
        completion = Completion(
            people=lambda: ["tama", "Tari", "ayu"],
            rooms=lambda: ["#lobby", "#dapur"],
            commands=lambda start: [name for name in ("/join", "/leave") if name.startswith(start)],
        )
        editor = Editor()
        editor.insert(typed)
        for _ in range(times):
            completion.next(editor, step=step)
        return editor.text

    @pytest.mark.parametrize(
        ("typed", "times", "text"),
        [
            ("ta", 1, "tama: "),
            ("ta", 2, "Tari: "),
            ("ta", 3, "tama: "),
            ("halo ta", 1, "halo tama "),
            ("@ay", 1, "@ayu "),
            ("halo @ay", 1, "halo @ayu "),
            ("/j", 1, "/join "),
            ("/join #d", 1, "/join #dapur "),
            ("x\nta", 1, "x\ntama "),
            ("zz", 1, "zz"),
            ("", 1, ""),
            ("halo ", 1, "halo "),
        ],
    )
    def test_words(self, typed: str, times: int, text: str) -> None:
        """People, rooms and commands, each where they can stand; again: the next one."""
        assert self.complete(typed, times) == text

    def test_backwards(self) -> None:
        """The last suggestion first."""
        assert self.complete("ta", step=-1) == "Tari: "

    def test_typing_goes_on_from_a_suggestion(self) -> None:
        """What is typed after it begins another round."""
        completion = Completion(people=lambda: ["tama"], rooms=list, commands=lambda _: [])
        editor = Editor()
        editor.insert("t")
        completion.next(editor)
        editor.insert("ta")
        completion.next(editor)
        assert editor.text == "tama: tama "


class TestKeymap:
    def test_no_key_has_two_meanings(self) -> None:
        """In the table as it stands."""
        keys = [key for action in ACTIONS for key in action.keys]
        assert len(keys) == len(set(keys))

    def test_a_person_may_change_it(self) -> None:
        """The new key works, the old one does not, and a key that was another's is taken from it."""
        keymap = Keymap({"room-next": "ctrl+n", "help": ["f1", "f9"]})
        assert keymap.action("ctrl+n") == "room-next"
        assert keymap.action("alt+down") is None
        assert keymap.action("f9") == "help"
        assert ("ctrl+n", "the next room") in keymap.help_rows()

    @pytest.mark.parametrize(
        ("keys", "said"),
        [
            ({"fly": "f1"}, "there is no action 'fly'"),
            ({"help": 1}, "help wants a key"),
            ({"help": [""]}, "help wants a key"),
            ({"help": "f9", "theme": "f9"}, "f9 is given to both help and theme"),
        ],
    )
    def test_mistakes_are_explained(self, keys: dict[str, object], said: str) -> None:
        """In a sentence that names the place."""
        with pytest.raises(WrongUsage, match=said):
            Keymap(keys)


class TestLinkBar:
    def bar(self, state: LinkState, text: str = "", retry_in_s: float | None = None) -> LinkBar:
        bar = LinkBar()
        bar.handle(LinkChanged(state=state, text=text, retry_in_s=retry_in_s), 100.0)
        return bar

    def test_before_anything_is_known(self) -> None:
        """It says that it opens."""
        assert LinkBar().text(None, 0.0) == LinkText(Mood.OPENING, "opening …")

    def test_a_good_link(self) -> None:
        """Round trip and losses of both ways."""
        assert self.bar(LinkState.CONNECTED).text(QUIET, 101.0) == LinkText(Mood.GOOD, "● 48 ms  ↑0% ↓2%")

    def test_a_link_that_loses_much_and_is_repaired(self) -> None:
        """What is lost, and what was sent again in the last seconds."""
        bar = self.bar(LinkState.CONNECTED)
        lossy = replace(QUIET, loss_out=0.31, repair_datagrams=4)
        assert bar.text(lossy, 101.0) == LinkText(Mood.POOR, "● 48 ms  ↑31% ↓2%  repair 4")
        assert bar.text(replace(lossy, repair_datagrams=6), 102.0).text.endswith("repair 6")
        assert bar.text(replace(lossy, repair_datagrams=6), 108.0).text.endswith("↓2%")

    @pytest.mark.parametrize(
        ("silence_s", "unanswered_s", "mood", "said"),
        [
            (2.0, 0.0, Mood.GOOD, "48 ms"),
            (4.0, 9.0, Mood.POOR, "we hear nothing from the server for 4 s; trying again"),
            (0.0, 7.0, Mood.POOR, "we hear the server, it does not hear us for 7 s; trying again"),
            (20.0, 20.0, Mood.BROKEN, "we hear nothing from the server for 20 s; looking for another way"),
        ],
    )
    def test_both_kinds_of_silence(self, silence_s: float, unanswered_s: float, mood: Mood, said: str) -> None:
        """Which way is dead, for how long, and what is done about it."""
        stats = replace(QUIET, silence_s=silence_s, unanswered_s=unanswered_s)
        text = self.bar(LinkState.CONNECTED).text(stats, 101.0)
        assert text.mood is mood
        assert said in text.text

    def test_the_next_try_is_counted_down(self) -> None:
        """Why there is no connection, and when it is tried again."""
        bar = self.bar(LinkState.WAITING, "There is no network.\x1b", retry_in_s=4.0)
        assert bar.text(None, 101.0) == LinkText(Mood.BROKEN, "✗ Next try in 3 s. There is no network.␛")
        assert bar.text(None, 103.9).text.startswith("✗ Trying again now.")

    def test_a_machine_without_a_daemon(self) -> None:
        """That is no silence: it says so."""
        bar = LinkBar()
        bar.handle(LinkChanged(state=LinkState.SILENT, text="Nobody is listening.", refused=True), 100.0)
        assert bar.text(replace(QUIET, silence_s=9.0), 101.0) == LinkText(Mood.BROKEN, "✗ Nobody is listening.")

    def test_what_is_tried(self) -> None:
        """While it is tried."""
        bar = self.bar(LinkState.CONNECTING, "Connecting to a port 1 …")
        assert bar.text(QUIET, 101.0) == LinkText(Mood.OPENING, "◌ Connecting to a port 1 …")


class TestBell:
    @pytest.mark.parametrize(
        ("when", "worth", "rings"),
        [
            (When.OFF, Ring.MENTION, False),
            (When.MENTIONS, Ring.MESSAGE, False),
            (When.MENTIONS, Ring.MENTION, True),
            (When.ALL, Ring.MESSAGE, True),
            (When.ALL, Ring.NOTHING, False),
        ],
    )
    def test_when(self, when: When, worth: Ring, rings: bool) -> None:
        """As the person wishes."""
        assert bool(Bell(when).ring(worth, "tama", "halo", 0.0)) is rings

    @pytest.mark.parametrize(
        ("how", "written"),
        [
            (How.BEL, "\x07"),
            (How.OSC_9, "\x1b]9;ta␇ma: ␛]x;y␇\x07"),
            (How.OSC_777, "\x1b]777;notify;ta␇ma;␛]x,y␇\x07"),
        ],
    )
    def test_how(self, how: How, written: str) -> None:
        """Nothing of others ends the sequence, or begins one."""
        assert Bell(When.ALL, how).ring(Ring.MESSAGE, "ta\x07ma", "\x1b]x;y\x07", 0.0) == written

    def test_not_again_at_once(self) -> None:
        """A hundred messages in a second ring once."""
        bell = Bell()
        rings = [bool(bell.ring(Ring.MENTION, "tama", "sari", second)) for second in (0.0, 0.5, 1.9, 2.1)]
        assert rings == [True, False, False, True]
        assert [bell.next_when() for _ in range(3)] == [When.ALL, When.OFF, When.MENTIONS]


def test_what_was_loaded_is_not_collected_again_and_again(tmp_path: Path) -> None:
    """A full collection of all modules takes 50 ms, and would come between a key and its screen."""
    profile = Profile(name="sari", host="localhost", port=9, fingerprint=bytes(32), folder=tmp_path)
    gc.unfreeze()
    try:
        load(Home(tmp_path), profile)
        assert len(gc.get_objects()) < gc.get_freeze_count() / 10
    finally:
        gc.unfreeze()
