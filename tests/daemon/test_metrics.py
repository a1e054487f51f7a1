"""Metrics: what is counted, that nobody's words are in labels, who can read them, and the dashboard that does."""

import json
import re
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from bisik_protocol.chat.messages import BanKind
from bisikd.config.kinds import METRICS_LISTEN
from bisikd.errors import BisikdError
from bisikd.metrics import CONTENT_TYPE, Metrics, Sources
from bisikd.moderators import THE_OPERATOR
from bisikd.requests import UNREACHABLE_S
from bisikd.scraping import MAX_REQUEST_BYTES, open_metrics_socket, serve_metrics
from bisikd.status import disk_status
from tests.support.daemon_process import bisikd, fresh_state, open_daemon
from tests.support.stage import Stage, open_stage

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana.json"
OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"


def metrics_of(stage: Stage, directory: Path) -> Metrics:
    sources = Sources(
        version="1.2.3",
        started_s=5.0,
        drops=lambda: Counter({"cookie": 7}),
        connections=lambda: 9,
        tasks=lambda: 12,
        disk=lambda: disk_status(directory, directory),
    )
    return Metrics(stage.chat, sources)


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Value by name and label values."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name, tuple(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


async def test_the_numbers_are_those_of_now(tmp_path: Path) -> None:
    """Sessions, people, rooms, what is behind and unreachable, refusals, the log, the disk."""
    async with open_stage(tmp_path) as stage:
        metrics = metrics_of(stage, tmp_path)
        before = samples(metrics)
        assert before["bisikd_sessions", ("admitted",)] == 0
        assert ("bisikd_rtt_seconds", ("0.5",)) not in before
        tama = await stage.member("tama", 1, "#lobby", "#ops")
        await stage.member("tama", 1)
        stage.visitor(3)
        tama.say("#lobby", "halo")
        await stage.chat.moderators.ban(THE_OPERATOR, BanKind.ADDRESS, "203.0.113.0/24")
        assert tama.refusal(await tama.join("#a b"))
        tama.connection.last_heard -= UNREACHABLE_S
        now = samples(metrics)
        assert now["bisikd_info", ("1.2.3",)] == 1
        assert now["bisikd_sessions", ("admitted",)] == 2
        assert now["bisikd_sessions", ("stranger",)] == 1
        assert now["bisikd_sessions_unreachable", ()] == 1
        assert now["bisikd_users_online", ()] == now["bisikd_users", ()] == 1
        assert now["bisikd_rooms", ()] == 2
        assert now["bisikd_bans", ()] == 1
        assert now["bisikd_log_records_total", ()] >= 4
        assert now["bisikd_tasks", ()] == 12
        assert now["bisikd_dropped_total", ("cookie",)] == 7
        assert now["bisikd_refused_total", ("room-invalid",)] == 1
        assert now["bisikd_rtt_seconds", ("0.99",)] > 0
        assert now["bisikd_disk_free_bytes", ()] > 0
        assert now["bisikd_waiting", ("hashing",)] == 0


async def test_nobodys_name_and_nobodys_words_are_in_them(tmp_path: Path) -> None:
    """Neither people nor rooms, topics, texts, addresses, labels of invites."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("sitirahayu", 1, "#lobby", "#rahasia")
        tama.say("#rahasia", "kata-kata")
        await stage.chat.moderators.set_topic(THE_OPERATOR, "#rahasia", "topiknya")
        await stage.chat.moderators.mute(THE_OPERATOR, "sitirahayu", reason="alasannya")
        stage.chat.doorkeeper.invites.create(0, label="labelnya")
        tama.post("#lobby", tama.statement("#lobby", "x"))
        await stage.settled()
        text = metrics_of(stage, tmp_path).text().decode()
        for word in ("sitirahayu", "rahasia", "kata-kata", "topiknya", "alasannya", "labelnya", "192.0.2.7"):
            assert word not in text
        assert 'bisikd_refused_total{code="muted"} 1.0' in text


async def test_every_number_of_the_dashboard_exists_and_all_are_in_the_manual(tmp_path: Path) -> None:
    """The file is what Grafana imports, and asks for nothing that is not there."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\b(?:bisikd|process)_\w+", target["expr"])
    }
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        tama.refusal(await tama.join("#a b"))
        there = {name for name, _ in samples(metrics_of(stage, tmp_path))}
    assert asked <= there
    manual = OPERATING.read_text(encoding="utf-8")
    section = manual[manual.index("\n## Metrics\n") :].split("\n## ")[1]
    documented = set(re.findall(r"`(bisikd_\w+)`", section))
    assert documented == {name for name in there if name.startswith("bisikd_")}


