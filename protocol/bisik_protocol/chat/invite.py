"""Where a server is and how to be let in, as people type it: HOST:PORT, and invite links.

    bisik://HOST:PORT/?fp=FINGERPRINT&join=PASSWORD

`fp` pins the server's identity; without it the client shows the fingerprint and asks. `join` is the join password;
without it the client asks. An IPv6 address stands in brackets, everything else that URLs reserve is percent-encoded.
This file reads and writes the text only; it resolves no name and knows nothing of sockets.
"""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from bisik_protocol.chat.messages import MAX_PASSWORD_BYTES
from bisik_protocol.crypto.identity import fingerprint_text, parse_fingerprint

DEFAULT_PORT: Final = 9999
MAX_PORT: Final = 65535
MAX_HOST_CHARACTERS: Final = 253  # RFC 1035's 255 bytes, as text
MAX_INVITE_CHARACTERS: Final = 2048

_SCHEME: Final = "bisik://"
_LABEL: Final = re.compile(r"[^\W_](?:[\w-]{0,61}\w)?|_\w{1,62}")  # letters of any script; some networks use _
_IPV6_CHARACTERS: Final = re.compile(r"[0-9A-Fa-f:.]+(%[\w.-]+)?")
_EXAMPLE: Final = "Type it like chat.example.org:9999 or [2001:db8::1]:9999."


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """One server, and what its operator gave to the guest. `host` is a name or a bare address without brackets."""

    host: str
    port: int = DEFAULT_PORT
    fingerprint: bytes | None = None  # 32 bytes; None: the client must ask its user
    join_password: str | None = field(default=None, repr=False)

    def url(self) -> str:
        """The link. `parse_invite` reads it back to an equal Invite."""
        fields = {}
        if self.fingerprint is not None:
            fields["fp"] = fingerprint_text(self.fingerprint)
        if self.join_password is not None:
            fields["join"] = self.join_password
        query = "?" + urlencode(fields, quote_via=quote, safe="") if fields else ""
        host = f"[{quote(self.host, safe=':')}]" if ":" in self.host else quote(self.host)
        return f"{_SCHEME}{host}:{self.port}/{query}"


def parse_invite(text: str) -> Invite:
    """Read an invite link, forgiving what pasting does to it (quotes, angle brackets, white space around).

    Raises ValueError with one sentence for people that never repeats the password.
    """
    link = text.strip().strip("<>\"'`").strip()
    if link[: len(_SCHEME)].lower() != _SCHEME:
        raise ValueError("An invite link begins with bisik:// and is best copied whole.")
    if len(link) > MAX_INVITE_CHARACTERS or not link.isprintable():  # lone surrogates are not printable either
        raise ValueError("This invite link is too long, or holds characters that no link has; copy it again.")
    endpoint, _, query = link[len(_SCHEME) :].partition("?")
    endpoint, slash, rest = endpoint.partition("/")
    if slash and rest:
        raise ValueError("This invite link has something between the server and the question mark; copy it again.")
    host, port = parse_endpoint(unquote(endpoint))
    fields = _query_fields(query)
    return Invite(
        host=host,
        port=port,
        fingerprint=_invited_fingerprint(fields.get("fp")),
        join_password=fields.get("join"),
    )


def parse_endpoint(text: str, *, lowest_port: int = 1) -> tuple[str, int]:
    """Host and port of `HOST`, `HOST:PORT`, `ADDRESS`, or `[IPV6]:PORT`; the port is 9999 where none is given.

    A daemon that lets the system choose a port passes `lowest_port=0`. Raises ValueError with one sentence.
    """
    text = text.strip()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"The bracket around the IPv6 address is not closed as it should be. {_EXAMPLE}")
        if not _is_ipv6(host):
            raise ValueError(f"What stands in the brackets is not an IPv6 address. {_EXAMPLE}")
        return host, parse_port(rest[1:], lowest=lowest_port) if rest else DEFAULT_PORT
    if text.count(":") > 1:
        if _is_ipv6(text):
            return text, DEFAULT_PORT
        raise ValueError(f"There is more than one colon in the server's address. {_EXAMPLE}")
    host, colon, port_text = text.partition(":")
    _check_host(host)
    return host, parse_port(port_text, lowest=lowest_port) if colon else DEFAULT_PORT


def parse_port(text: str, *, lowest: int = 1) -> int:
    """A UDP port as typed. Raises ValueError with one sentence."""
    text = text.strip()
    if not text:
        raise ValueError(f"The port is missing after the colon; it is a number from {lowest} to {MAX_PORT}.")
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"A port is a number from {lowest} to {MAX_PORT}, like {DEFAULT_PORT}.")
    port = int(text) if len(text) <= 20 else MAX_PORT + 1  # int() of a million digits takes its time
    if not lowest <= port <= MAX_PORT:
        raise ValueError(f"There is no such port; ports go from {lowest} to {MAX_PORT}.")
    return port


def _check_host(host: str) -> None:
    if not host:
        raise ValueError(f"The server's name or address is missing. {_EXAMPLE}")
    labels = host.removesuffix(".").split(".")
    if len(host) > MAX_HOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"That is neither a host name nor an address. {_EXAMPLE}")
    if labels[-1].isdigit() and not _is_ipv4(host):  # no top-level domain is a number: it was meant as an address
        raise ValueError(f"That number is not an address: an IPv4 address has four parts, like 192.0.2.7. {_EXAMPLE}")


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    if not _IPV6_CHARACTERS.fullmatch(text):  # the library takes any zone, escape sequences included
        return False
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _query_fields(query: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=bool(query), errors="strict", max_num_fields=16
        )
    except ValueError:
        raise ValueError("The part after the question mark of this invite link is damaged; copy it again.") from None
    for key, value in pairs:
        if key in ("fp", "join") and key in fields:
            raise ValueError("This invite link says the same thing twice; copy it again.")
        fields[key] = value  # keys that a later version adds are not this version's business
    password = fields.get("join")
    if password is not None and len(password.encode()) > MAX_PASSWORD_BYTES:
        raise ValueError("The join password in this invite link is too long to be one; copy it again.")
    return fields


def _invited_fingerprint(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return parse_fingerprint(text)
    except ValueError:
        raise ValueError("The fingerprint in this invite link is damaged; copy it again.") from None
