"""The handshake's surface, for the transport: both sides of it, and what it ends in."""

from bisik_protocol.crypto.session import SessionSecrets

__all__ = ["SessionSecrets"]
