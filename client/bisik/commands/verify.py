"""bisik verify: prove that a message was signed by its author and is in the server's log, now or from a file."""

from pathlib import Path

import click

from bisik.chat import Chat, open_profile
from bisik.commands.common import home_option, json_option, put_json, run, say
from bisik.directs import room_name
from bisik.errors import HomeError, NotProved, Refused, WrongUsage
from bisik.events import rfc3339
from bisik.files import write_atomically
from bisik.home import Home
from bisik.i18n import _
from bisik.proof import MAX_FILE_BYTES, Proved, decode_proof
from bisik_protocol.chat.messages import Code
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.chat.statements import Statement
from bisik_protocol.chat.text import harmless
from bisik_protocol.crypto.identity import fingerprint_groups, fingerprint_text

REACH_S = 30.0
MIN_ID_DIGITS = 8


@click.command()
@click.argument("what", metavar="MESSAGE-ID|FILE")
@click.option("--room", metavar="ROOM", help="Where it was said; without it, all rooms are searched.")
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Keep the proof.")
@home_option
@json_option
def command(what: str, room: str | None, save: Path | None, home: Path | None, as_json: bool) -> None:
    """Prove that a message is what its author signed, and that it is in the server's log.

    MESSAGE-ID is the id in the output of --json, or its beginning. A FILE that was written with --save is checked
    without the server. Exit codes: 0 proved, 1 there is no such message, 4 NOT proved.
    """
    place = Home.locate(home)
    if Path(what).is_file():
        proof = decode_proof(_read(Path(what)))
        proved = proof.verify()
        text = proved.statement.text if isinstance(proved.statement, Statement) else None
        _show(place, proved, text, as_json=as_json)
        return
    if len(what) < MIN_ID_DIGITS or what.strip("0123456789abcdefABCDEF"):
        raise WrongUsage(
            _("{what} is neither a file nor a message's id, of which at least {n} digits are needed.").format(
                what=what, n=MIN_ID_DIGITS
            )
        )
    run(
        _verify,
        id_=what.lower(),
        room=None if room is None else room_name(room),
        save=save,
        home=place,
        as_json=as_json,
    )


async def _verify(*, id_: str, room: str | None, save: Path | None, home: Home, as_json: bool) -> None:
    async with open_profile(home, home.require_default(), reader="verify") as chat:
        await chat.wait_admitted(REACH_S, patient=False)
        place = await _find(chat, id_, room)
        if place is None:
            raise Refused(Code.UNKNOWN, _("There is no message with that id in the server's log."))
        proof = await chat.prove(*place)
        proved = proof.verify()
        text = chat.read(proved)
    if not proved.id.startswith(id_):
        raise NotProved(_("The server has shown another message in its place."))
    if save is not None:
        try:
            write_atomically(save, proof.encode())
        except OSError as error:
            raise HomeError(_("Cannot write {path}: {why}.").format(path=save, why=error.strerror or error)) from None
    _show(home, proved, text, as_json=as_json)


async def _find(chat: Chat, id_: str, room: str | None) -> tuple[str, int] | None:
    """Where a message is: in the room, else in any, the lobby first; newest entries first."""
    if room is not None:
        rooms = [await chat.find_room(room)]
    else:
        rooms = [info.room for info in await chat.list_rooms()] + await chat.list_directs()
    for name in sorted(rooms, key=lambda name: name != LOBBY):
        seq = await chat.history(name).find(id_)
        if seq is not None:
            return name, seq
    return None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise HomeError(_("Cannot read {path}: {why}.").format(path=path, why=error.strerror or error)) from None
    return content[:MAX_FILE_BYTES]


def _show(home: Home, proved: Proved, text: str | None, *, as_json: bool) -> None:
    """`text` is None where it is sealed, and cannot be opened here."""
    profile = home.profile(proved.server.fingerprint)
    entry, statement = proved.entry, proved.statement
    if as_json:
        put_json(
            {
                "type": "proved",
                "room": entry.room,
                "author": entry.author,
                "text": text,
                "seq": entry.seq,
                "id": proved.id,
                "time": rfc3339(entry.time),
                "said": rfc3339(statement.time),
                "device": fingerprint_text(proved.device.key_hash),
                "server": fingerprint_text(proved.server.fingerprint),
                "server_known": profile is not None,
                "leaf": proved.leaf,
                "log_size": proved.checkpoint.size,
                "log_root": proved.checkpoint.root.hex(),
            }
        )
        return
    shown = _("(sealed: only the devices that it was sealed to can read it)") if text is None else text
    click.echo(f"{rfc3339(entry.time)} {harmless(entry.room)} <{harmless(entry.author)}> {harmless(shown)}")
    say(_("Proved: the device with this key signed it, and nobody has changed it since."))
    say(f"  {fingerprint_groups(proved.device.key_hash)}")
    say(
        _("Proved: it is entry {leaf} of {size} in the log of the server with this fingerprint.").format(
            leaf=proved.leaf + 1, size=proved.checkpoint.size
        )
    )
    say(f"  {fingerprint_groups(proved.server.fingerprint)}")
    if profile is None:
        say(_("This home does not know that server: compare the fingerprint with one that you trust."))
    else:
        say(_("That is {address}, which this home knows.").format(address=profile.address))
    say(_("That the device is {name}'s is the server's word.").format(name=entry.author))
