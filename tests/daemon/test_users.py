"""The accounts: unique to the eye, true only once they are on the disk, and damaged one at a time."""

import threading
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

import bisikd.users
from bisikd.passwords import Cost, Passwords
from bisikd.userfile import file_name_of, name_of_file
from bisikd.users import MAX_DEVICES, DeviceTaken, NameTaken, NotWritten, Role, TooMany, UserStore
from tests.support.failing_files import FailingFiles, Killed, each_call

LOGIN_ID_HASH = Passwords(Cost(memory_kib=8, passes=1, lanes=1)).hash("k7mq")
NOW_MS = 1_795_338_000_123


def device(number: int) -> bytes:
    """A modulus of the right shape: 3072 bits and odd. Nothing here needs its factors."""
    return b"\xc0" + b"".join(sha256(b"%d/%d" % (number, part)).digest() for part in range(12))[:382] + b"\x01"


def key_hash(number: int) -> bytes:
    return sha256(device(number)).digest()


def store_with_tama(directory: Path) -> UserStore:
    store = UserStore.open(directory)
    store.create("tama", device(1), LOGIN_ID_HASH, NOW_MS)
    return store


def test_an_account_is_found_by_name_and_by_key(tmp_path: Path) -> None:
    """With its device, and with nothing for anybody else."""
    store = store_with_tama(tmp_path)
    user = store.get("tama")
    assert user is not None
    assert user.login_id_hash == LOGIN_ID_HASH
    assert [known.modulus for known in user.devices] == [device(1)]
    assert store.by_key(key_hash(1)) == (user, device(1))
    assert store.get("budi") is None
    assert store.by_key(key_hash(2)) is None
    assert [known.name for known in store] == ["tama"]
    assert len(store) == 1


def test_accounts_are_the_same_after_a_restart(tmp_path: Path) -> None:
    """Names in any script, several devices, exact times."""
    store = store_with_tama(tmp_path)
    store.add_device("tama", device(2), NOW_MS + 1)
    store.create("émile.2", device(3), LOGIN_ID_HASH, NOW_MS)
    store.create("राम", device(4), LOGIN_ID_HASH, NOW_MS)
    again = UserStore.open(tmp_path)
    assert again.damaged == []
    assert list(again) == sorted(store, key=lambda user: str(tmp_path / file_name_of(user.name)))
    assert again.by_key(key_hash(2)) == (again.get("tama"), device(2))


@pytest.mark.parametrize("name", ["tama", "tarna", "tаmа"])
def test_a_name_or_its_look_alike_is_given_once(tmp_path: Path, name: str) -> None:
    """tama, tama in which rn plays the m, and tama with a Cyrillic a are one name to the eye."""
    store = store_with_tama(tmp_path)
    assert store.taken(name)
    with pytest.raises(NameTaken, match="taken"):
        store.create(name, device(2), LOGIN_ID_HASH, NOW_MS)
    assert len(store) == 1
    assert len(UserStore.open(tmp_path)) == 1


def test_the_sentence_tells_a_taken_name_from_a_look_alike(tmp_path: Path) -> None:
    """The owner of the name is told to log in, somebody else to choose another one."""
    store = store_with_tama(tmp_path)
    with pytest.raises(NameTaken, match="log in if it is yours"):
        store.create("tama", device(2), LOGIN_ID_HASH, NOW_MS)
    with pytest.raises(NameTaken, match="looks too much like"):
        store.create("tarna", device(2), LOGIN_ID_HASH, NOW_MS)


def test_a_name_in_another_spelling_is_a_bug_of_the_caller(tmp_path: Path) -> None:
    """The file name must never depend on how somebody typed."""
    with pytest.raises(ValueError, match="spelling"):
        UserStore.open(tmp_path).create("Tama", device(1), LOGIN_ID_HASH, NOW_MS)


def test_a_device_belongs_to_one_name(tmp_path: Path) -> None:
    """Neither a new account nor another one may claim it."""
    store = store_with_tama(tmp_path)
    store.create("budi", device(2), LOGIN_ID_HASH, NOW_MS)
    with pytest.raises(DeviceTaken, match="belongs to another name"):
        store.create("sari", device(1), LOGIN_ID_HASH, NOW_MS)
    with pytest.raises(DeviceTaken, match="belongs to another name"):
        store.add_device("budi", device(1), NOW_MS)
    assert not store.taken("sari")


