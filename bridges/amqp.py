"""AMQP 0-9-1 as bytes: frames put together to deliveries, their properties read. Pure."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
DELIVER: Final = b"\x00\x3c\x00\x3c"
"""Class and method of basic.deliver. Source: amqp0-9-1.xml."""
FRAME_END: Final = 0xCE
_FRAME: Final = struct.Struct(">BHI").unpack_from
_HEADER: Final = struct.Struct(">HHQH").unpack_from
_U16: Final = struct.Struct(">H").unpack_from
_U32: Final = struct.Struct(">I").unpack_from
_U64: Final = struct.Struct(">Q").unpack_from
_AROUND_FRAME: Final = 8  # seven bytes before the payload, one after it


class Arrived(NamedTuple):
    """
    A delivery as it came.

    Attributes:
        consumer: The tag that the consumer was given.
        tag: The channel's number of it, from 1, without gaps.
        properties: For `properties`.
    """

    consumer: bytes
    tag: int
    redelivered: bool
    exchange: bytes
    routing_key: bytes
    properties: bytes
    body: bytes


Sink = Callable[[Arrived], None]


class Frames:
    """
    Splits what a connection sends into frames. Those of deliveries are put together, for all others somebody else is.

    A client library makes three to five objects of every delivery; at 600 bytes a message that is most of its work.
    """

    def __init__(self, other: Callable[[bytes], None]) -> None:
        """Args: other: gets each frame, whole, that belongs to no delivery of a channel in `sinks`."""
        self.sinks: dict[int, Sink] = {}
        self._other = other
        self._rest = b""
        self._open: dict[int, _Content] = {}

    def forget(self, channel: int) -> None:
        """It is closed; its number may be used again."""
        self.sinks.pop(channel, None)
        self._open.pop(channel, None)

    def feed(self, data: bytes) -> None:
        """The next bytes, cut anywhere. Raises ValueError: they are no AMQP."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at, end = 0, len(data)
        while end - at >= _AROUND_FRAME:
            kind, channel, size = _FRAME(data, at)
            after = at + size + _AROUND_FRAME
            if after > end:
                break
            if data[after - 1] != FRAME_END:
                raise ValueError("a frame that does not end as frames do")
            content = self._open.get(channel)
            if kind == METHOD:
                if channel in self.sinks and data.startswith(DELIVER, at + 7):
                    self._open[channel] = _Content(data[at + 11 : after - 1])
                else:
                    self._other(data[at:after])
            elif content is None:
                self._other(data[at:after])
            elif content.add(kind, data[at + 7 : after - 1]):
                del self._open[channel]
                sink = self.sinks.get(channel)
                if sink is not None:
                    sink(content.arrived())
            at = after
        if at < end:
            self._rest = data[at:]


class _Content:
    """A delivery whose frames are coming."""

    __slots__ = ("_left", "_method", "_parts", "_properties")

    def __init__(self, method: bytes) -> None:
        self._method = method
        self._properties = b""
        self._parts: list[bytes] = []
        self._left = -1

    def add(self, kind: int, payload: bytes) -> bool:
        """Whether that was the last frame of it."""
        if kind == HEADER:
            _, _, self._left, _ = _HEADER(payload)
            self._properties = payload[12:]
        elif kind == BODY:
            self._parts.append(payload)
            self._left -= len(payload)
        return self._left == 0

    def arrived(self) -> Arrived:
        """All of it."""
        method = self._method
        end = 1 + method[0]
        consumer = method[1:end]
        (tag,) = _U64(method, end)
        redelivered = bool(method[end + 8])
        start = end + 10
        end = start + method[end + 9]
        exchange = method[start:end]
        start = end + 1
        key = method[start : start + method[end]]
        parts = self._parts
        return Arrived(
            consumer,
            tag,
            redelivered,
            exchange,
            key,
            self._properties,
            parts[0] if len(parts) == 1 else b"".join(parts),
        )


_NONE: Final[Mapping[str, int]] = MappingProxyType({})


class Properties(msgspec.Struct):
    """
    What a message says of itself; None: it does not. Attributes as in AMQP.

    Attributes:
        timestamp: As it came: seconds since 1970, by the standard.
        headers: Texts as they came, everything else as JSON; in their order.
        numbers: The whole numbers among the headers.
    """

    content_type: str | None = None
    content_encoding: str | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: int | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    numbers: Mapping[str, int] = _NONE


