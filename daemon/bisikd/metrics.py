"""Numbers about a running daemon for Prometheus: what they are called, and where they come from.

Every number is read when it is asked for, so that metrics cost nothing between two scrapes. No label holds a name, an
address or anything that somebody wrote: the reasons and codes that stand in labels are words of this program.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from bisikd.requests import UNREACHABLE_S

if TYPE_CHECKING:
    from collections import Counter

    from bisikd.chat import Chat
    from bisikd.session import Session

QUANTILES: Final = (0.5, 0.9, 0.99)
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the numbers come from, beside the chat itself."""

    version: str
    started_s: float  # wall clock, seconds since the epoch
    drops: "Callable[[], Counter[str]]"
    connections: Callable[[], int]
    tasks: Callable[[], int]
    disk: Callable[[], dict[str, int]]  # `status.disk_status`


class Metrics(Collector):
    """Everything, as Prometheus reads it."""

    def __init__(self, chat: "Chat", sources: Sources) -> None:
        self._chat = chat
        self._sources = sources
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """The exposition format, version 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        sources = self._sources
        yield InfoMetricFamily("bisikd", "The running daemon.", value={"version": sources.version})
        yield _gauge("start_time_seconds", "When it was started, since the epoch.", sources.started_s)
        yield from self._people()
        yield from self._links()
        yield from self._log()
        yield _gauge("tasks", "Tasks that live; as many as before once everybody has gone.", sources.tasks())
        yield _by_label("dropped", "Datagrams that were not taken, by reason.", "reason", sources.drops())
        yield _by_label("refused", "Requests and posts that were refused, by code.", "code", self._chat.refusals)
        waiting = GaugeMetricFamily("bisikd_waiting", "Calls that wait for a worker thread.", labels=["work"])
        for work in ("hashing", "writing", "reading"):
            waiting.add_metric([work], getattr(self._chat.blocking, work).waiting)
        yield waiting

    @property
    def _sessions(self) -> "list[Session]":
        return list(self._chat.sessions or ())

    def _people(self) -> Iterable[Metric]:
        chat, now = self._chat, self._chat.now()
        sessions = self._sessions
        admitted = [session for session in sessions if session.admitted]
        states = GaugeMetricFamily(
            "bisikd_sessions", "Sessions, by whether somebody has logged in.", labels=["state"]
        )
        states.add_metric(["admitted"], len(admitted))
        states.add_metric(["stranger"], len(sessions) - len(admitted))
        yield states
        unreachable = [each for each in admitted if now - each.connection.last_heard >= UNREACHABLE_S]
        yield _gauge("sessions_unreachable", "Sessions that nothing was heard from lately.", len(unreachable))
        behind = [session for session in admitted if session.feed.behind]
        yield _gauge("sessions_behind", "Sessions that catch up from the log in a room.", len(behind))
        yield _gauge("connections", "Connections, with those that are being closed.", self._sources.connections())
        yield _gauge("users_online", "People with a session.", len({session.user.name for session in admitted}))
        yield _gauge("users", "Accounts.", len(chat.users))
        yield _gauge("rooms", "Rooms that have begun.", sum(room.begun for room in chat.hub if not room.direct))
        yield _gauge("bans", "Bans in the list.", len(chat.moderation.decisions.bans))
        yield _gauge("invites", "Invites in the list.", len(chat.doorkeeper.invites.all()))

    def _links(self) -> Iterable[Metric]:
        now = self._chat.now()
        stats = [session.connection.stats(now) for session in self._sessions if session.admitted]
        yield _quantiles("rtt_seconds", "Smoothed round trip times of the sessions.", [each.srtt_s for each in stats])
        yield _quantiles("loss_in_ratio", "Loss from the sessions, 0 to 1.", [each.loss_in for each in stats])
        yield _quantiles("loss_out_ratio", "Loss to the sessions, 0 to 1.", [each.loss_out for each in stats])
        yield _gauge("in_flight_bytes", "Sent and not acknowledged.", sum(each.in_flight_bytes for each in stats))
        yield _gauge("backlog_bytes", "Waiting to be sent.", sum(each.backlog_bytes for each in stats))

    def _log(self) -> Iterable[Metric]:
        chat, disk = self._chat, self._sources.disk()
        yield _counter("log_records", "Records stored since the start.", chat.journal.records_stored)
        yield _counter("log_groups", "Groups stored since the start; each is one fsync.", chat.journal.groups_stored)
        yield _counter("log_full", "How often the disk was full.", chat.journal.times_full)
        yield _gauge("log_size", "Records in the log.", chat.log.tree_size)
        yield _gauge("log_bytes", "What the log takes on the disk.", disk["log_bytes"])
        yield _gauge("disk_free_bytes", "What is free under the state directory.", disk["free_bytes"])


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"bisikd_{name}", words, value=value)


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(f"bisikd_{name}", words, value=value)


def _by_label(name: str, words: str, label: str, counts: "Counter[str]") -> Metric:
    family = CounterMetricFamily(f"bisikd_{name}", words, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family


def _quantiles(name: str, words: str, values: Sequence[float]) -> Metric:
    """Nothing while there is nobody: a quantile of nothing is no 0."""
    family = GaugeMetricFamily(f"bisikd_{name}", words, labels=["quantile"])
    ordered = sorted(values)
    for quantile in QUANTILES:
        if ordered:
            family.add_metric([f"{quantile:g}"], ordered[max(0, math.ceil(quantile * len(ordered)) - 1)])
    return family