def test_adding_a_device_twice_changes_nothing(tmp_path: Path) -> None:
    """A retry after a lost answer finds the device there."""
    store = store_with_tama(tmp_path)
    before = (tmp_path / "tama.toml").read_bytes()
    assert store.add_device("tama", device(1), NOW_MS + 9) == store.get("tama")
    assert (tmp_path / "tama.toml").read_bytes() == before


def test_nobody_can_make_an_account_or_the_accounts_grow_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Devices of a user and users of a server are bounded."""
    store = store_with_tama(tmp_path)
    for number in range(2, MAX_DEVICES + 1):
        store.add_device("tama", device(number), NOW_MS)
    with pytest.raises(TooMany, match="at most 32 devices"):
        store.add_device("tama", device(99), NOW_MS)
    monkeypatch.setattr(bisikd.users, "MAX_USERS", 1)
    with pytest.raises(TooMany, match="as many accounts"):
        store.create("budi", device(100), LOGIN_ID_HASH, NOW_MS)


def test_of_two_who_ask_for_one_name_at_once_one_gets_it(tmp_path: Path) -> None:
    """The check and the write are one step, also for look-alikes."""
    store = UserStore.open(tmp_path)
    line = threading.Barrier(8)
    refused: list[NameTaken] = []

    def register(number: int) -> None:
        line.wait()
        try:
            store.create("tama" if number % 2 else "tarna", device(number), LOGIN_ID_HASH, NOW_MS)
        except NameTaken as error:
            refused.append(error)

    threads = [threading.Thread(target=register, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    assert len(UserStore.open(tmp_path)) == 1


# Crashes and refusing disks ----------------------------------------------------------------------------------------


def test_a_kill_while_registering_leaves_the_whole_account_or_none(tmp_path: Path) -> None:
    """At every call to the disk; and what is left over does not hold the name."""
    (tmp_path / "count").mkdir()

    def register(directory: Path, files: FailingFiles) -> None:
        UserStore(directory, files).create("tama", device(1), LOGIN_ID_HASH, NOW_MS)

    for at in each_call(lambda files: register(tmp_path / "count", files)):
        directory = tmp_path / str(at)
        directory.mkdir()
        with pytest.raises(Killed):
            register(directory, FailingFiles(at, dead=True))
        again = UserStore.open(directory)
        assert again.damaged == []
        assert len(again) in (0, 1)
        if not len(again):
            again.create("tama", device(1), LOGIN_ID_HASH, NOW_MS)
        assert [path.name for path in directory.iterdir()] == ["tama.toml"]


def test_a_kill_while_adding_a_device_leaves_the_old_or_the_new_account(tmp_path: Path) -> None:
    """Never an account without its first device."""

    def add(files: FailingFiles) -> None:
        for path in tmp_path.iterdir():
            path.unlink()
        store = store_with_tama(tmp_path)
        store._files = files
        store.add_device("tama", device(2), NOW_MS)

    for at in each_call(add):
        with pytest.raises(Killed):
            add(FailingFiles(at, dead=True))
        again = UserStore.open(tmp_path)
        assert again.damaged == []
        user = again.get("tama")
        assert user is not None
        assert [known.modulus for known in user.devices] in ([device(1)], [device(1), device(2)])


def test_a_refusing_disk_changes_nothing_and_says_so(tmp_path: Path) -> None:
    """In memory there is no account that the disk does not have, and the next try may succeed."""
    create = "create .tama.toml.new"
    files = FailingFiles(1)
    store = UserStore.open(tmp_path, files)
    with pytest.raises(NotWritten, match=r"could not be written \(Input/output error\).*as it was before.*try again"):
        store.create("tama", device(1), LOGIN_ID_HASH, NOW_MS)
    assert files.calls[1] == create
    assert store.get("tama") is None
    assert store.by_key(key_hash(1)) is None
    assert not store.taken("tama")
    store.create("tama", device(1), LOGIN_ID_HASH, NOW_MS)
    assert UserStore.open(tmp_path).get("tama") is not None


def test_after_a_directory_that_could_not_be_synced_no_account_changes(tmp_path: Path) -> None:
    """What is on the disk is open then; a second fsync would claim success, so only a restart may look."""
    (tmp_path / "healthy").mkdir()
    (tmp_path / "users").mkdir()
    healthy = FailingFiles()
    UserStore.open(tmp_path / "healthy", healthy).create("tama", device(1), LOGIN_ID_HASH, NOW_MS)
    store = UserStore.open(tmp_path / "users", FailingFiles(len(healthy.calls) - 1))
    with pytest.raises(NotWritten, match="only a restart can tell"):
        store.create("tama", device(1), LOGIN_ID_HASH, NOW_MS)
    assert store.get("tama") is None
    with pytest.raises(NotWritten, match="only a restart can tell"):
        store.create("budi", device(2), LOGIN_ID_HASH, NOW_MS)
    assert not (tmp_path / "users" / "budi.toml").exists()


def test_a_kill_in_any_change_leaves_the_account_from_before_or_from_after_it(
    tmp_path: Path, changed: tuple[str, Callable[[UserStore], object]]
) -> None:
    """At every call to the disk, for every kind of change; and no name is let go, taken twice, or left over."""
    directory = tmp_path / "users"
    directory.mkdir()

    def begin() -> UserStore:
        for path in directory.iterdir():
            path.unlink()
        return store_with_tama(directory)

    def act(files: FailingFiles) -> None:
        store = begin()
        store._files = files
        changed[1](store)

    before = [*begin()]
    act(FailingFiles())
    after = [*UserStore.open(directory), *UserStore.open(directory).closed]
    assert after != before
    for at in each_call(act):
        with pytest.raises(Killed):
            act(FailingFiles(at, dead=True))
        again = UserStore.open(directory)
        assert again.damaged == []
        assert [*again, *again.closed] in (before, after)
        assert again.taken("tama") == (changed[0] != "forget" or len(again) == 1)
        assert len(list(directory.iterdir())) == len(again) + len(again.closed)


@pytest.fixture(params=["rename", "role", "close", "forget"])
def changed(request: pytest.FixtureRequest) -> tuple[str, Callable[[UserStore], object]]:
    changes: dict[str, Callable[[UserStore], object]] = {
        "rename": lambda store: store.rename("tama", "sari"),
        "role": lambda store: store.change("tama", lambda user: replace(user, role=Role.OWNER)),
        "close": lambda store: store.close_account("tama", NOW_MS + 1),
        "forget": lambda store: store.forget("tama"),
    }
    return request.param, changes[request.param]


# Renaming, closing, forgetting -------------------------------------------------------------------------------------


def test_after_a_rename_the_device_speaks_under_the_new_name_and_the_old_one_stays_taken(tmp_path: Path) -> None:
    """Whoever read what tama said is never shown another tama."""
    store = store_with_tama(tmp_path)
    store.rename("tama", "sari")
    for seen in (store, UserStore.open(tmp_path)):
        user = seen.get("sari")
        assert user is not None
        assert user.formerly == ("tama",)
        assert seen.get("tama") is None
        assert seen.by_key(key_hash(1)) == (user, device(1))
        assert seen.taken("tama")
        assert seen.taken("tarna")
        with pytest.raises(NameTaken):
            seen.create("tama", device(2), LOGIN_ID_HASH, NOW_MS)
    assert [path.name for path in tmp_path.iterdir()] == ["sari.toml"]


def test_an_account_may_have_a_former_name_back_or_one_that_looks_like_its_own(tmp_path: Path) -> None:
    """Its names are taken for others, not for itself; its present one is no new one."""
    store = store_with_tama(tmp_path)
    store.rename("tama", "tarna")
    store.rename("tarna", "tama")
    user = UserStore.open(tmp_path).get("tama")
    assert user is not None
    assert user.formerly == ("tarna",)
    with pytest.raises(NameTaken):
        store.rename("tama", "tama")
    store.create("budi", device(2), LOGIN_ID_HASH, NOW_MS)
    with pytest.raises(NameTaken):
        store.rename("budi", "tarna")


def test_a_file_from_before_a_rename_that_says_more_is_damage_and_is_kept(tmp_path: Path) -> None:
    """Only what the rename itself left is cleared away; a file that somebody put back is a person's to judge."""
    store = store_with_tama(tmp_path)
    old = (tmp_path / "tama.toml").read_bytes()
    store.rename("tama", "sari")
    store.add_device("sari", device(2), NOW_MS)
    (tmp_path / "tama.toml").write_bytes(old)
    again = UserStore.open(tmp_path)
    assert [user.name for user in again] == ["sari"]
    assert [damage.name for damage in again.damaged] == ["tama"]
    assert (tmp_path / "tama.toml").read_bytes() == old


