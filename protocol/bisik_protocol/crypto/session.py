"""What both sides of a handshake must agree on beforehand, and what it hands to the transport when it is done."""

from dataclasses import dataclass, field
from typing import Final

SERVER_SIGNATURE_CONTEXT: Final = b"bisik server v1"
SHARED_SECRET_BYTES: Final = 32  # s1, which the client encrypts to the server

CONNECTION_ID_BYTES: Final = 8
TRAFFIC_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSecrets:
    """All of it is derived, so both sides hold equal values and nothing more needs to be sent.

    Each value belongs to one connection: sealing under one traffic secret in two places repeats nonces.
    """

    client_traffic: bytes = field(repr=False)  # 32 bytes: seals what the client sends
    server_traffic: bytes = field(repr=False)  # 32 bytes: seals what the server sends
    channel_binding: bytes  # th3, 32 bytes: what a device signs to log in over this connection and no other
    client_connection_id: bytes  # 8 bytes: the destination of packets to the client
    server_connection_id: bytes  # 8 bytes: the destination of packets to the server
