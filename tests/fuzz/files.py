"""Targets of what is read from disk or from people: the log, accounts, configuration, invites, backups, proofs."""

import io
import tarfile
from functools import cache
from pathlib import Path

from bisik.errors import BisikError
from bisik.proof import Proof, decode_proof
from bisik.settings import load_settings
from bisik_protocol.chat.checkpoint import Checkpoint, origin_of, sign_checkpoint
from bisik_protocol.chat.invite import parse_endpoint, parse_invite
from bisikd.backup.archive import Archive
from bisikd.backup.sealed import BackupError, SealedReader, SealedWriter
from bisikd.config.file import documented_file, read_file
from bisikd.errors import BisikdError
from bisikd.invites import FILE_NAME, open_invites
from bisikd.log import LogDamaged, LogError, salvage_log, verify_log
from bisikd.log.facts import read_fact, read_kept
from bisikd.log.files import REAL_FILES
from bisikd.log.format import Malformed, RecordKind
from bisikd.passwords import Cost
from bisikd.userfile import Device, Unreadable, User, decode_user, encode_user, name_of_file, read_text
from tests.daemon.log.bench import DIRECTORY, IDENTITY, KEY, SIGNING, Small, forget, open_real, read_back, small_log
from tests.daemon.log.disks import MemoryFiles
from tests.daemon.log.talk import START_MS, Talk
from tests.fuzz.seeds import every_message
from tests.fuzz.target import Target, edited, in_file, join, workshop
from tests.support.keys import device_key, server_identity

PASSWORD = "correct horse"
CHEAP = Cost(memory_kib=8, passes=1, lanes=1)


# The log -----------------------------------------------------------------------------------------------------------


@cache
def _small(closed: bool) -> Small:
    return small_log(closed=closed)


def _damaged(data: bytes) -> MemoryFiles:
    """The log of the tests, damaged as the script says; whether it was closed is the first byte's."""
    contents = _small(bool(data[:1] > b"\x7f")).contents
    return MemoryFiles(dict(zip(contents, edited(list(contents.values()), data[1:]), strict=True)))


def _recovery(data: bytes) -> None:
    read_back(_damaged(data))


def _verify(data: bytes) -> None:
    verify_log(DIRECTORY, KEY, SIGNING, files=_damaged(data))


def _salvage(data: bytes) -> None:
    target = _fresh("salvaged")
    salvage_log(DIRECTORY, target, IDENTITY, now_ms=lambda: START_MS, files=_damaged(data))


def _fresh(name: str) -> Path:
    """An empty directory."""
    directory = workshop() / name
    directory.mkdir(exist_ok=True)
    for path in directory.iterdir():
        path.unlink()
    return directory


def _index(data: bytes) -> None:
    """A log whose index file holds anything: it is a cache, so the log opens all the same."""
    directory = _fresh("indexed")
    for name, content in _indexed().items():
        changed = edited([content], data)[0] if "segment" not in name else content
        (directory / name).write_bytes(changed)
    log = open_real(directory)
    forget(log)


@cache
def _indexed() -> dict[str, bytes]:
    directory, talk = _fresh("to-index"), Talk()
    log = open_real(directory)
    log.append([talk.register("tama"), talk.join("tama"), talk.say("tama", "halo")])
    log.close()
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def _fact(data: bytes) -> None:
    """A record that is authentic and holds anything."""
    for kind in RecordKind:
        try:
            read_fact(kind, data)
        except Malformed:
            continue
    read_kept(data)


# Accounts, configuration, invites ----------------------------------------------------------------------------------


def _user_file(data: bytes) -> None:
    path = in_file("tama.toml", data)
    decode_user(read_text(path, REAL_FILES), "tama")


def _user_seed() -> bytes:
    device = Device(modulus=device_key().public.modulus, added_ms=START_MS)
    hashed = "$argon2id$v=19$m=8,t=1,p=1$" + "A" * 22 + "$" + "A" * 43
    return encode_user(User(name="tama", created_ms=1, login_id_hash=hashed, devices=(device,), formerly=("budi",)))


def _daemon_config(data: bytes) -> None:
    read_file(in_file("bisikd.toml", data), required=True)


