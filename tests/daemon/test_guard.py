"""Guessing is slowed by address and by account, never locked out, and remembered in bounded memory."""

import pytest

from bisikd.guard import ACCOUNT_LIMIT, ADDRESS_LIMIT, Guard, Limit, address_key

LIMIT = Limit(burst=3, interval_s=10.0, max_delay_s=30.0, max_entries=100)
WIDE = Limit(burst=1000, interval_s=1.0, max_delay_s=1.0, max_entries=100)


def wrong(guard: Guard, now: float, host: str, account: str | None = None) -> float:
    """A wrong guess: how long it had to wait."""
    delay_s = guard.attempt(now, host, account)
    guard.failed(now, host, account)
    return delay_s


@pytest.mark.parametrize(
    ("times", "delays"),
    [
        ([0, 0, 0], [0, 0, 0]),
        ([0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 10, 20, 30, 30, 30]),
        ([0, 0, 0, 10], [0, 0, 0, 0]),
        ([0, 0, 0, 5], [0, 0, 0, 5]),
        ([0, 0, 0, 0, 10, 20, 30], [0, 0, 0, 10, 10, 10, 10]),
        ([0, 0, 0, 0, 100, 100, 100, 100], [0, 0, 0, 10, 0, 0, 0, 10]),
        ([0.0, 0, 0, 1e9], [0, 0, 0, 0]),
        ([100, 100, 100, 0], [0, 0, 0, 10]),  # a clock that went back forgives nothing
    ],
)
def test_guesses_above_the_burst_wait_until_the_debt_has_fallen(times: list[float], delays: list[float]) -> None:
    """Three at once, then one each ten seconds, and no answer waits longer than thirty."""
    assert [Guard(address=LIMIT).attempt(0, "192.0.2.7")] == [0]
    guard = Guard(address=LIMIT)
    assert [wrong(guard, now, "192.0.2.7") for now in times] == delays


def test_an_account_is_slowed_from_wherever_its_guesses_come() -> None:
    """A thousand addresses that guess at one account share its pace."""
    guard = Guard(address=WIDE, account=LIMIT)
    delays = [wrong(guard, 0, f"192.0.2.{host}", "tama") for host in range(6)]
    assert delays == [0, 0, 0, 10, 20, 30]


def test_the_owner_of_an_attacked_account_waits_and_gets_in() -> None:
    """However many guess, the owner's answer comes within the longest delay: nobody can lock an account."""
    guard = Guard(address=WIDE, account=LIMIT)
    for guess in range(100_000):
        wrong(guard, guess / 1000, "198.51.100.1", "tama")
    assert wrong(guard, 100.0, "192.0.2.7", "tama") <= LIMIT.max_delay_s
    assert wrong(guard, 100.0 + LIMIT.max_delay_s + 10, "192.0.2.7", "tama") == 0


def test_a_known_device_is_not_slowed_by_an_accounts_failures() -> None:
    """It guesses nothing and is not counted; even where it types the join password, its account does not matter."""
    guard = Guard(address=LIMIT, account=LIMIT)
    for _ in range(100):
        wrong(guard, 0, "198.51.100.1", "tama")
    assert wrong(guard, 0, "192.0.2.7") == 0


def test_other_accounts_and_addresses_are_not_slowed() -> None:
    """A debt belongs to who made it."""
    guard = Guard(address=LIMIT, account=LIMIT)
    for _ in range(10):
        wrong(guard, 0, "198.51.100.1", "tama")
    assert wrong(guard, 0, "192.0.2.7", "budi") == 0


def test_the_longer_of_both_delays_counts() -> None:
    """An address in debt is slowed at a fresh account too."""
    guard = Guard(address=LIMIT, account=WIDE)
    assert [wrong(guard, 0, "192.0.2.7", f"user{guess}") for guess in range(5)] == [0, 0, 0, 10, 20]


