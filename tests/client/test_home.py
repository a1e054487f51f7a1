"""The home directory: who one is on which server, in files that are whole or not there."""

import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from bisik.errors import HomeError, NotKnown
from bisik.files import create_once, write_atomically
from bisik.home import Home
from bisik_protocol.crypto.identity import fingerprint_text
from tests.support.keys import device_key

ONE, TWO = bytes(range(32)), bytes(range(1, 33))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def save(home: Home, fingerprint: bytes = ONE, name: str = "tama", host: str = "127.0.0.1", port: int = 9999) -> None:
    home.save(name=name, host=host, port=port, fingerprint=fingerprint)


class TestLocate:
    def test_what_was_asked_for_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Then the variable, then the system's place."""
        monkeypatch.setenv("BISIK_HOME", str(tmp_path / "variable"))
        assert Home.locate(tmp_path / "asked").path == tmp_path / "asked"
        assert Home.locate().path == tmp_path / "variable"
        monkeypatch.delenv("BISIK_HOME")
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        assert Home.locate().path.name == "bisik"

    def test_looking_creates_nothing(self, home: Home) -> None:
        """A home begins with something to keep."""
        assert home.default() is None
        assert home.profiles() == []
        assert home.profile(ONE) is None
        assert not home.path.exists()


class TestProfiles:
    def test_what_was_saved_is_known(self, home: Home) -> None:
        """And is the default from then on."""
        save(home)
        profile = home.require_default()
        assert (profile.name, profile.host, profile.port, profile.fingerprint) == ("tama", "127.0.0.1", 9999, ONE)
        assert profile.folder.name == fingerprint_text(ONE)

    def test_the_server_used_last_is_the_default(self, home: Home) -> None:
        """Until another one is used."""
        save(home)
        save(home, TWO, "bima", port=1000)
        assert home.require_default().name == "bima"
        known = home.profile(ONE)
        assert known is not None
        home.use(known)
        assert home.require_default().name == "tama"
        assert [profile.name for profile in home.profiles()] == ["bima", "tama"]

    def test_a_lost_default_is_no_matter_with_one_server(self, home: Home) -> None:
        """With two, nobody is taken by chance."""
        save(home)
        (home.path / "default").write_text("nonsense")
        assert home.require_default().name == "tama"
        save(home, TWO)
        (home.path / "default").unlink()
        assert home.default() is None

    def test_a_home_without_servers_says_what_to_do(self, home: Home) -> None:
        """In the command that does it."""
        with pytest.raises(NotKnown, match="bisik join INVITE"):
            home.require_default()

    def test_a_server_that_moved_is_the_same_server(self, home: Home) -> None:
        """Its fingerprint is its name."""
        save(home)
        save(home, host="example.org", port=1)
        assert len(home.profiles()) == 1
        assert home.at_address("127.0.0.1", 9999) is None
        moved = home.at_address("example.org", 1)
        assert moved is not None
        assert moved.fingerprint == ONE

    def test_an_ipv6_address_is_shown_in_brackets(self, home: Home) -> None:
        """As it is typed."""
        save(home, host="::1")
        assert home.require_default().address == "[::1]:9999"

    def test_names_of_any_script_survive(self, home: Home) -> None:
        """TOML is UTF-8."""
        save(home, name='日本"語\\')
        assert home.require_default().name == '日本"語\\'

    @pytest.mark.parametrize("text", ["", "name = 3", "name = 'a'\nhost = 'b'\nport = 'c'", "\x00", "name = ["])
    def test_a_damaged_profile_is_a_sentence(self, home: Home, text: str) -> None:
        """It names the file, and is left as it is."""
        save(home)
        path = home.require_default().folder / "profile.toml"
        path.write_text(text)
        with pytest.raises(HomeError, match=r"profile\.toml is damaged"):
            home.profile(ONE)
        assert path.read_text() == text

    def test_foreign_folders_are_ignored(self, home: Home) -> None:
        """A person may keep a copy beside it."""
        save(home)
        (home.path / "servers" / "copy of the old one").mkdir()
        assert len(home.profiles()) == 1

    def test_a_home_that_is_a_file_is_a_sentence(self, tmp_path: Path) -> None:
        """Not a traceback."""
        (tmp_path / "file").write_text("")
        with pytest.raises(HomeError, match="Cannot"):
            save(Home(tmp_path / "file"))


