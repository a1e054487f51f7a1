"""The injected source of randomness: `random(n)` returns n bytes. Programs pass `os.urandom`, simulations a seed."""

from collections.abc import Callable

RandomSource = Callable[[int], bytes]