def test_a_closed_account_lets_nobody_in_and_keeps_its_name(tmp_path: Path) -> None:
    """Its device is a stranger's that may be told why; forgetting it lets the name go."""
    store = store_with_tama(tmp_path)
    store.close_account("tama", NOW_MS + 1)
    for seen in (store, UserStore.open(tmp_path)):
        assert seen.get("tama") is None
        assert list(seen) == []
        assert seen.by_key(key_hash(1)) is None
        assert seen.closed_by_key(key_hash(1)) == (seen.get_closed("tama"), device(1))
        assert seen.closed_by_key(key_hash(2)) is None
        assert seen.taken("tama")
        assert [user.removed_ms for user in seen.closed] == [NOW_MS + 1]
    store.create("sari", device(1), LOGIN_ID_HASH, NOW_MS)  # the device may begin anew
    assert UserStore.open(tmp_path).damaged == []
    store.forget("tama")
    assert not store.taken("tama")
    assert [user.name for user in UserStore.open(tmp_path)] == ["sari"]


def test_a_reader_beside_a_daemon_changes_nothing(tmp_path: Path) -> None:
    """What looks like a crash's leftover may be what the daemon is writing this moment."""
    store_with_tama(tmp_path)
    (tmp_path / ".sari.toml.new").write_bytes(b"half")
    assert len(UserStore.open(tmp_path, finish=False)) == 1
    assert (tmp_path / ".sari.toml.new").exists()


