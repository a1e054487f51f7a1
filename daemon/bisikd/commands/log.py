"""`bisikd log`: prove it, read it, take it elsewhere. Here, or on a machine that has the log and a key and no more.

Owns words, flags and what a report looks like. Nothing here writes to a log that is read.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from bisik_protocol.chat.direct_names import direct_names, is_direct
from bisik_protocol.chat.names import InvalidName, canonical_name, canonical_room
from bisik_protocol.crypto.identity import (
    DecryptionKey,
    ServerPublic,
    fingerprint_groups,
    fingerprint_text,
    parse_fingerprint,
)
from bisikd.commands.common import Decorator, config_option, json_option, state_option
from bisikd.config import load_settings
from bisikd.errors import BisikdError, UsageProblem
from bisikd.export import line_for_people, record_as_json
from bisikd.log import Report, SalvageReport, iter_records, log_bytes, salvage_log, verify_log
from bisikd.logfilter import LogFilter, parse_time
from bisikd.logkeys import load_private_key, read_server_keys
from bisikd.state import StateDirectory
from bisikd.times import rfc3339
from bisikd.users import UserStore


@click.group()
def log() -> None:
    """The log of everything that was said."""


@dataclass(frozen=True, slots=True)
class Source:
    """A log that is to be read, and the keys for it."""

    directory: Path
    key: DecryptionKey
    server: ServerPublic


def source_options(command: Any) -> Any:
    """Where the log is and what opens it; the command is given a `Source` as `source`."""
    path = click.Path(path_type=Path)
    options: list[Decorator] = [
        state_option,
        config_option,
        click.option("--log", "directory", type=path, help="A directory with a log, instead of that in STATE."),
        click.option("--key", type=path, help="The auditor's private key (PEM), instead of the server's in STATE."),
        click.option("--server", metavar="FINGERPRINT", help="The server that the log must be of."),
    ]

    def with_source(
        state: Path | None,
        config: Path | None,
        directory: Path | None,
        key: Path | None,
        server: str | None,
        **others: Any,
    ) -> None:
        command(source=_source(state, config, directory, key, server), **others)

    with_source.__name__, with_source.__doc__ = command.__name__, command.__doc__
    with_source.__click_params__ = list(getattr(command, "__click_params__", []))  # type: ignore[attr-defined]
    for option in reversed(options):
        option(with_source)
    return with_source


def filter_options(command: Any) -> Any:
    """Which records; the command is given a `LogFilter` as `wanted`."""

    def with_filter(room: str | None, user: str | None, since: str | None, until: str | None, **others: Any) -> None:
        command(wanted=_filter(room, user, since, until), **others)

    with_filter.__name__, with_filter.__doc__ = command.__name__, command.__doc__
    with_filter.__click_params__ = list(getattr(command, "__click_params__", []))  # type: ignore[attr-defined]
    click.option("--until", metavar="TIME", help="Only what came before.")(with_filter)
    click.option("--since", metavar="TIME", help="Only from then on: 2026-11-22, 2026-11-22T09:30, 12h, 7d.")(
        with_filter
    )
    click.option("--user", help="Only what this person did.")(with_filter)
    click.option("--room", help="Only this room.")(with_filter)
    return with_filter


@log.command()
@source_options
@json_option
def verify(source: Source, *, as_json: bool) -> None:
    """Prove the whole log: every record, hash, signature and chain. Exit code 1 if anything is wrong."""
    with _progress("Verifying", source) as on_bytes:
        report = verify_log(source.directory, source.key, source.server.signing, on_bytes=on_bytes)
    if as_json:
        click.echo(json.dumps(_report_as_json(report, source)))
    else:
        click.echo("\n".join(_report_for_people(report, source)))
    if not report.ok:
        raise SystemExit(1)


@log.command()
@source_options
@filter_options
@json_option
def show(source: Source, wanted: LogFilter, *, as_json: bool) -> None:
    """Print what was said, for people; with --json as `bisikd run --json` printed it."""
    for record in _records(source):
        if as_json:
            value = record_as_json(record, wanted, proof=False)
            if value is not None:
                click.echo(json.dumps(value))
        elif (line := line_for_people(record, wanted)) is not None:
            click.echo(line, nl=False)


@log.command()
@source_options
@filter_options
@click.option("--json", "as_json", is_flag=True, help="JSON, which it always is.", hidden=True)
def export(source: Source, wanted: LogFilter, *, as_json: bool) -> None:  # taken, so that it is no mistake
    """Print every record as a line of JSON, with the signed bytes and keys to check it elsewhere."""
    for record in _records(source):
        if (value := record_as_json(record, wanted)) is not None:
            click.echo(json.dumps(value))


@log.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("destination", type=click.Path(path_type=Path))
@state_option
@config_option
@json_option
def salvage(source: Path, destination: Path, state: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Copy what is provably whole of the log in SOURCE into a new log in DESTINATION, and say what is missing.

    SOURCE is not changed. The keys are those in STATE.
    """
    opened = StateDirectory.open_existing(load_settings(state=state, config=config).state)
    users = UserStore.open(opened.users_directory, finish=False)
    devices = {device.key_hash: device.modulus for user in [*users, *users.closed] for device in user.devices}
    report = salvage_log(source, destination, opened.identity, now_ms=_now_ms, devices=devices)
    if as_json:
        click.echo(json.dumps({"type": "salvaged", "whole": report.whole, **asdict(report)}))
        return
    click.echo("\n".join([*report.damage, *report.left_out, *_salvage_for_people(report, destination)]))