_FIELDS: Final = (
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
)
"""In the order of their flags, from the highest bit on. Source: amqp0-9-1.xml."""


@cache
def _present(flags: int) -> tuple[str, ...]:
    return tuple(name for number, name in enumerate(_FIELDS) if flags & (1 << (15 - number)))


UNREADABLE: Final = "(unreadable)"
"""The header that holds what comes after the last one that could be read."""


def properties(data: bytes) -> Properties:
    """
    The properties of a content header, from its flags on.

    Raises nothing: a message with a property that nobody can read must not stop the ones behind it.
    """
    found = Properties()
    try:
        at = 2
        for name in _present(_U16(data)[0]):
            if name == "headers":
                (size,) = _U32(data, at)
                at += 4
                found.headers, found.numbers = _headers(data, at, at + size)
                at += size
            elif name == "timestamp":
                (found.timestamp,) = _U64(data, at)
                at += 8
            elif name in ("delivery_mode", "priority"):
                setattr(found, name, data[at])
                at += 1
            else:
                end = at + 1 + data[at]
                setattr(found, name, data[at + 1 : end].decode(errors="replace"))
                at = end
    except (struct.error, IndexError):
        found.headers = (*found.headers, (UNREADABLE, data))
    return found


def _headers(data: bytes, at: int, end: int) -> tuple[list[tuple[str, bytes | None]], dict[str, int]]:
    found: list[tuple[str, bytes | None]] = []
    numbers: dict[str, int] = {}
    start = at
    try:
        while at < end:
            start = at
            after = at + 1 + data[at]
            name = data[at + 1 : after].decode(errors="replace")
            value, at = _value(data, after)
            found.append((name, _as_bytes(value)))
            if type(value) is int:
                numbers[name] = value
    except (struct.error, IndexError, ValueError, RecursionError):
        found.append((UNREADABLE, data[start:end]))
    return found, numbers


def _as_bytes(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return json.dumps(value, default=_plain, ensure_ascii=False).encode(errors="replace")


def _plain(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


_FIXED: Final = {
    ord("b"): struct.Struct(">b"),
    ord("B"): struct.Struct(">B"),
    ord("s"): struct.Struct(">h"),
    ord("U"): struct.Struct(">h"),
    ord("u"): struct.Struct(">H"),
    ord("I"): struct.Struct(">i"),
    ord("i"): struct.Struct(">I"),
    ord("l"): struct.Struct(">q"),
    ord("L"): struct.Struct(">q"),
    ord("f"): struct.Struct(">f"),
    ord("d"): struct.Struct(">d"),
}
"""Numbers by their letter, as RabbitMQ and its clients write them. Source: rabbitmq.com/amqp-0-9-1-errata."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_S: Final = 253_402_300_799


def _value(data: bytes, at: int) -> tuple[Any, int]:
    """A header's value and where the next begins. Texts and bytes stay bytes. Raises ValueError: no such kind."""
    kind = data[at]
    at += 1
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return fixed.unpack_from(data, at)[0], at + fixed.size
    letter = chr(kind)
    if letter in "SxAF":
        (size,) = _U32(data, at)
        start, end = at + 4, at + 4 + size
        return (data[start:end] if letter in "Sx" else _nested(data, start, end, letter == "F")), end
    if letter == "t":
        return bool(data[at]), at + 1
    if letter == "V":
        return None, at
    if letter == "T":
        (seconds,) = _U64(data, at)
        # milliseconds where seconds belong are common; the number is still better than nothing
        return (_time(seconds) if seconds <= _LAST_S else seconds), at + 8
    if letter == "D":
        scaled = Decimal(struct.unpack_from(">i", data, at + 1)[0])
        return str(scaled.scaleb(-data[at])), at + 5
    raise ValueError(f"no header has a value of kind {letter!r}")


def _time(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()


def _nested(data: bytes, at: int, end: int, named: bool) -> Any:
    values: list[Any] = []
    names: list[str] = []
    while at < end:
        if named:
            after = at + 1 + data[at]
            names.append(data[at + 1 : after].decode(errors="replace"))
            at = after
        value, at = _value(data, at)
        values.append(_plain(value) if isinstance(value, bytes) else value)
    return dict(zip(names, values, strict=True)) if named else values
