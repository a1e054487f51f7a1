"""How much the link loses, learned packet by packet: an average that forgets, quick at first."""

from typing import Final

PRIOR_SAMPLES: Final = 6  # the weight of the first guess, which is a clean link
LAST_GAIN: Final = 1 / 40
LAST_SAMPLES: Final = 40 - PRIOR_SAMPLES  # from here on every sample weighs the same


class LossMeter:
    """`rate` is between 0 and 1; `samples` counts the packets that were judged."""

    __slots__ = ("rate", "samples")

    def __init__(self) -> None:
        self.rate = 0.0
        self.samples = 0

    def on_arrived(self) -> None:
        if self.rate or self.samples <= LAST_SAMPLES:
            self.rate -= self.rate * self._gain()

    def on_lost(self, packets: int = 1) -> None:
        for _ in range(min(packets, 32)):  # a long gap is one event of the link, not a thousand
            self.rate += (1.0 - self.rate) * self._gain()

    def on_not_lost_after_all(self) -> None:
        """A packet that had been given up arrived: take back what `on_lost` added."""
        self.rate = max(0.0, self.rate - (1.0 - self.rate) * LAST_GAIN)

    def _gain(self) -> float:
        self.samples += 1
        return LAST_GAIN if self.samples > LAST_SAMPLES else 1 / (PRIOR_SAMPLES + self.samples)