# Damage ------------------------------------------------------------------------------------------------------------


def damaged_line(directory: Path, old: str, new: str) -> tuple[int | None, str]:
    """Damage tama's file, which has two devices, and return what is reported: line and sentence."""
    store = store_with_tama(directory)
    store.add_device("tama", device(2), NOW_MS)
    store.create("budi", device(3), LOGIN_ID_HASH, NOW_MS)
    path = directory / "tama.toml"
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    before = path.read_bytes()

    again = UserStore.open(directory)
    assert [user.name for user in again] == ["budi"]
    assert again.get("tama") is None
    assert again.by_key(key_hash(1)) is None
    assert again.taken("tama")
    assert again.taken("tarna")
    with pytest.raises(NameTaken, match="taken"):
        again.create("tama", device(4), LOGIN_ID_HASH, NOW_MS)
    assert path.read_bytes() == before

    (damage,) = again.damaged
    assert damage.path == path
    assert damage.name == "tama"
    assert str(damage).startswith(f"{path}")
    assert "The file is kept as it is" in damage.sentence
    return damage.line, damage.sentence


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('name = "tama"', 'name = "tama', 1, "not TOML"),
        ('name = "tama"', 'name = "budi"', 1, "not the one that the file is called after"),
        ('name = "tama"\n', "", None, "not the one that the file is called after"),
        ("created_ms = 1", "created_ms = -1", 3, "milliseconds"),
        ("created_ms = 1", "created_ms = 1.", 3, "milliseconds"),
        ("$argon2id$", "$argon2i$", 4, "Argon2id hash"),
        ('role = "member"', 'role = "king"', 2, "none of member, moderator, owner"),
        ("[[devices]]", 'formerly = "budi"\n[[devices]]', 6, "not a list"),
        ("[[devices]]", 'formerly = ["Budi"]\n[[devices]]', 6, "no name"),
        ("[[devices]]", "removed_ms = true\n[[devices]]", 6, "milliseconds"),
        ("[[devices]]", "[[device]]", 6, "something in it that no account has"),
        ('fingerprint = "', 'fingerprint = "x', 7, "does not match its fingerprint"),
        ("key = ", "kay = ", 8, "something in it that no account has"),
        ("added_ms = ", "# added_ms = ", 6, "milliseconds"),
        ('key = "', 'key = "AAAA', 8, "not an RSA key"),
    ],
)
def test_a_damaged_file_costs_its_own_user_and_is_reported_by_line(
    tmp_path: Path, old: str, new: str, line: int | None, says: str
) -> None:
    """The file stays as it is, the name stays taken, the others do not notice."""
    found_line, sentence = damaged_line(tmp_path, old, new)
    assert says in sentence
    assert found_line == line


