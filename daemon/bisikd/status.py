"""What `bisikd status` shows: sessions, rooms, refusals and the log at one moment, as JSON values and as text."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bisik_protocol.chat.text import harmless
from bisikd.sockets import shown_address

if TYPE_CHECKING:
    from bisikd.rooms import Hub, Room
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
        "rooms": sorted(session.rooms),
        "behind": sorted(session.feed.behind),
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


def room_status(room: "Room") -> dict[str, Any]:
    """One room: people present, sessions of any kind, newest entry."""
    return {
        "room": room.name,
        "members": sorted(room.presence.stored),
        "sessions": len(room.memberships),
        "head": room.head,
    }


def rooms_status(hub: "Hub") -> list[dict[str, Any]]:
    return [room_status(room) for room in sorted(hub, key=lambda room: room.name) if room.begun]


def status_for_people(status: dict[str, Any]) -> Iterable[str]:
    """The lines that `bisikd status` prints without --json."""
    log = status["log"]
    yield f"bisikd {status['version']} on {status['listen']}, up {_duration(status['uptime_s'])}"
    yield f"fingerprint {status['fingerprint']}"
    yield f"log: {log['records']} records and {log['groups']} groups stored since the start" + (
        f", full {log['times_full']} times" if log["times_full"] else ""
    )
    yield ""
    yield f"{len(status['rooms'])} rooms"
    for room in status["rooms"]:
        members = ", ".join(harmless(name) for name in room["members"]) or "nobody"
        yield f"  {harmless(room['room'])}  {room['head']} entries, {room['sessions']} sessions: {members}"
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


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
