"""What somebody who wants to come in has to be told: address, fingerprint, join password, and all of it as a link."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bisik_protocol.chat.invite import Invite, parse_endpoint
from bisik_protocol.crypto.identity import fingerprint_text
from bisikd.sockets import primary_address, shown_address

if TYPE_CHECKING:
    from bisikd.config import Settings
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