def _salvage_for_people(report: SalvageReport, destination: Path) -> Iterator[str]:
    yield f"Copied {report.copied} records, {report.messages} messages among them, to {destination}."
    for room, count in sorted(report.lost_entries.items()):
        yield f"{count} entries of {room} are lost; each is marked as lost under its number."
    if report.dropped_entries:
        yield f"{sum(report.dropped_entries.values())} entries had been dropped before, and are marked as that."
    if report.lost_links:
        yield f"{report.lost_links} times a device goes on behind statements that are lost."
    if report.whole:
        yield "Nothing is missing."
    yield (
        "To go on with it: stop the daemon, keep the old log directory under another name, and put this one in its "
        "place. Clients will say that the server's log is not the one that they knew; tell their people why."
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _records(source: Source) -> Iterator[Any]:
    if sys.stdout.isatty():
        yield from iter_records(source.directory, source.key, source.server.signing)
        return
    with _progress("Reading", source) as on_bytes:
        yield from iter_records(source.directory, source.key, source.server.signing, on_bytes=on_bytes)


# What is asked for --------------------------------------------------------------------------------------------------


def _source(
    state: Path | None, config: Path | None, directory: Path | None, key: Path | None, server: str | None
) -> Source:
    """The server's own log with the server's own key, or any log with an auditor's. Raises BisikdError."""
    if key is None:
        opened = StateDirectory.open_existing(load_settings(state=state, config=config).state)
        found = Source(directory or opened.log_directory, opened.identity.decryption, opened.identity.public)
    else:
        at = directory or load_settings(state=state, config=config).state / "log"
        found = Source(at, load_private_key(key), read_server_keys(at))
    if server is not None:
        try:
            expected = parse_fingerprint(server)
        except ValueError as error:
            raise UsageProblem(f"--server: {error}") from None
        if expected != found.server.fingerprint:
            raise BisikdError(
                f"{found.directory} claims to be of the server {fingerprint_text(found.server.fingerprint)}, not of "
                "the one that you named. Nothing in it was read."
            )
    return found


def _filter(room: str | None, user: str | None, since: str | None, until: str | None) -> LogFilter:
    now_ms = _now_ms()
    try:
        return LogFilter(
            room=None if room is None else _room(room),
            user=None if user is None else canonical_name(user),
            since_ms=None if since is None else parse_time(since, now_ms),
            until_ms=None if until is None else parse_time(until, now_ms),
        )
    except (InvalidName, ValueError) as error:
        raise UsageProblem(str(error)) from None


def _room(text: str) -> str:
    """A direct room is asked for by its whole name."""
    if is_direct(text):
        direct_names(text)
        return text
    return canonical_room(text)


# What is said -------------------------------------------------------------------------------------------------------


@contextmanager
def _progress(label: str, source: Source) -> Iterator[Callable[[int], None] | None]:
    """A bar on stderr where that is a terminal; called with the bytes that have been read so far."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=max(1, log_bytes(source.directory)), label=label, file=sys.stderr) as bar:
        done = 0

        def on_bytes(count: int) -> None:
            nonlocal done
            bar.update(count - done)
            done = count

        yield on_bytes


def _report_as_json(report: Report, source: Source) -> dict[str, Any]:
    return {
        "type": "verified",
        "ok": report.ok,
        "server": fingerprint_text(source.server.fingerprint),
        "segments": report.segments,
        "records": report.records,
        "messages": report.messages,
        "commits": report.commits,
        "checkpoints": report.checkpoints,
        "losses": report.losses,
        "dropped_segments": report.dropped_segments,
        "dropped_records": report.dropped_records,
        "unfinished_bytes": report.unfinished_bytes,
        "root": report.root.hex(),
        "problems": report.problems,
    }


def _report_for_people(report: Report, source: Source) -> Iterator[str]:
    yield f"server {fingerprint_groups(source.server.fingerprint)}"
    yield (
        f"{report.messages} messages in {report.records} records, {report.commits} commits, "
        f"{report.checkpoints} checkpoints, {report.segments} segments"
    )
    if report.dropped_segments:
        yield (
            f"The first {report.dropped_records} records, in {report.dropped_segments} segments, were dropped on "
            f"{rfc3339(report.dropped_ms)}, and the note of that is genuine."
        )
    yield f"root {report.root.hex()}"
    yield from report.problems
    if report.losses:
        yield f"{report.losses} times it says itself that something was lost before it was salvaged."
    if report.unfinished_bytes:
        yield f"{report.unfinished_bytes} bytes at the end were being written and belong to no group."
    yield "The log is whole, and every signature fits." if report.ok else "The log is NOT as it was written."
