"""The one exception root of the core, and its two branches, after h11.

Functions whose names end in `_untrusted` raise `RemoteProtocolError` and nothing else, whatever bytes they are given.
"""


class BisikProtocolError(Exception):
    """Root of everything this package raises on purpose."""


class RemoteProtocolError(BisikProtocolError):
    """The far side sent bytes that this protocol does not allow.

    `reason` is a short slug such as `"frame"` or `"cookie"`. It is what refusals are counted by, so it comes
    from a small fixed set and never holds bytes of the peer.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LocalProtocolError(BisikProtocolError):
    """Our own caller asked for what the protocol does not allow; a bug on this side, never the peer's doing."""
