"""A request that is refused, on its way out of whatever looked at it."""

from bisik_protocol.chat.messages import Code


class Refusal(Exception):  # noqa: N818 # not an error: an answer
    """The request is refused; becomes `Refused`."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
