"""Opening what was sealed to this device, and remembering for a while what was inside.

The key may come late: homes of before get one in the background. Who said it is judged in `entries`; a payload that
does not open is a sentence for the person there, and is counted here.
"""

from collections import OrderedDict
from typing import Final

from bisik_protocol.chat.sealed_text import SealedText, open_statement_untrusted
from bisik_protocol.chat.statements import SealedStatement
from bisik_protocol.crypto.sealing_key import SealingKey
from bisik_protocol.errors import RemoteProtocolError

MAX_OPENED: Final = 500  # texts that are remembered: with the longest ones, 8 MiB


class Opener:
    """What this device can read."""

    def __init__(self, device: bytes) -> None:
        """`device` is the hash of its signing key."""
        self.key: SealingKey | None = None
        """None: not made yet, and nothing can be opened."""
        self.damaged = 0
        """How many payloads there were for this device that did not open."""
        self._device = device
        self._opened: OrderedDict[bytes, SealedText] = OrderedDict()

    def open_untrusted(self, statement: SealedStatement, digest: bytes) -> SealedText:
        """What was said in the statement with this hash.

        Raises RemoteProtocolError: "sealed-elsewhere" where it was not sealed to this device, else "sealed".
        """
        known = self._opened.get(digest)
        if known is not None:
            self._opened.move_to_end(digest)
            return known
        if self.key is None:
            raise RemoteProtocolError("sealed-elsewhere")
        try:
            said = open_statement_untrusted(statement, self._device, self.key)
        except RemoteProtocolError as error:
            self.damaged += error.reason != "sealed-elsewhere"
            raise
        self._opened[digest] = said
        if len(self._opened) > MAX_OPENED:
            self._opened.popitem(last=False)
        return said
