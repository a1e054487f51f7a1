"""The handshake's surface, for the transport: both sides of it, and what it ends in."""

from bisik_protocol.crypto.handshake_client import ClientHandshake
from bisik_protocol.crypto.handshake_server import ServerHandshake
from bisik_protocol.crypto.session import SessionSecrets
from bisik_protocol.wire.handshake import KexPart

__all__ = ["ClientHandshake", "KexPart", "ServerHandshake", "SessionSecrets"]