def test_a_right_answer_is_no_guess() -> None:
    """A classroom behind one address comes in without waiting, as long as it types right."""
    guard = Guard(address=LIMIT, account=LIMIT)
    for pupil in range(100):
        assert guard.attempt(0, "192.0.2.7", f"pupil{pupil}") == 0
        guard.succeeded("192.0.2.7", f"pupil{pupil}")
    assert len(guard) == 0


def test_newcomers_behind_one_address_do_not_wait_for_one_another() -> None:
    """Thirty come at once, with the right password, before any of them was judged."""
    guard = Guard()
    assert [guard.attempt(0, "192.0.2.7") for _ in range(30)] == [0] * 30
    for _ in range(30):
        guard.succeeded("192.0.2.7")
    assert len(guard) == 0


def test_a_guess_that_was_not_judged_is_none() -> None:
    """The server was busy and said so: nothing was learnt, and nothing is owed."""
    guard = Guard(address=LIMIT, account=LIMIT)
    for _ in range(100):
        guard.attempt(0, "192.0.2.7", "tama")
        guard.withdrawn("192.0.2.7", "tama")
    assert wrong(guard, 0, "192.0.2.7", "tama") == 0


def test_a_right_answer_does_not_pay_for_wrong_ones() -> None:
    """Logging in to one's own account between guesses at another's buys nothing."""
    guard = Guard(address=LIMIT, account=LIMIT)
    delays = []
    for _ in range(6):
        delays.append(wrong(guard, 0, "198.51.100.1", "tama"))
        guard.attempt(0, "198.51.100.1", "mallory")
        guard.succeeded("198.51.100.1", "mallory")
    assert delays == [0, 0, 0, 10, 20, 30]


def test_guesses_made_at_once_are_all_counted() -> None:
    """They are counted when they begin, not when Argon2 has judged them, beyond what is free at once."""
    guard = Guard(account=LIMIT, address=WIDE)
    assert sum(guard.attempt(0, "192.0.2.7", "tama") == 0 for _ in range(100)) == LIMIT.burst
    guard = Guard()
    at_once = sum(guard.attempt(0, "192.0.2.7") == 0 for _ in range(1000))
    assert at_once == ADDRESS_LIMIT.free_at_once + ADDRESS_LIMIT.burst


def test_what_was_wrong_slows_what_comes_next_however_it_comes() -> None:
    """After ten wrong guesses not one more is free, alone or among thirty at once."""
    guard = Guard()
    for _ in range(ADDRESS_LIMIT.burst):
        assert wrong(guard, 0, "192.0.2.7") == 0
    assert all(guard.attempt(0, "192.0.2.7") >= ADDRESS_LIMIT.interval_s for _ in range(30))


def test_memory_is_bounded_and_the_quietest_is_forgotten_first() -> None:
    """Whoever is still guessing stays remembered while others come and go."""
    guard = Guard(address=LIMIT, account=LIMIT)
    for number in range(100_000):
        wrong(guard, 0, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", f"user{number}")
        if number % 50 == 0:
            wrong(guard, 0, "198.51.100.1", "tama")
    assert len(guard) == 200
    assert wrong(guard, 0, "198.51.100.1", "tama") == 30


def test_what_has_been_paid_off_is_forgotten() -> None:
    """A success that was taken for no guess leaves no entry, and one nobody counted makes none."""
    guard = Guard(address=LIMIT, account=LIMIT)
    guard.succeeded("192.0.2.7", "tama")
    assert len(guard) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("192.0.2.7", "::ffff:c000:207", True),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:0:ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("client-1", "client-2", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    """An IPv4 address in either writing, the /64 of an IPv6 address, whatever a simulation calls its hosts."""
    assert (address_key(one) == address_key(other)) is same


@pytest.mark.parametrize("limit", [ADDRESS_LIMIT, ACCOUNT_LIMIT])
def test_the_limits_slow_a_guesser_to_nothing_and_a_person_to_seconds(limit: Limit) -> None:
    """A person who mistypes three times does not wait; nobody ever waits longer than half a minute."""
    assert limit.burst >= 3
    assert limit.max_delay_s <= 30
    assert limit.max_entries <= 10_000
