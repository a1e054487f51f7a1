"""What somebody who wants to come in has to be told: address, fingerprint, join password, and all of it as a link."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from bisik_protocol.chat.invite import Invite, parse_endpoint, parse_invite
from bisik_protocol.crypto.identity import fingerprint_text
from bisikd.sockets import primary_address, shown_address
from bisikd.times import rfc3339

if TYPE_CHECKING:
    from bisikd.config import Settings
    from bisikd.invites import InviteRecord, Invites
    from bisikd.state import StateDirectory

WILDCARDS: Final = frozenset({"::", "0.0.0.0"})  # noqa: S104 # compared with, not listened on


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The contract's first line. `join_password` and `invite` are secrets that the operator wants to see."""

    listen: str
    fingerprint: bytes
    join_password: str = field(repr=False)
    invite: str = field(repr=False)

    def as_json(self) -> dict[str, str]:
        return {
            "type": "ready",
            "listen": self.listen,
            "fingerprint": fingerprint_text(self.fingerprint),
            "join_password": self.join_password,
            "invite": self.invite,
        }


def ready_of(settings: "Settings", state: "StateDirectory", bound: tuple[Any, ...] | None = None) -> Ready:
    """For a daemon that is bound to the address `bound`, or for one that would run with these settings."""
    address = (settings.listen.host or "::", settings.listen.port) if bound is None else bound
    fingerprint = state.identity.fingerprint
    host, port = public_endpoint(settings.public_host, address)
    invite = Invite(host=host, port=port, fingerprint=fingerprint, join_password=state.join_password)
    return Ready(
        listen=shown_address(address),
        fingerprint=fingerprint,
        join_password=state.join_password,
        invite=invite.url(),
    )


def public_endpoint(public_host: str | None, bound: tuple[Any, ...]) -> tuple[str, int]:
    """Host and port for invites: what the operator says, else where we listen, else this machine's own address."""
    port = bound[1]
    if public_host is not None:
        host, named_port = parse_endpoint(public_host)
        return host, port if public_host.strip() in (host, f"[{host}]") else named_port
    host = str(bound[0])
    return (primary_address() if host in WILDCARDS else host), port


def made_invite(ready: Ready, record: "InviteRecord", secret: str, now_ms: int) -> dict[str, Any]:
    """A new invite as programs read it, with its secret and its link: the only time that these are shown."""
    link = replace(parse_invite(ready.invite), join_password=secret).url()
    return invite_as_json(record, now_ms) | {"secret": secret, "link": link}


def invite_as_json(record: "InviteRecord", now_ms: int) -> dict[str, Any]:
    """An invite as programs read it. `over` says why nobody comes in by it any more, or is null."""
    return {
        "type": "invite",
        "id": record.id,
        "label": record.label,
        "created": rfc3339(record.created_ms),
        "expires": None if record.expires_ms is None else rfc3339(record.expires_ms),
        "uses": record.uses,
        "max_uses": record.max_uses,
        "over": record.over(now_ms),
        "guests": list(record.guests),
    }


def invites_as_json(invites: "Invites", now_ms: int) -> list[dict[str, Any]]:
    """All of them, newest first."""
    return [invite_as_json(record, now_ms) for record in invites.all()]
