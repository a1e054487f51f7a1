"""What a connection can tell about itself."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Counted since the connection began."""

    datagrams_sent: int = 0
    datagrams_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    chunks_sent: int = 0  # first copies
    copies_sent: int = 0  # everything beyond the first copy: repair and retransmission
    packets_lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStats:
    """A snapshot. Times in seconds, losses between 0 and 1."""

    srtt_s: float
    min_rtt_s: float
    loss_out: float  # of what we send, as its acknowledgements tell
    loss_in: float  # of what is sent to us, as the gaps in packet numbers tell
    in_flight_bytes: int
    window_bytes: int
    datagram_bytes: int  # how large a datagram the path is known to carry
    backlog_bytes: int  # queued or unacknowledged, over all lanes
    silence_s: float  # since anything was heard while something was owed to us
    unanswered_s: float  # since anything was acknowledged while something was in flight: they may not hear us
    datagrams_sent: int
    datagrams_received: int
    bytes_sent: int
    bytes_received: int
    repair_datagrams: int  # chunks sent beyond their first copy
    packets_lost: int
