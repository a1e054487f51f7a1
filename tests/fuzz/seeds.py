"""Valid seeds: one of every message and of every frame, made by the code's own encoders."""

from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from bisik_protocol.chat import messages
from bisik_protocol.chat.statements import SealedStatement, Statement
from bisik_protocol.wire import frames


def one_of(info: Any) -> Any:  # noqa: PLR0911 # one answer for each kind of type
    """Some valid value of a type, as plain data."""
    match info:
        case inspect.Metadata():
            return one_of(info.type)
        case inspect.UnionType():
            return one_of(info.types[0])
        case inspect.StructType():
            values = [one_of(field.type) for field in info.fields]
            return [info.tag, *values] if info.tag is not None else values
        case inspect.EnumType():
            return next(iter(info.cls)).value
        case inspect.IntType():
            return info.ge or 1
        case inspect.StrType():
            return "x" * (info.min_length or 1)
        case inspect.BytesType():
            return b"\x80" * (info.min_length or 1)
        case inspect.ListType():
            return [one_of(info.item_type)]
        case inspect.BoolType():
            return True
        case inspect.NoneType():
            return None
        case inspect.LiteralType():
            return info.values[0]
    raise AssertionError(f"no value for {info}")


@cache
def every_message() -> list[bytes]:
    """One of each kind that client and daemon say to each other, and of each entry."""
    found: list[bytes] = []
    said = (messages.Request, messages.FromMember, messages.FromDaemon, messages.Entry)
    for union in (*said, Statement, SealedStatement):
        info = inspect.type_info(union)
        kinds = info.types if isinstance(info, inspect.UnionType) else (info,)
        found += [msgspec.msgpack.encode(one_of(kind)) for kind in kinds]
    return found


def every_frame() -> list[bytes]:
    return [
        frames.PING_FRAME,
        frames.encode_ack([(7, 9), (1, 3)]),
        frames.message_head(0, 0, 0, 1, 4) + b"halo",
        frames.message_head(0, 1, 0, 2, 2) + b"ha" + frames.message_head(0, 1, 1, 2, 2) + b"lo",
        frames.encode_max_data(300_000),
        frames.encode_max_lane_data(0, 200_000),
        frames.encode_path_challenge(bytes(8)),
        frames.encode_path_response(bytes(8)),
        frames.encode_new_connection_id(0, bytes(8), bytes(16)),
        frames.encode_close(0, "bye"),
    ]