class TestDevice:
    def test_the_key_is_made_once(self, home: Home) -> None:
        """And is the same at the second visit."""
        assert home.device(ONE).public == home.device(ONE).public

    def test_each_server_gets_another_key(self, home: Home) -> None:
        """So that two servers cannot tell that it is the same person."""
        for fingerprint, key in ((ONE, 1), (TWO, 2)):
            home.folder(fingerprint).mkdir(parents=True)
            (home.folder(fingerprint) / "device.pem").write_bytes(device_key(key).to_pem())
        assert home.device(ONE).public == device_key(1).public
        assert home.device(TWO).public == device_key(2).public

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no mode bits")
    def test_nobody_else_can_read_it(self, home: Home) -> None:
        """The key and the folders above it."""
        home.device(ONE)
        assert stat.S_IMODE((home.folder(ONE) / "device.pem").stat().st_mode) == 0o600
        assert stat.S_IMODE(home.folder(ONE).stat().st_mode) == 0o700

    def test_a_damaged_key_is_never_replaced(self, home: Home) -> None:
        """Whoever loses it loses the device: that must be a decision."""
        home.folder(ONE).mkdir(parents=True)
        path = home.folder(ONE) / "device.pem"
        path.write_bytes(b"not a key")
        with pytest.raises(HomeError, match="is damaged"):
            home.device(ONE)
        assert path.read_bytes() == b"not a key"

    def test_a_key_without_a_profile_is_used_again(self, home: Home) -> None:
        """A registration that was cut off: the server may know the key already."""
        key = home.device(ONE).public
        assert home.profile(ONE) is None
        assert home.device(ONE).public == key


class TestSealingKey:
    def test_a_new_device_has_one(self, home: Home) -> None:
        """It is made with the device's key, once, and nobody else can read it."""
        home.device(ONE)
        path = home.folder(ONE) / "sealing.pem"
        made = path.read_bytes()
        assert home.sealing_key(ONE).to_pem() == made
        if sys.platform != "win32":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_home_of_before_gets_one_when_asked(self, home: Home) -> None:
        """A device that was there before need not wait for it: it is made when it is wanted."""
        home.folder(ONE).mkdir(parents=True)
        (home.folder(ONE) / "device.pem").write_bytes(device_key(1).to_pem())
        home.device(ONE)
        assert not (home.folder(ONE) / "sealing.pem").exists()
        assert home.sealing_key(ONE).public == home.sealing_key(ONE).public

    def test_a_damaged_one_is_never_replaced(self, home: Home) -> None:
        """What was sealed to it could not be read any more: that must be a decision."""
        home.folder(ONE).mkdir(parents=True)
        path = home.folder(ONE) / "sealing.pem"
        path.write_bytes(device_key(1).to_pem())
        with pytest.raises(HomeError, match="is damaged"):
            home.sealing_key(ONE)
        assert path.read_bytes() == device_key(1).to_pem()


class TestFiles:
    def test_a_write_replaces_the_whole(self, tmp_path: Path) -> None:
        """And leaves nothing beside it."""
        path = tmp_path / "file"
        write_atomically(path, b"a long first text")
        write_atomically(path, b"short")
        assert path.read_bytes() == b"short"
        assert [child.name for child in tmp_path.iterdir()] == ["file"]

    def test_a_write_that_fails_leaves_the_old(self, tmp_path: Path) -> None:
        """And no temporary file."""
        path = tmp_path / "folder"
        path.mkdir()
        (path / "in the way").write_text("")
        with pytest.raises(OSError):  # noqa: PT011 # which one differs between systems
            write_atomically(path, b"new")
        assert [child.name for child in tmp_path.iterdir()] == ["folder"]

    def test_the_first_to_create_wins(self, tmp_path: Path) -> None:
        """All others are given what it wrote."""
        path = tmp_path / "file"
        found: list[bytes] = []
        threads = [threading.Thread(target=lambda n=n: found.append(create_once(path, b"%d" % n))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(found) == {path.read_bytes()}
        assert [child.name for child in tmp_path.iterdir()] == ["file"]

    def test_without_hard_links_it_is_created_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Some file systems have none."""

        def refuse(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "link", refuse)
        path = tmp_path / "file"
        assert create_once(path, b"one") == b"one"
        assert create_once(path, b"two") == b"one"
        assert [child.name for child in tmp_path.iterdir()] == ["file"]
