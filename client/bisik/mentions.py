"""Whether somebody is spoken to: a name in a text, as a word of its own. For bells, scripts and colours alike."""

import re
from functools import lru_cache

from bisik.events import Message
from bisik_protocol.chat.direct_names import is_direct


@lru_cache(maxsize=8)
def mention_pattern(name: str) -> re.Pattern[str]:
    """Finds `name` and `@name`, in any case, not inside a longer word."""
    return re.compile(rf"(?<!\w)@?{re.escape(name)}(?!\w)", re.IGNORECASE)


def mentions(text: str, name: str) -> bool:
    """Whether the text speaks to the person of this name."""
    return mention_pattern(name).search(text) is not None


def speaks_to(message: Message, name: str) -> bool:
    """Whether a message is for that person: it names them, or nobody else is there."""
    return is_direct(message.room) or mentions(message.text, name)
