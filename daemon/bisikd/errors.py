"""The root of everything this package raises on purpose."""


class BisikdError(Exception):
    """Something an operator has to know; `str()` of it is one sentence that says what and, where it can, what to do.

    `exit_code` is what the program ends with: 1 refused or failed, 2 wrong usage, 3 nobody answers.
    """

    exit_code = 1


class UsageProblem(BisikdError):  # noqa: N818 # `main` prints it as a sentence
    """A flag, an environment variable or a line of bisikd.toml asks for what cannot be."""

    exit_code = 2


class NotRunning(BisikdError):  # noqa: N818 # reads as what it says
    """The question needs a running daemon, and none answers in this state directory."""

    exit_code = 3