def test_damage_in_the_second_device_is_found_on_its_own_line(tmp_path: Path) -> None:
    """Lines of the first device are not mistaken for it."""
    store = store_with_tama(tmp_path)
    store.add_device("tama", device(2), NOW_MS)
    path = tmp_path / "tama.toml"
    lines = path.read_text().split("\n")
    first, second = (number for number, line in enumerate(lines, 1) if line.startswith("key"))
    assert first < second
    lines[second - 1] = 'key = ""'
    path.write_text("\n".join(lines))
    (damage,) = UserStore.open(tmp_path).damaged
    assert damage.line == second
    assert f"line {second}:" in str(damage)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 600,
        b"\xff\xfe",
        b"a = " + b"[" * 5000,
        b"a = " + b"9" * 5000,
        b'name = "tama"\ndevices = [7]\n',
        b"name" * 100_000,
    ],
    ids=["empty", "zeros", "not UTF-8", "deep", "a long number", "no devices", "huge"],
)
def test_any_content_is_an_account_or_damage(tmp_path: Path, content: bytes) -> None:
    """What a dying disk leaves never stops the daemon."""
    (tmp_path / "tama.toml").write_bytes(content)
    store = UserStore.open(tmp_path)
    assert len(store) == 0
    assert [damage.name for damage in store.damaged] == ["tama"]
    assert store.taken("tama")


def test_every_single_flipped_bit_of_a_key_is_noticed(tmp_path: Path) -> None:
    """A key with one wrong bit would lock its device out silently."""
    store_with_tama(tmp_path)
    path = tmp_path / "tama.toml"
    content = path.read_bytes()
    start = content.index(b'key = "') + 7
    for place in range(start, start + 512, 37):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert len(UserStore.open(tmp_path).damaged) == 1


def test_a_file_that_cannot_be_read_is_damage(tmp_path: Path) -> None:
    """A directory in its place stands for every error of the system."""
    (tmp_path / "tama.toml").mkdir()
    (damage,) = UserStore.open(tmp_path).damaged
    assert "cannot be read" in damage.sentence


@pytest.mark.parametrize(
    "name", ["Tama.toml", "a b.toml", ".toml", "=2f.toml", "=41.toml", "=ff.toml", "t=61ma.toml"]
)
def test_a_file_that_is_not_called_after_a_name_is_reported_and_left(tmp_path: Path, name: str) -> None:
    """Somebody's notes or a file copied by hand: not an account, and not ours to delete."""
    (tmp_path / name).write_text("")
    store = UserStore.open(tmp_path)
    (damage,) = store.damaged
    assert damage.name is None
    assert "not called after any name" in damage.sentence
    assert (tmp_path / name).exists()


def test_other_files_are_none_of_our_business(tmp_path: Path) -> None:
    """Only .toml files are accounts."""
    (tmp_path / "README").write_text("hello")
    (tmp_path / "tama.toml~").write_text("hello")
    assert UserStore.open(tmp_path).damaged == []


def test_a_device_in_two_files_stays_with_the_first(tmp_path: Path) -> None:
    """A copy under another name, edited by hand, does not take the device over."""
    store_with_tama(tmp_path)
    copy = (tmp_path / "tama.toml").read_text().replace('"tama"', '"zul"')
    (tmp_path / "zul.toml").write_text(copy)
    store = UserStore.open(tmp_path)
    assert [user.name for user in store] == ["tama"]
    assert "belongs to tama already" in store.damaged[0].sentence


# Names of files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("tama", "tama.toml"),
        ("a-b_c", "a-b_c.toml"),
        ("a..b", "a=2e=2eb.toml"),
        ("con", "con.toml"),
        ("é", "=c3=a9.toml"),
        ("あ" * 21, "=e3=81=82" * 21 + ".toml"),
    ],
)
def test_a_name_is_never_a_path_as_it_stands(name: str, file_name: str) -> None:
    """Plain ASCII, never hidden, reversible, and short enough for any file system."""
    assert file_name_of(name) == file_name
    assert name_of_file(file_name) == name
    assert len(file_name) <= 200
    assert "/" not in file_name
    assert not file_name.startswith(".")


def test_the_login_id_hash_is_not_in_the_representation(tmp_path: Path) -> None:
    """A traceback gives nobody a hash to work on."""
    assert "argon2" not in repr(store_with_tama(tmp_path).get("tama"))