# Reading them ------------------------------------------------------------------------------------------------------


async def fetch(address: Any, request: bytes) -> bytes:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    with sock, trio.fail_after(20):
        await sock.connect(address)
        stream = trio.SocketStream(sock)
        await stream.send_all(request)
        received = b""
        while part := await stream.receive_some(4096):
            received += part
        return received


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200 OK", b"a 1\n"),
        (b"GET /metrics?x=1 HTTP/1.0\n\n", b"200 OK", b"a 1\n"),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", b"200 OK", b""),
        (b"GET / HTTP/1.1\r\n\r\n", b"404 Not Found", b"The numbers are at /metrics.\n"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405 Method Not Allowed", b"Only GET.\n"),
        (b"\xff\x00\r\n\r\n", b"405 Method Not Allowed", b"Only GET.\n"),
        (b"x" * MAX_REQUEST_BYTES, b"405 Method Not Allowed", b"Only GET.\n"),
    ],
)
async def test_of_http_there_is_get_metrics(tmp_path: Path, request_: bytes, status: bytes, body: bytes) -> None:
    """Whatever is asked, there is one answer, and the next one is served."""
    async with trio.open_nursery() as nursery:
        sock = open_metrics_socket("unix:metrics.sock", tmp_path)
        nursery.start_soon(serve_metrics, sock, lambda: b"a 1\n", CONTENT_TYPE)
        for _ in range(2):
            answer = await fetch(str(tmp_path / "metrics.sock"), request_)
            head, _, found = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 " + status)
            assert found == body
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "where", ["0.0.0.0:9100", ":9100", "9100", "unix:", "example.org:1", "127.0.0.1:x", "[::]:1"]
)
def test_only_this_machine_reads_them(where: str) -> None:
    """A port of every address, or of another machine, is refused with what would do."""
    with pytest.raises(ValueError, match="is no place for metrics"):
        METRICS_LISTEN.read(where)


def test_a_place_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    """Used by somebody else, or in no directory; a socket that an earlier daemon left is replaced."""
    open_metrics_socket("unix:m.sock", tmp_path).close()
    open_metrics_socket("unix:m.sock", tmp_path).close()
    (tmp_path / "file").write_text("mine")
    for where in ("unix:none/m.sock", "unix:file"):
        with pytest.raises(BisikdError, match="Metrics cannot be served at"):
            open_metrics_socket(where, tmp_path)
    assert (tmp_path / "file").read_text() == "mine"
    with open_metrics_socket("127.0.0.1:0", tmp_path) as taken, pytest.raises(BisikdError, match="in use"):
        open_metrics_socket(f"127.0.0.1:{taken.getsockname()[1]}", tmp_path)


async def test_they_are_off_until_asked_for(tmp_path: Path) -> None:
    """Without the key there is no socket; with it a running daemon serves what a scraper reads."""
    state = fresh_state(tmp_path / "state")
    async with open_daemon(state):
        assert not (state / "m.sock").exists()
    async with open_daemon(state, "--set", "metrics.listen=unix:m.sock"):
        answer = await fetch(str(state / "m.sock"), b"GET /metrics HTTP/1.1\r\n\r\n")
        assert b"bisikd_sessions" in answer
        assert b"process_cpu_seconds_total" in answer
    done = await trio.to_thread.run_sync(
        lambda: bisikd("run", "--state", state, "--listen", "127.0.0.1:0", "--set", "metrics.listen=unix:no/m.sock")
    )
    assert done.returncode == 1
    assert "Metrics cannot be served" in done.stderr
