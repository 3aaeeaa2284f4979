"""Redis Streams as a source: one consumer group a bridge, on any number of streams of one server."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, cast

import msgspec
import structlog
from pydantic import BeforeValidator, Field
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from bridges.base import Batch, BridgeSpec, Context, Delivery, Headers, Part, Rewind
from bridges.redis_base import RedisBridge, command
from bridges.redis_link import FAILURES, RedisSettings, client, port_error
from hub.errors import Refused, Unavailable

log: Final = structlog.get_logger()

BODY_FIELDS: Final = (b"body", b"data")
EARLIEST_MS: Final = 100_000_000_000
LATEST_MS: Final = 253_370_764_800_000
"""Between 1973 and 9998 the first half of an entry id is a time; else the sender counts in its own way."""
LAST_SEQUENCE: Final = 2**64 - 1
CLAIM_COUNT: Final = 500
_encode: Final = msgspec.json.Encoder().encode


class RedisStreamsSettings(RedisSettings, frozen=True, extra="forbid"):
    """Settings of a bridge of type `redis_streams`."""

    streams: Annotated[
        list[str],
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
        Field(min_length=1, description="Streams to read: one key, or a list."),
    ]
    field: Annotated[
        str,
        Field(
            description="The field that holds the message. Empty: `body`, else `data`, else all fields as one object."
        ),
    ] = ""
    group: Annotated[str, Field(description="Consumer group. Empty: <namespace>.bridge.<bridge id>.")] = ""
    consumer: Annotated[str, Field(description="Our name in the group. Empty: the bridge's id.")] = ""
    start: Annotated[
        Literal["earliest", "latest"], Field(description="Where a group begins that is not there yet.")
    ] = "earliest"
    claim_after_s: Annotated[
        float,
        Field(
            ge=0, description="Take over what another consumer of the group left that is silent for so long; 0: never."
        ),
    ] = 60.0
    delete: Annotated[
        bool, Field(description="Remove entries from the stream that are acknowledged. Not if others read it too.")
    ] = False


class StreamDelivery(Delivery):
    """An entry of a stream."""

    stream: str = ""
    entry: bytes = b""

    def meta(self) -> dict[str, Any]:
        """Besides what every delivery has: stream, entry (its id)."""
        return {**super().meta(), "stream": self.stream, "entry": self.entry.decode()}


class RedisStreamsBridge(RedisBridge):
    """
    A consumer with a name that outlives the process: its own backlog first, then what silent consumers left, then new.

    So what a killed bridge had in hand comes at once, and in order, wherever the bridge runs next.
    """

    def __init__(self, settings: RedisStreamsSettings, context: Context) -> None:
        """Does not connect yet."""
        super().__init__(settings, context)
        self._settings = settings
        self._group = settings.group or f"{context.namespace}.bridge.{context.bridge}"
        self._consumer = settings.consumer or context.bridge
        self._backlog: dict[str, str] = {}
        """Streams whose own backlog is not read to its end, each with the id after which it goes on."""
        self._claim_at = 0.0
        self._lags: dict[str, int | None] = {}
        self._newest: dict[str, str] = {}

    def parts(self) -> Sequence[Part]:
        """See Bridge.parts."""
        return [Part(name, self._lags.get(name), self._newest.get(name, "")) for name in self._settings.streams]

    async def rewind(self, to: Rewind) -> None:
        """See Bridge.rewind. An offset is an entry id, of all streams, or `stream/id` of one."""
        before = self._before(to)
        self._readers = client(self._settings, self._context)
        try:
            await self._begin()
            for stream, id in before.items():
                await command(self._reader(), "XGROUP", "SETID", stream, self._group, id)
        except FAILURES as exc:
            raise port_error(exc, self._settings) from exc
        finally:
            await self.close()

    def _before(self, to: Rewind) -> dict[str, str]:
        """By stream, the id that counts as the last one delivered."""
        streams = self._settings.streams
        if to.to == "beginning":
            return dict.fromkeys(streams, "0-0")
        if to.to == "time":
            return dict.fromkeys(streams, _previous(max(0, to.at_ms), 0))
        stream, _, id = to.offset.rpartition("/")
        if stream and stream not in streams:
            raise Refused("source", f"the bridge does not read a stream {stream}; it reads {', '.join(streams)}")
        milliseconds, _, sequence = id.partition("-")
        if not milliseconds.isdigit() or not (sequence or "0").isdigit():
            raise Refused("source", f"{to.offset!r} is no place in a stream: write an entry id, as in 1526919030474-0")
        return dict.fromkeys([stream] if stream else streams, _previous(int(milliseconds), int(sequence or "0")))

    async def _begin(self) -> None:
        connection = self._raw(self._reader())
        for stream in self._settings.streams:
            try:
                groups = await connection.xinfo_groups(stream)
            except ResponseError as exc:
                if "no such key" not in str(exc):
                    raise
                words = f"there is no stream {stream} on {self._settings.url}; XADD makes it, then it is read"
                raise Unavailable("source", words) from exc
            if self._group.encode() not in {group["name"] for group in groups}:
                await self._make_group(stream, "0" if self._settings.start == "earliest" else "$")
        self._backlog = dict.fromkeys(self._settings.streams, "0-0")

    @staticmethod
    def _raw(connection: Redis) -> Redis:
        """Without the client's own reading of entries, which makes dictionaries that nobody needs."""
        for name in ("XREADGROUP", "XCLAIM", "XPENDING", "XREVRANGE"):
            connection.set_response_callback(name, cast("Any", _as_it_is))
        return connection

    async def _make_group(self, stream: str, after: str, *more: str) -> None:
        try:
            await command(self._reader(), "XGROUP", "CREATE", stream, self._group, after, *more)
        except ResponseError as exc:
            if "BUSYGROUP" not in str(exc):  # another process was faster
                raise

    async def _read(self, count: int, wait_s: float) -> list[Delivery]:
        if self._backlog:
            return await self._read_backlog(count)
        if self._claim_at <= time.monotonic() and self._settings.claim_after_s:
            self._claim_at = time.monotonic() + self._settings.claim_after_s / 4
            claimed = await self._claim()
            if claimed:
                return claimed
        try:
            reply = await self._read_group(count, dict.fromkeys(self._settings.streams, ">"), wait_s)
        except ResponseError as exc:
            if not str(exc).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            await self._start_over(str(exc))
            return []
        return [delivery for stream, entries in reply for delivery in self._deliveries(stream, entries)[0]]

    async def _read_backlog(self, count: int) -> list[Delivery]:
        """What was ours before we were opened, in the order of each stream."""
        found: list[Delivery] = []
        reply = await self._read_group(count, self._backlog, 0)
        for stream, entries in reply:
            name = stream.decode()
            if not entries:
                del self._backlog[name]
                continue
            self._backlog[name] = entries[-1][0].decode()
            deliveries, missing = self._deliveries(stream, entries)
            found += deliveries
            await self._forget(name, missing)
        return found

    async def _read_group(self, count: int, after: dict[str, str], wait_s: float) -> list[Any]:
        block = ("BLOCK", int(wait_s * 1000)) if wait_s else ()
        arguments = ("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", count, *block, "STREAMS")
        return await command(self._reader(), *arguments, *after, *after.values()) or []

    async def _start_over(self, words: str) -> None:
        """The stream is another one than before: all that is in it came since then."""
        log.warning("bridge.stream_was_deleted", bridge=self._context.bridge, error=words)
        for stream in self._settings.streams:
            # made here if nobody has yet, so that whatever comes next is in the group's sight
            await self._make_group(stream, "0", "MKSTREAM")

    async def _claim(self) -> list[Delivery]:
        """Take over from consumers that are gone; those that only have nothing to do stay out of it: they still ask."""
        silent_ms = int(self._settings.claim_after_s * 1000)
        found: list[Delivery] = []
        connection = self._reader()
        for stream in self._settings.streams:
            try:
                consumers = await connection.xinfo_consumers(stream, self._group)
            except ResponseError:
                return []  # the stream is gone: reading it says so
            for consumer in consumers:
                name = cast("bytes", consumer["name"]).decode(errors="replace")
                if name == self._consumer or not consumer["pending"] or consumer["idle"] < silent_ms:
                    continue
                # not XAUTOCLAIM: it would hand us our own again that wait for our Kafka
                pending = await command(
                    connection, "XPENDING", stream, self._group, "-", "+", CLAIM_COUNT, consumer["name"]
                )
                ids = [entry[0] for entry in pending]
                entries = await command(connection, "XCLAIM", stream, self._group, self._consumer, silent_ms, *ids)
                deliveries, missing = self._deliveries(stream.encode(), entries)
                await self._forget(stream, missing)
                found += deliveries
                log.info("bridge.claimed", bridge=self._context.bridge, consumer=name, messages=len(deliveries))
                if len(ids) == CLAIM_COUNT:
                    self._claim_at = 0.0  # there is more
        return found

    async def _forget(self, stream: str, trimmed: list[bytes]) -> None:
        """Entries that the stream has dropped although nobody had acknowledged them."""
        if trimmed:
            log.error("bridge.trimmed_before_taken", bridge=self._context.bridge, stream=stream, messages=len(trimmed))
            await command(self._reader(), "XACK", stream, self._group, *trimmed)

    def _deliveries(self, stream: bytes, entries: list[Any]) -> tuple[list[Delivery], list[bytes]]:
        """And the ids of entries that are in the group's books only."""
        name = stream.decode()
        wanted = (self._settings.field.encode(),) if self._settings.field else BODY_FIELDS
        found: list[Delivery] = []
        missing: list[bytes] = []
        for entry in entries:
            if entry is None:
                continue  # as servers before Redis 7 answer XCLAIM
            id, fields = entry
            if fields is None:
                missing.append(id)
                continue
            text = id.decode()
            body, headers = _body(fields, wanted)
            found.append(StreamDelivery(body, f"{name}/{text}", _time_ms(text), None, headers, stream=name, entry=id))
        return found, missing

    def _batch(self, taken: list[Delivery]) -> Batch:
        by_stream: dict[str, list[bytes]] = {}
        for delivery in cast("list[StreamDelivery]", taken):
            by_stream.setdefault(delivery.stream, []).append(delivery.entry)
        for stream, ids in by_stream.items():
            self._newest[stream] = f"{stream}/{ids[-1].decode()}"
        return Batch(taken, by_stream)

    async def _settle(self, batch: Batch) -> None:
        for stream, ids in batch.token.items():
            await command(self._acker(), "XACK", stream, self._group, *ids)
            if self._settings.delete:
                await command(self._acker(), "XDEL", stream, *ids)

    async def _measure_lag(self) -> int | None:
        for stream in self._settings.streams:
            self._lags[stream] = await self._lag_of(stream)
        known = [lag for lag in self._lags.values() if lag is not None]
        return sum(known) if len(known) == len(self._lags) else None

    async def _lag_of(self, stream: str) -> int | None:
        """None: the server does not know; it cannot count when entries were deleted, and before Redis 7 not at all."""
        try:
            groups = await self._acker().xinfo_groups(stream)
        except ResponseError:
            return None  # the stream is gone: reading it says so
        for group in groups:
            if group["name"] == self._group.encode():
                if group.get("lag") is not None:
                    return int(group["lag"])
                newest = await command(self._acker(), "XREVRANGE", stream, "+", "-", "COUNT", 1)
                taken = _numbers(group["last-delivered-id"])
                return 0 if not newest or _numbers(newest[0][0]) <= taken else None
        return None

    async def _look(self, limit: int) -> Sequence[Delivery]:
        """The newest of each stream."""
        connection = self._raw(self._reader())
        found: list[Delivery] = []
        for stream in self._settings.streams:
            entries = await command(connection, "XREVRANGE", stream, "+", "-", "COUNT", limit)
            found += self._deliveries(stream.encode(), entries[::-1])[0]
        return found[:limit]


