"""What goes into the next packet: due repairs, lost chunks, fresh ones, and who may go beyond the window.

Owns the queues of chunks and the permission to send. Knows no packet numbers, no keys and no addresses.
"""

from collections import deque

from bisik_protocol.transport.chunks import Chunk
from bisik_protocol.transport.congestion import CongestionWindow
from bisik_protocol.transport.inbound import CONNECTION_WINDOW
from bisik_protocol.transport.outbound import SendLane
from bisik_protocol.transport.pacing import Pacer
from bisik_protocol.transport.repair import CLEAN_LOSS, MAX_THIN_BYTES, REFILL_IN_OUTAGE, Repair
from bisik_protocol.transport.rtt import RttEstimator


class SendQueue:
    """Chunks on their way out: fresh in their lanes, `lost` to be carried again, watched by `repair`."""

    __slots__ = (
        "_active",
        "_fresh_bytes",
        "_pacer",
        "_repair",
        "_rtt",
        "_window",
        "lanes",
        "limit",
        "lost",
        "missing",
        "paced_until",
        "probe",
        "spent",
    )

    def __init__(self, window: CongestionWindow, pacer: Pacer, rtt: RttEstimator, repair: Repair) -> None:
        self._window = window
        self._pacer = pacer
        self._rtt = rtt
        self._repair = repair
        self.lanes: dict[int, SendLane] = {}
        self._active: deque[SendLane] = deque()  # lanes with fresh chunks; the first is served next
        self._fresh_bytes = 0
        self.lost: deque[Chunk] = deque()
        self.spent = 0  # cost of everything sent for the first time, over all lanes
        self.limit = CONNECTION_WINDOW  # what the far side lets us spend
        self.paced_until: float | None = None  # when pacing lets the next one go, if that is what holds it
        self.missing = 0  # bytes that the last packet was too short for the next chunk
        self.probe: Chunk | None = None  # goes out next whatever the window says

    def push(self, number: int, data: bytes) -> None:
        """Queue a message on a lane."""
        lane = self.lanes.get(number)
        if lane is None:
            lane = self.lanes[number] = SendLane(number)
        idle = not lane.queue
        self._fresh_bytes += lane.push(data)
        if idle:
            self._active.append(lane)

    @property
    def is_waiting(self) -> bool:
        """Whether there is something besides what `repair` watches."""
        return bool(self._active or self.lost or self.probe is not None)

    @property
    def backlog(self) -> int:
        return sum(lane.backlog for lane in self.lanes.values())

    def choose(
        self, room: int, now: float, loss: float, unanswered: float, *, answering: bool = False
    ) -> list[Chunk]:
        """The chunks for one packet with `room` bytes for frames; empty when nothing may or need go.

        `unanswered`: seconds since anything was acknowledged; `answering`: a packet goes out in any case.
        """
        self.paced_until = None
        self.missing = 0
        chosen: list[Chunk] = []
        if self.probe is not None:
            probe, self.probe = self.probe, None
            if not probe.acknowledged and probe.size <= room:
                chosen.append(probe)
                room -= probe.size
        if self._repair.watched:
            room = self._choose_due(chosen, room, now, unanswered)
        if self.lost:
            room = self._choose_lost(chosen, room, now)
        if self._active:
            room = self._choose_fresh(chosen, room, now)
        if (chosen and loss >= CLEAN_LOSS) or (answering and unanswered > self._rtt.probe_timeout):
            self._add_unacknowledged(chosen, room)
        if not self.is_waiting:
            self.paced_until = None  # what was held back went out as repair may
        return chosen

    def _choose_due(self, chosen: list[Chunk], room: int, now: float, unanswered: float) -> int:
        share = 1.0 if unanswered < self._rtt.probe_timeout else REFILL_IN_OUTAGE
        bucket = self._repair.bucket
        for chunk in self._repair.due(now):
            if chunk.size > room or chunk in chosen:
                continue
            if not chosen and not bucket.take(now, share=share):
                chunk.due = now + bucket.wait(share=share)
                continue
            chosen.append(chunk)
            room -= chunk.size
        return room

    def _choose_lost(self, chosen: list[Chunk], room: int, now: float) -> int:
        lost = self.lost
        while lost:
            chunk = lost[0]
            if chunk.acknowledged:
                lost.popleft()
                continue
            if chunk.size > room or not (chosen or self._may_send(chunk.size, now)):
                break
            lost.popleft()
            chosen.append(chunk)
            room -= chunk.size
        return room

    def _choose_fresh(self, chosen: list[Chunk], room: int, now: float) -> int:
        active = self._active
        blocked = 0
        while active and blocked < len(active):
            lane = active[0]
            chunk = lane.queue[0]
            cost = chunk.cost
            if chunk.size > room:
                self.missing = chunk.size - room
                break
            if lane.spent + cost > lane.limit or self.spent + cost > self.limit:
                active.rotate(-1)
                blocked += 1
                continue
            thin = self._fresh_bytes <= MAX_THIN_BYTES and self._repair.has_space(chunk.size)
            if not (chosen or self._may_send(chunk.size, now) or (thin and self._repair.bucket.take(now))):
                break
            self._take_fresh(lane, chunk, cost)
            if thin:
                self._repair.watch(chunk)
            chosen.append(chunk)
            room -= chunk.size
            blocked = 0
        return room

    def _take_fresh(self, lane: SendLane, chunk: Chunk, cost: int) -> None:
        lane.queue.popleft()
        lane.spent += cost
        self.spent += cost
        self._fresh_bytes -= len(chunk.data)
        if lane.queue:
            self._active.rotate(-1)  # the next lane's turn: no lane waits behind another's bulk
        else:
            self._active.popleft()

    def _add_unacknowledged(self, chosen: list[Chunk], room: int) -> None:
        """A datagram that goes anyway carries what else is unacknowledged and fits, oldest first."""
        for chunk in self._repair.watched:
            if chunk.size <= room and chunk not in chosen:
                chosen.append(chunk)
                room -= chunk.size

    def _may_send(self, size: int, now: float) -> bool:
        if not self._window.has_room(size):
            return False
        wait = self._pacer.delay(size, self._window.window, self._rtt.smoothed, now)
        if wait > 0.0:
            self.paced_until = now + wait
            return False
        return True

    def on_acknowledged(self, chunk: Chunk) -> int | None:
        """Returns the lane's number when its backlog has just drained."""
        if chunk.thin:
            self._repair.watched.remove(chunk)
        return chunk.lane if self.lanes[chunk.lane].on_acknowledged(chunk) else None

    def on_lost(self, chunk: Chunk, now: float) -> None:
        """No packet in flight carries the chunk any more."""
        if chunk.thin:
            chunk.due = min(chunk.due, now)
        else:
            self.lost.append(chunk)
