"""How fast secrets may be guessed: limits by address and by account that slow, and never lock anyone out.

Each address and each account has a debt: a try adds one, time takes it away. Up to a burst nothing happens; above
it an answer waits as long as the debt takes to fall to the burst, at most a fixed time, so that the owner of an
account under attack waits seconds and still gets in. (What makes guessing hopeless is the length of the secrets,
60 bits and more; what is protected here is the processor.) A device that proves a known key guesses nothing and
does not come here.

It owns the counting and must not know what is guessed. The time is an argument. Memory is bounded: of each kind
the least recently seen is forgotten first, which gives a burst back to somebody who was quiet longest.
"""

from collections import OrderedDict
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


# A classroom behind one address may mistype ten times at once; ergo allows 3 logins a minute.
ADDRESS_LIMIT: Final = Limit(burst=10, interval_s=6.0, max_delay_s=15.0, max_entries=4096)
ACCOUNT_LIMIT: Final = Limit(burst=5, interval_s=10.0, max_delay_s=20.0, max_entries=4096)


class Guard:
    """Asked before each guess at a join password or login ID, and told when it was right."""

    def __init__(self, address: Limit = ADDRESS_LIMIT, account: Limit = ACCOUNT_LIMIT) -> None:
        self._addresses = _Debts(address)
        self._accounts = _Debts(account)

    def attempt(self, now: float, host: str, account: str | None = None) -> float:
        """Count a guess from `host`, at `account` if it is at a login ID: how many seconds its answer must wait.

        It is counted before it is judged, so that a hundred guesses made at once are a hundred. An account that
        does not exist counts like one that does; otherwise the waiting would tell which names there are.
        """
        delay_s = self._addresses.add(now, address_key(host))
        if account is not None:
            delay_s = max(delay_s, self._accounts.add(now, account))
        return delay_s

    def succeeded(self, now: float, host: str, account: str | None = None) -> None:
        """The guess that `attempt` counted was right, so it was none. What others guessed stays counted."""
        self._addresses.take_back(now, address_key(host))
        if account is not None:
            self._accounts.take_back(now, account)

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
    """Tries not yet forgotten, by key; a leaky bucket each."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._max_debt = limit.burst + limit.max_delay_s / limit.interval_s
        self._debts: OrderedDict[str, tuple[float, float]] = OrderedDict()  # debt, and when it was that

    def add(self, now: float, key: str) -> float:
        debt = min(self._debt(now, key) + 1, self._max_debt)
        self._set(now, key, debt)
        return max(0.0, debt - self._limit.burst) * self._limit.interval_s

    def take_back(self, now: float, key: str) -> None:
        if key in self._debts:
            self._set(now, key, self._debt(now, key) - 1)

    def __len__(self) -> int:
        return len(self._debts)

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
