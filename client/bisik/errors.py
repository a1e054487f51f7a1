"""What can go wrong for a user of bisik: one root, and a sentence for a person in each.

Programs tell the branches apart by class, and a refusal further by its code; shells by `exit_code`, which is the
contract of the command line. Nothing here knows how an error came about.
"""

from bisik.i18n import _
from bisik_protocol.chat.messages import Code


class BisikError(Exception):
    """Root of everything this package raises on purpose. `str()` of it is a sentence that may be shown as it is."""

    exit_code = 1


class Refused(BisikError):  # noqa: N818 # part of the public surface: reads as what it says
    """The server said no, and will say no again until something is changed. `code` says to what."""

    def __init__(self, code: Code, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class HomeError(BisikError):
    """The home directory, or something in it, cannot be used."""


class NotOnDisk(HomeError):  # noqa: N818
    """The disk failed under the outbox. What was said is on its way all the same, so it is not to be said again."""

    def __init__(self, outbox_id: int, problem: str) -> None:
        self.outbox_id = outbox_id
        super().__init__(
            _("{problem} What you said is on its way, but would be lost if this machine stopped now.").format(
                problem=problem
            )
        )


class NotKnown(BisikError):  # noqa: N818
    """This home has no account on the server in question, so there is nobody to log in as."""


class WrongUsage(BisikError):  # noqa: N818
    """What was asked for can never work, whatever the server says."""

    exit_code = 2


class Unreachable(BisikError):  # noqa: N818
    """Nobody answered, or the way there does not exist."""

    exit_code = 3


class NoRecipients(Unreachable):
    """Something cannot be sealed, because the devices that it would be for are not known here yet."""

    def __init__(self) -> None:
        super().__init__(
            _("The first message to somebody needs a connection once: their devices are not known here yet.")
        )


class IdentityMismatch(BisikError):  # noqa: N818
    """Whoever answers is not the server that this home, or the invite, knows."""

    exit_code = 4


class LogMismatch(BisikError):  # noqa: N818
    """The server's log does not continue the one that this home has seen; nothing is sent before a decision."""

    exit_code = 4


class NotProved(BisikError):  # noqa: N818
    """A proof does not prove what it should. Whoever made it may have erred, or lied."""

    exit_code = 4


class NotStored(BisikError):  # noqa: N818
    """The message is in the outbox on disk and not in the server's log yet. It will go out at the next occasion."""

    exit_code = 5


class Silence(BisikError):  # noqa: N818
    """What was waited for did not come in the time that was given."""


class Interrupted(BisikError):  # noqa: N818
    """The person stopped it."""

    exit_code = 130


class Nonsense(BisikError):  # noqa: N818
    """The server answered something that no server of this protocol answers."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            _("The server's answer makes no sense ({reason}). Are server and client of the same version?").format(
                reason=reason
            )
        )
