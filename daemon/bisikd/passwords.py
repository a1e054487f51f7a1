"""Join passwords and login IDs: how they are made, typed, and stored as Argon2id hashes.

It owns their strength and their cost. It knows nothing of who has which, and does not count guesses (`guard`).
Hashing takes about 150 ms and 64 MiB on purpose: call it in a worker thread, at most two at a time.
"""

import re
import secrets
import unicodedata
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

# What is left of letters and digits when those that look or sound alike are gone: 0 o, 1 i l. 4.95 bits each.
ALPHABET: Final = "23456789abcdefghjkmnpqrstuvwxyz"
GROUP_CHARACTERS: Final = 4
LOGIN_ID_CHARACTERS: Final = 20  # 99 bits: never guessed, even where Argon2id hashes leak
JOIN_PASSWORD_CHARACTERS: Final = 16  # 79 bits, and still short enough to be read out

_SALT_BYTES: Final = 16
_TAG_BYTES: Final = 32
_STORED_FORM: Final = re.compile(
    r"\$argon2id\$v=19\$m=\d{1,7},t=\d{1,3},p=\d{1,3}\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}"
)
_IGNORED: Final = re.compile(r"[\s\-_\u2010-\u2015]+")  # what people put, or programs turn, between groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one hash costs, in the terms of RFC 9106."""

    memory_kib: int
    passes: int
    lanes: int


DEFAULT_COST: Final = Cost(memory_kib=64 * 1024, passes=3, lanes=1)


class Passwords:
    """Hashes and verifies at one cost. Its methods may be called from several threads at once."""

    def __init__(self, cost: Cost = DEFAULT_COST) -> None:
        self._cost = cost
        # The hash of nothing anyone can say, for users who do not exist; made without paying for it.
        parameters = f"m={cost.memory_kib},t={cost.passes},p={cost.lanes}"
        salt, tag = (_phc_base64(secrets.token_bytes(size)) for size in (_SALT_BYTES, _TAG_BYTES))
        self._nobodys = f"$argon2id$v=19${parameters}${salt}${tag}"

    def hash(self, secret: str) -> str:
        """The stored form (a PHC string) of a join password or a login ID, however it was typed."""
        kdf = Argon2id(
            salt=secrets.token_bytes(_SALT_BYTES),
            length=_TAG_BYTES,
            iterations=self._cost.passes,
            lanes=self._cost.lanes,
            memory_cost=self._cost.memory_kib,
        )
        return kdf.derive_phc_encoded(normalized(secret))

    def verify(self, stored: str | None, secret: str) -> bool:
        """Whether `secret` is what was hashed. None, for a user who does not exist, costs the same and is False.

        The comparison takes the same time wherever the difference is; a damaged stored form is False.
        """
        try:
            Argon2id.verify_phc_encoded(normalized(secret), self._nobodys if stored is None else stored)
        except (InvalidKey, ValueError):  # ValueError: parameters that no hash has
            return False
        return stored is not None


def new_login_id() -> str:
    """A login ID like `k7mq-2hfd-x9wt-3bnr-6ypc`: 99 bits."""
    return _random_groups(LOGIN_ID_CHARACTERS)


def new_join_password() -> str:
    """A join password like `k7mq-2hfd-x9wt-3bnr`: 79 bits."""
    return _random_groups(JOIN_PASSWORD_CHARACTERS)


def normalized(secret: str) -> bytes:
    """What is hashed: without case, width, spaces and dashes, which people change when they type or paste."""
    plain = unicodedata.normalize("NFKC", secret).casefold()
    return _IGNORED.sub("", plain).encode("utf-8", "surrogatepass")


def is_stored_form(text: str) -> bool:
    """Whether this is a string that `Passwords.hash` could have made."""
    return _STORED_FORM.fullmatch(text) is not None


def _random_groups(characters: int) -> str:
    text = "".join(secrets.choice(ALPHABET) for _ in range(characters))
    return "-".join(text[start : start + GROUP_CHARACTERS] for start in range(0, characters, GROUP_CHARACTERS))


def _phc_base64(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")
