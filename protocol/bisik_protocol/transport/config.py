"""What a program may set about its connections. Durations in seconds."""

from dataclasses import dataclass

from bisik_protocol.transport.rtt import INITIAL_RTT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportConfig:
    initial_rtt_s: float = INITIAL_RTT_S  # a remembered round trip may stand here on a return, RFC 9002 s6.2.2
    idle_timeout_s: float | None = None  # after this long without a packet the connection is over
    keepalive_s: float | None = None  # after this long without sending anything that elicits an answer, a PING
    eager_s: float = 10.0  # how long to probe at a fixed pace through silence before slowing down
    ratchet_packets: int = 1 << 20  # sealed under one key
    ratchet_s: float = 600.0
    max_datagram_bytes: int = (
        1452  # what the socket below sends unfragmented, if the path lets it: Ethernet's, in IPv6
    )


# The client has a person waiting and one link: it probes through two minutes of outage at a fixed pace and keeps
# its NAT mapping. A daemon may have a thousand clients asleep: it lets them speak first, for up to a day.
CLIENT_CONFIG = TransportConfig(keepalive_s=25.0, eager_s=120.0)
SERVER_CONFIG = TransportConfig(idle_timeout_s=24 * 3600.0)
