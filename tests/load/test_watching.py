"""What the load run would find: a leak of each kind, planted in the samples of a run that is sound."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.load.watching import LONG_S, MIB, Sample, Watcher, left

EVERY_S = 5.0
SAMPLES = int(LONG_S / EVERY_S) + 1


def watched(leak: Callable[[Sample], Sample] = lambda sample: sample, *, samples: int = SAMPLES) -> Watcher:
    """A run in which sessions come and go, five tasks with each, and memory is noisy."""
    rng = random.Random(1)
    watcher = Watcher(1, Path(), lambda line: None)
    for number in range(samples):
        sessions = 500 + rng.randrange(-20, 20)
        sample = Sample(
            at=number * EVERY_S,
            rss_bytes=int(100 * MIB + rng.gauss(0, 0.2 * MIB)),
            descriptors=20 + rng.randrange(2),
            threads=9,
            tasks=30 + 5 * sessions,
            sessions=sessions,
        )
        watcher.samples.append(leak(sample))
    return watcher


def test_a_sound_run_is_flat() -> None:
    """Noise, and sessions that come and go with their tasks, are no leak."""
    assert watched().growing() == []


@pytest.mark.parametrize(
    ("leak", "word"),
    [
        (lambda sample: replace(sample, rss_bytes=sample.rss_bytes + int(sample.at / 60 * MIB / 2)), "memory"),
        (lambda sample: replace(sample, descriptors=sample.descriptors + int(sample.at / 60)), "descriptors"),
        (lambda sample: replace(sample, tasks=sample.tasks + int(2 * sample.at / 60)), "tasks"),
    ],
    ids=["memory", "descriptors", "tasks"],
)
def test_a_leak_is_found_and_named(leak: Callable[[Sample], Sample], word: str) -> None:
    """Half a MiB, one descriptor or two tasks a minute; nothing else is accused."""
    (found,) = watched(leak).growing()
    assert found.startswith(word)


def test_memory_of_a_short_run_is_told_and_not_judged() -> None:
    """What is young grows."""
    told: list[str] = []
    watcher = watched(lambda sample: replace(sample, rss_bytes=sample.rss_bytes + int(sample.at * MIB)), samples=40)
    watcher.say = told.append
    assert watcher.growing() == []
    assert any(line.startswith("memory") and "too short" in line for line in told)


@pytest.mark.parametrize("name", ["sessions", "descriptors", "tasks", "threads"])
def test_what_is_there_after_everybody_has_gone_is_named(name: str) -> None:
    """One more is too many, fewer are not, and the same is nothing to tell."""
    base = Sample(at=0, rss_bytes=100 * MIB, descriptors=20, threads=9, tasks=30, sessions=0)
    assert left(base, base) == []
    (sentence,) = left(base, replace(base, **{name: getattr(base, name) + 1}))
    assert name in sentence
    assert left(base, replace(base, **{name: getattr(base, name) - 1})) == []
