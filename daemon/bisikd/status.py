"""What `bisikd status` shows: sessions, rooms, refusals and the log at one moment, as JSON values and as text."""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bisik_protocol.chat.direct_names import is_direct
from bisik_protocol.chat.text import harmless
from bisikd.sockets import shown_address

if TYPE_CHECKING:
    from bisikd.chat import Chat
    from bisikd.moderation import RoomRules
    from bisikd.rooms import Room
    from bisikd.session import Session


def session_status(session: "Session", now: float) -> dict[str, Any]:
    """One session: whose, from where, since when, and what its link is like. Times in seconds, losses 0 to 1."""
    connection = session.connection
    stats = connection.stats(now)
    return {
        "user": session.user.name if session.admitted else None,
        "address": shown_address(connection.peer_address),
        "age_s": round(now - session.since, 1),
        "quiet_s": round(now - connection.last_heard, 1),
        "rooms": sorted(name for name in session.rooms if not is_direct(name)),
        "behind": sorted(name for name in session.feed.behind if not is_direct(name)),
        "srtt_s": round(stats.srtt_s, 4),
        "min_rtt_s": round(stats.min_rtt_s, 4),
        "loss_out": round(stats.loss_out, 4),
        "loss_in": round(stats.loss_in, 4),
        "in_flight_bytes": stats.in_flight_bytes,
        "backlog_bytes": stats.backlog_bytes,
        "datagrams_sent": stats.datagrams_sent,
        "datagrams_received": stats.datagrams_received,
        "repair_datagrams": stats.repair_datagrams,
    }


def room_status(room: "Room", rules: "RoomRules") -> dict[str, Any]:
    """One room: people present, sessions of any kind, newest entry, what moderators decided."""
    return {
        "room": room.name,
        "members": sorted(room.presence.stored),
        "sessions": len(room.memberships),
        "head": room.head,
        "topic": rules.topic,
        "private": rules.private,
        "read_only": rules.read_only,
        "allowed": list(rules.allowed),
    }


def rooms_status(chat: "Chat") -> list[dict[str, Any]]:
    """Every room that has begun, by name; of direct ones nothing is shown."""
    rooms = sorted((room for room in chat.hub if room.begun and not room.direct), key=lambda room: room.name)
    return [room_status(room, chat.moderation.rules(room.name)) for room in rooms]


def directs_status(chat: "Chat") -> int:
    """How many direct conversations have begun."""
    return sum(room.begun for room in chat.hub if room.direct)


def disk_status(state: Path, log: Path) -> dict[str, Any]:
    """What the log takes and what is left beside it, in bytes. Blocks; what cannot be read counts as 0."""
    sizes = []
    with suppress(OSError):
        for path in log.iterdir():
            with suppress(OSError):
                sizes.append(path.stat().st_size)
    try:
        usage = shutil.disk_usage(state)
    except OSError:
        return {"log_bytes": sum(sizes), "free_bytes": 0, "total_bytes": 0}
    return {"log_bytes": sum(sizes), "free_bytes": usage.free, "total_bytes": usage.total}


def rooms_for_people(rooms: list[dict[str, Any]]) -> Iterable[str]:
    """The lines that `bisikd rooms` prints without --json."""
    for room in rooms:
        rules = [word for word, holds in (("private", room["private"]), ("read-only", room["read_only"])) if holds]
        members = ", ".join(harmless(name) for name in room["members"]) or "nobody"
        yield (
            f"{harmless(room['room'])}  {room['head']} entries, {room['sessions']} sessions"
            f"{''.join(', ' + word for word in rules)}: {members}"
        )
        if room["topic"]:
            yield f"    topic: {harmless(room['topic'])}"
        if room["private"]:
            yield f"    lets in: {', '.join(map(harmless, room['allowed'])) or 'moderators only'}"


def status_for_people(status: dict[str, Any]) -> Iterable[str]:
    """The lines that `bisikd status` prints without --json."""
    log = status["log"]
    yield f"bisikd {status['version']} on {status['listen']}, up {_duration(status['uptime_s'])}"
    yield f"fingerprint {status['fingerprint']}"
    yield f"log: {log['records']} records and {log['groups']} groups stored since the start" + (
        f", full {log['times_full']} times" if log["times_full"] else ""
    )
    disk = status["disk"]
    yield f"disk: the log takes {_size(disk['log_bytes'])}, {_size(disk['free_bytes'])} are free"
    yield ""
    yield f"{len(status['rooms'])} rooms, {status['directs']} direct conversations"
    yield from (f"  {line}" for line in rooms_for_people(status["rooms"]))
    yield ""
    yield f"{len(status['sessions'])} sessions"
    for session in status["sessions"]:
        yield "  " + _session_line(session)
    for title, counts in (("dropped", status["drops"]), ("refused", status["refused"])):
        if counts:
            yield ""
            yield f"{title}: " + ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))


def _session_line(session: dict[str, Any]) -> str:
    who = harmless(session["user"]) if session["user"] else "(not logged in)"
    line = (
        f"{who}  {session['address']}  rtt {session['srtt_s'] * 1000:.0f} ms"
        f"  loss {session['loss_in']:.0%} in {session['loss_out']:.0%} out"
        f"  quiet {_duration(session['quiet_s'])}  {' '.join(map(harmless, session['rooms']))}"
    )
    return line + (f"  behind in {len(session['behind'])}" if session["behind"] else "")


def _size(count: float) -> str:
    if count < 1024:
        return f"{count:.0f} bytes"
    power = min(4, (int(count).bit_length() - 1) // 10)
    return f"{count / 1024**power:.1f} {'KMGT'[power - 1]}iB"


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def version_of() -> str:
    """Of what is installed."""
    from importlib.metadata import version  # noqa: PLC0415 # it brings half of email with it, and a start needs none

    return version("bisik")
