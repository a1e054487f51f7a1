"""Where to listen, as operators write it. Owns the text form only; it opens nothing."""

from dataclasses import dataclass

from bisik_protocol.chat.invite import DEFAULT_PORT, parse_endpoint, parse_port


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress:
    """Where to listen. No host: every address of this machine, IPv6 and IPv4. Port 0: any free one."""

    host: str | None = None
    port: int = DEFAULT_PORT

    def as_text(self) -> str:
        """What `parse_listen` reads as this address."""
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


def parse_listen(text: str) -> ListenAddress:
    """HOST:PORT, HOST, a port alone or :PORT (every address of this machine). Port 0 is any free one.

    Raises ValueError with a sentence.
    """
    text = text.strip()
    host, colon, port = text.rpartition(":")
    try:
        if text.isdigit() or (colon and host in ("", "*")):
            return ListenAddress(port=parse_port(port, lowest=0))
        host, number = parse_endpoint(text, lowest_port=0)
    except ValueError as error:
        raise ValueError(f"Cannot listen on {text!r}: {error}") from None
    return ListenAddress(host=host, port=number)
