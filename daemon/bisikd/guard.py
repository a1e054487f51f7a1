"""How fast secrets may be guessed: limits by address and by account that slow, and never lock anyone out.

Each address and each account has a debt: a wrong guess adds one, time takes it away. Up to a burst nothing happens;
above it the next guess waits, before it is judged, as long as the debt takes to fall to the burst, at most a fixed
time, so that the owner of an account under attack waits seconds and still gets in. Guesses that are being judged
count too, beyond as many as a classroom behind one address makes when it comes in together: whoever
sends a hundred at once has a hundred counted, and thirty newcomers with the right password do not wait for one
another. (What makes guessing hopeless is the length of the secrets, 60 bits and more; what is protected here is the
processor.) A device that proves a known key guesses nothing and does not come here.

It owns the counting and must not know what is guessed. The time is an argument. Memory is bounded: of each kind
the least recently seen is forgotten first, which gives a burst back to somebody who was quiet longest.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

_IPV6_SITE_BITS: Final = 64  # one customer, one host even, has all of a /64


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """`burst` tries at once, then one each `interval_s`; no answer waits longer than `max_delay_s`."""

    burst: int
    interval_s: float
    max_delay_s: float
    max_entries: int
    free_at_once: int = 0  # guesses under way that are not counted until they were wrong


# A classroom behind one address may mistype ten times at once; ergo allows 3 logins a minute.
ADDRESS_LIMIT: Final = Limit(burst=10, interval_s=6.0, max_delay_s=15.0, max_entries=4096, free_at_once=40)
ACCOUNT_LIMIT: Final = Limit(burst=5, interval_s=10.0, max_delay_s=20.0, max_entries=4096)


class Guard:
    """Asked before each guess at a join password or login ID, and told how it ended."""

    def __init__(self, address: Limit = ADDRESS_LIMIT, account: Limit = ACCOUNT_LIMIT) -> None:
        self._addresses = _Debts(address)
        self._accounts = _Debts(account)

    def attempt(self, now: float, host: str, account: str | None = None) -> float:
        """A guess from `host` begins, at `account` if it is at a login ID: how many seconds it must wait first.

        `succeeded`, `failed` or `withdrawn` says how it ended. An account that does not exist counts like one that
        does; otherwise the waiting would tell which names there are.
        """
        delay_s = self._addresses.begin(now, address_key(host))
        if account is not None:
            delay_s = max(delay_s, self._accounts.begin(now, account))
        return delay_s

    def succeeded(self, host: str, account: str | None = None) -> None:
        """The guess was right, so it was none. What others guessed stays counted."""
        self.withdrawn(host, account)

    def failed(self, now: float, host: str, account: str | None = None) -> None:
        """The guess was wrong, or whoever made it did not wait to hear."""
        self.withdrawn(host, account)
        self._addresses.add(now, address_key(host))
        if account is not None:
            self._accounts.add(now, account)

    def withdrawn(self, host: str, account: str | None = None) -> None:
        """The guess was not judged."""
        self._addresses.end(address_key(host))
        if account is not None:
            self._accounts.end(account)

    def __len__(self) -> int:
        """How many addresses and accounts are remembered."""
        return len(self._addresses) + len(self._accounts)


def address_key(host: str) -> str:
    """What counts as one address: an IPv4 address however it is written, the /64 of an IPv6 address."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:  # a simulated network calls its hosts as it likes
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> _IPV6_SITE_BITS << _IPV6_SITE_BITS))
    return str(address)


class _Debts:
    """Wrong guesses not yet forgotten, by key, a leaky bucket each; and those that are being judged."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._max_debt = limit.burst + limit.max_delay_s / limit.interval_s
        self._debts: OrderedDict[str, tuple[float, float]] = OrderedDict()  # debt, and when it was that
        self._under_way: Counter[str] = Counter()  # as many as there are strangers at the door

    def begin(self, now: float, key: str) -> float:
        limit = self._limit
        self._under_way[key] += 1
        at_once = max(1, self._under_way[key] - limit.free_at_once)
        debt = self._debt(now, key) + at_once
        return min(max(0.0, debt - limit.burst) * limit.interval_s, limit.max_delay_s)

    def end(self, key: str) -> None:
        self._under_way[key] -= 1
        if self._under_way[key] <= 0:
            del self._under_way[key]

    def add(self, now: float, key: str) -> None:
        self._set(now, key, min(self._debt(now, key) + 1, self._max_debt))

    def __len__(self) -> int:
        return len(self._debts.keys() | self._under_way.keys())

    def _debt(self, now: float, key: str) -> float:
        debt, since = self._debts.get(key, (0.0, now))
        return max(0.0, debt - max(0.0, now - since) / self._limit.interval_s)

    def _set(self, now: float, key: str, debt: float) -> None:
        if debt <= 0:
            self._debts.pop(key, None)
            return
        self._debts[key] = (debt, now)
        self._debts.move_to_end(key)
        if len(self._debts) > self._limit.max_entries:
            self._debts.popitem(last=False)