def _client_config(data: bytes) -> None:
    load_settings(in_file("config.toml", data))


def _invites(data: bytes) -> None:
    directory = _fresh("state")
    (directory / FILE_NAME).write_bytes(data)
    open_invites(directory)


def _invites_seed() -> bytes:
    directory = _fresh("seed")
    open_invites(directory).create(now_ms=START_MS, lasts_s=60, max_uses=3, label="kelas")
    return (directory / FILE_NAME).read_bytes()


def _invite_link(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    parse_endpoint(text) if data[:1] == b"e" else parse_invite(text)


def _file_name(data: bytes) -> None:
    name_of_file(data.decode("utf-8", "surrogateescape"))


# Backups and proofs ------------------------------------------------------------------------------------------------


@cache
def _backup() -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("users/tama.toml")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    return plain.getvalue()


def _sealed(content: bytes) -> bytes:
    path = workshop() / "sealed"
    with path.open("wb") as out, SealedWriter(out, PASSWORD, cost=CHEAP) as writer:
        writer.write(content)
    return path.read_bytes()


def _open_backup(path: Path) -> None:
    with SealedReader(path, PASSWORD) as reader:
        archive = Archive(reader)
        for name in ("users/tama.toml", "log"):
            archive.read(name)


def _backup_outside(data: bytes) -> None:
    _open_backup(in_file("backup", edited([_sealed(_backup())], data)[0]))


def _backup_inside(data: bytes) -> None:
    _open_backup(in_file("backup", _sealed(data)))


def _proof(data: bytes) -> None:
    decode_proof(data).verify()


def _proof_seed() -> bytes:
    note = sign_checkpoint(
        Checkpoint(origin=origin_of(server_identity().fingerprint), size=1, root=bytes(32)), server_identity().signing
    )
    return Proof(
        server=server_identity().public,
        note=note,
        leaf=0,
        salt=bytes(16),
        entry=every_message()[0],
        path=(bytes(32),),
        author=device_key().public,
    ).encode()


_EDITS = [b"", b"\x80", b"\x00" + join([(0, b"\x04\x00x")]), b"\x80" + join([(1, b"\x07\x00xy")])]

TARGETS = [
    Target(name="log-recovery", take=_recovery, seeds=lambda: _EDITS, refuses=(LogDamaged,)),
    Target(name="log-verify", take=_verify, seeds=lambda: _EDITS, refuses=()),
    Target(name="log-salvage", take=_salvage, seeds=lambda: _EDITS, refuses=(LogError,)),
    Target(name="log-index", take=_index, seeds=lambda: [b"", join([(0, b"\x10\x00xy")])], refuses=(LogError,)),
    Target(name="log-fact", take=_fact, seeds=every_message, refuses=(Malformed,)),
    Target(name="user-file", take=_user_file, seeds=lambda: [_user_seed()], refuses=(Unreadable,)),
    Target(name="user-file-name", take=_file_name, seeds=lambda: [b"tama.toml", b"=c3=a9.toml"], refuses=()),
    Target(
        name="daemon-config", take=_daemon_config, seeds=lambda: [documented_file().encode()], refuses=(BisikdError,)
    ),
    Target(
        name="client-config",
        take=_client_config,
        seeds=lambda: [b'bell = "all"\nmouse = false\n[keys]\nquit = "f10"\n'],
        refuses=(BisikError,),
    ),
    Target(name="invites-file", take=_invites, seeds=lambda: [_invites_seed()], refuses=(BisikdError,)),
    Target(
        name="invite-link",
        take=_invite_link,
        seeds=lambda: [b"bisik://chat.example.org:9999/?join=x", b"e[::1]:9999", b"example.org:1"],
        refuses=(ValueError,),
    ),
    Target(name="backup", take=_backup_outside, seeds=lambda: [b""], refuses=(BackupError,)),
    Target(name="backup-content", take=_backup_inside, seeds=lambda: [_backup()], refuses=(BackupError,)),
    Target(name="proof-file", take=_proof, seeds=lambda: [_proof_seed()], refuses=(BisikError,)),
]