def _as_it_is(reply: Any, **_: Any) -> Any:
    return reply


def _body(fields: list[bytes], wanted: Sequence[bytes]) -> tuple[bytes, Headers]:
    """
    The message, and the other fields as its headers.

    Args:
        fields: Names and values in turn.
        wanted: Names of the field that holds the message, the first that is there.
    """
    if fields[0] == wanted[0]:  # as nearly always
        return fields[1], _headers(fields[2:]) if len(fields) > 2 else ()
    names = fields[::2]
    for name in wanted:
        if name in names:
            at = names.index(name) * 2
            return fields[at + 1], _headers(fields[:at] + fields[at + 2 :])
    return _object(fields), ()


def _headers(fields: list[bytes]) -> Headers:
    return [(fields[at].decode(errors="replace"), fields[at + 1]) for at in range(0, len(fields), 2)]


def _object(fields: list[bytes]) -> bytes:
    """All fields as one JSON object of texts; a field that is there again makes a list, binary values are base64."""
    made: dict[str, Any] = {}
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        key, text = name.decode(errors="replace"), _text(value)
        if key not in made:
            made[key] = text
        elif isinstance(made[key], list):
            made[key].append(text)
        else:
            made[key] = [made[key], text]
    return _encode(made)


def _text(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _time_ms(id: str) -> int | None:
    """When the entry was added, unless the sender made ids of another kind."""
    milliseconds = int(id.partition("-")[0])
    return milliseconds if EARLIEST_MS <= milliseconds < LATEST_MS else None


def _numbers(id: bytes | str) -> tuple[int, int]:
    milliseconds, _, sequence = (id.decode() if isinstance(id, bytes) else id).partition("-")
    return int(milliseconds), int(sequence or "0")


def _previous(milliseconds: int, sequence: int) -> str:
    """The id right before."""
    if sequence:
        return f"{milliseconds}-{sequence - 1}"
    return f"{milliseconds - 1}-{LAST_SEQUENCE}" if milliseconds else "0-0"


SPEC: Final = BridgeSpec(
    "redis_streams",
    "Read streams of a Redis or Valkey server, with a consumer group.",
    RedisStreamsSettings,
    RedisStreamsBridge,
    frozenset({"beginning", "time", "offset"}),
)
