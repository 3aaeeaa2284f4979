"""Dead letters onto the log again, each the way that a message of its origin goes today."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple, cast

from pydantic import BaseModel

from hub.api import metrics
from hub.api.origins import origin_of
from hub.api.problems import NotFound
from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Bridge
from hub.edge.inbound import refused
from hub.edge.message import Convert, ConverterOf, Message
from hub.errors import HubError, InvalidPayload, Refused
from hub.ids import derived
from hub.jobs.flow_letters import destination_of, is_of_flow
from hub.log.bulk import BulkWindow
from hub.log.publishing import Publish
from hub.pipeline.letters import as_sent
from hub.settings import Limits
from hub.store.port import MAX_PAGE, Reading
from schemas.codec import CodecError, decode_inbound, encode_inbound
from schemas.records import TRACK, Track
from schemas.replays import Replay, received_header, replay_header
from schemas.topics import EVENTS

PAGE: Final = 100
"""Letters that are read, converted and sent together; originals may have 2 MB each."""
SHOWN_PROBLEMS: Final = 20
_DIGITS: Final = re.compile("([0-9]+)")

Document = Mapping[str, Any]


class Problem(BaseModel):
    """A letter that was refused again (`reason` is its code), or skipped (empty `reason`)."""

    id: str
    reason: str
    detail: str


class Replayed(BaseModel):
    """
    What became of the letters. `sent`: Kafka has a payload of it, or, of a message of a flow, one of `tasks` will send
    it; `refused`: as before, it has one more attempt; `skipped`: left as it was. `problems`: the first 20 of the last
    two. `next`: `after` of the next request, or null.
    """

    matched: int = 0
    sent: int = 0
    refused: int = 0
    skipped: int = 0
    problems: list[Problem] = []
    tasks: list[str] = []
    next: int | None = None


class Unreplayable(HubError):
    """A letter that has no way to go, or a request that does not fit it. Nothing was sent."""


class _Record(NamedTuple):
    """For events.v1. `refusal`: why it is no payload."""

    key: bytes
    value: bytes
    refusal: InvalidPayload | None


class Replayer:
    """Sends letters again. What it sends carries the letter's id, so that the collector knows whose attempt it is."""

    def __init__(
        self,
        publisher: Publish,
        store: Reading,
        catalogue: Catalogue,
        *,
        namespace: str,
        limits: Limits,
        converter: ConverterOf,
        now_ms: Callable[[], int],
        bulk: BulkWindow | None = None,
        send_again: Callable[[Sequence[Document]], str] | None = None,
    ) -> None:
        """
        Args:
            now_ms: The clock, milliseconds since 1970.
            bulk: Where many letters wait; None: they do not.
            send_again: Asks for a task that sends messages of flows again, and returns its id. Blocks; may raise
                Unavailable. None: nobody sends them.
        """
        self._publisher = publisher
        self._bulk = bulk
        self._store = store
        self._topic = EVENTS.name(namespace)
        self._catalogue = catalogue
        self._limits = limits
        self._converter = converter
        self._now_ms = now_ms
        self._send_again = send_again

    async def one(self, id: str, body: bytes | None, mapping: dict[str, Any] | str | None) -> Replayed:
        """
        Replay one letter, open or resolved. Returns when Kafka has it.

        Args:
            body: Instead of the original bytes, which stay as they are.
            mapping: Instead of the bridge's.

        Raises:
            NotFound: There is no such letter.
            Unreplayable: It has no way to go.
            InvalidPayload: No payload can be made of the edited body. Nothing was sent.
            Unavailable: Kafka did not acknowledge; it may have it none the less.
        """
        letter = await asyncio.to_thread(self._store.get, "dead-letters", id)
        original = await asyncio.to_thread(self._store.dead_letter_body, id)
        if letter is None or original is None:
            raise NotFound("there is no dead letter with this id")
        if body is not None and is_of_flow(letter):
            raise Unreplayable("a message of a flow is sent as it is: it cannot be edited")
        way = _Way(self._catalogue, self._limits, self._converter, mapping, self._now_ms)
        tally = _Tally()
        if is_of_flow(letter):
            await self._again([letter], tally, has_mapping=mapping is not None)
        else:
            record = way.record(letter, original) if body is None else way.edited(letter, body)
            await self._send([(letter, record)], tally, None)
        if tally.report.skipped:
            raise Unreplayable(tally.report.problems[0].detail)
        return tally.report

    async def all(self, query: str, mapping: dict[str, Any] | str | None, size: int | None, after: int) -> Replayed:
        """
        Replay the letters that match and are open, those first that came first, sorted anew by a thousand.

        Args:
            size: At most so many; None: all.
            after: 0, or `next` of the request before.

        Raises: QueryError, Unreplayable (the mapping), Unavailable.
        """
        way = _Way(self._catalogue, self._limits, self._converter, mapping, self._now_ms)
        tally, begin = _Tally(), after
        while size is None or tally.report.matched < size:
            room = MAX_PAGE if size is None else min(MAX_PAGE, size - tally.report.matched)
            letters, following = await asyncio.to_thread(self._store.open_dead_letters, query, room, begin)
            letters.sort(key=_order)
            inward = [letter for letter in letters if not is_of_flow(letter)]
            for first in range(0, len(inward), PAGE):
                await self._some(inward[first : first + PAGE], way, tally)
            if len(inward) < len(letters):
                messages = [letter for letter in letters if is_of_flow(letter)]
                await self._again(messages, tally, has_mapping=mapping is not None)
            tally.report.next = following
            if following is None:
                break
            begin = following
        return tally.report

    async def _some(self, letters: Sequence[Document], way: _Way, tally: _Tally) -> None:
        records = []
        for letter, original in zip(letters, await asyncio.to_thread(self._bodies, letters), strict=True):
            try:
                records.append((letter, way.record(letter, original)))
            except Unreplayable as exc:
                tally.skip(letter, str(exc))
        await self._send(records, tally, self._bulk)

    async def _again(self, letters: Sequence[Document], tally: _Tally, *, has_mapping: bool) -> None:
        """Messages of flows, by a task. Raises Unavailable."""
        if has_mapping or self._send_again is None:
            why = "a message of a flow is sent as it is: no mapping applies to it"
            for letter in letters:
                tally.skip(letter, why if has_mapping else "nobody sends messages of flows here")
            return
        tally.report.tasks.append(await asyncio.to_thread(self._send_again, letters))
        for letter in letters:
            tally.count(letter, None)

    async def rehearse(self, query: str, mapping: dict[str, Any] | str | None) -> Replayed:
        """How many `all` would replay; sends nothing. Raises as `all` does."""
        _Way(self._catalogue, self._limits, self._converter, mapping, self._now_ms)
        return Replayed(matched=await asyncio.to_thread(self._store.count_open_dead_letters, query))

    def _bodies(self, letters: Iterable[Document]) -> list[bytes]:
        return [self._store.dead_letter_body(letter["id"]) or b"" for letter in letters]

    async def _send(self, records: Sequence[tuple[Document, _Record]], tally: _Tally, bulk: BulkWindow | None) -> None:
        """Raises Unavailable when Kafka has not acknowledged all of them, or the collector does not move."""
        sent: list[asyncio.Task[int]] = []
        try:
            for letter, record in records:
                headers = [replay_header(Replay(letter["id"], letter["attempts"] + 1))]
                if letter["stage"] == "bridge":
                    headers.append(received_header(_first_ms(letter)))  # the record says when it is sent again
                landed = None
                if bulk is not None:
                    events = _weight(record.value)
                    await bulk.enter(events)
                    landed = partial(bulk.landed, events)
                # tasks start one after the other, so they are on the log in this order
                sending = self._publisher.publish(self._topic, record.key, record.value, headers, landed)
                sent.append(asyncio.create_task(sending))
        finally:
            outcomes = await asyncio.gather(*sent, return_exceptions=True)
        for (letter, record), outcome in zip(records, outcomes, strict=True):
            if isinstance(outcome, Refused):
                tally.skip(letter, str(outcome))
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                tally.count(letter, record.refusal)


class _Tally:
    """Counts letters into a report."""

    def __init__(self) -> None:
        self.report = Replayed()

    def skip(self, letter: Document, why: str) -> None:
        self.report.matched += 1
        self.report.skipped += 1
        metrics.REPLAYED.labels("skipped").inc()
        self._show(Problem(id=letter["id"], reason="", detail=why))

    def count(self, letter: Document, refusal: InvalidPayload | None) -> None:
        self.report.matched += 1
        if refusal is None:
            self.report.sent += 1
            metrics.REPLAYED.labels("sent").inc()
        else:
            self.report.refused += 1
            metrics.REPLAYED.labels("refused").inc()
            self._show(Problem(id=letter["id"], reason=refusal.reason, detail=refusal.detail))

    def _show(self, problem: Problem) -> None:
        if len(self.report.problems) < SHOWN_PROBLEMS:
            self.report.problems.append(problem)


class _Way:
    """Makes records of letters; each bridge's mapping is compiled once."""

    def __init__(
        self,
        catalogue: Catalogue,
        limits: Limits,
        converter: ConverterOf,
        mapping: dict[str, Any] | str | None,
        now_ms: Callable[[], int],
    ) -> None:
        self._catalogue = catalogue
        self._limits = limits
        self._converter = converter
        self._mapping = mapping
        self._now_ms = now_ms
        self._converts: dict[tuple[str, str], Convert] = {}
        if mapping is not None:
            # a mapping that cannot be used shall be refused even if no letter matches
            self._made("", Bridge(type="", source="-", mapping=mapping))

    def record(self, letter: Document, original: bytes) -> _Record:
        """Of the original bytes; a refusal if no payload can be made of them. Raises Unreplayable."""
        _require_inward(letter)
        if letter["stage"] != "bridge":
            if self._mapping is not None:
                raise Unreplayable("its original is a record of events.v1, to which no mapping applies")
            key, value = as_sent(original, self._catalogue.offset) or (_key(letter), original)
            return _Record(key, value, None)
        id = self._bridge_id(letter)
        message = _message(letter, id, original)
        now_ms = self._now_ms()
        try:
            return _Record(*self._convert(letter, id)(message, now_ms), None)
        except InvalidPayload as exc:
            key, record = refused(
                exc,
                body=original,
                headers=message.headers,
                origin=letter["origin"],
                source=letter["source"],
                now_ms=now_ms,
                definitions_offset=self._catalogue.offset,
                body_sha256=letter["body_sha256"],
                payload_id=message.payload_id,
                key=message.key,
                time_ms=letter["time_ms"],
                meta=message.meta,
            )
            return _Record(key, encode_inbound(record), exc)

    def edited(self, letter: Document, body: bytes) -> _Record:
        """Of other bytes. Raises InvalidPayload, Unreplayable."""
        _require_inward(letter)
        if letter["stage"] != "bridge":
            raise Unreplayable("its original is a record of events.v1 in Avro, which cannot be edited; use POST /track")
        id = self._bridge_id(letter)
        return _Record(*self._convert(letter, id)(_message(letter, id, body), self._now_ms()), None)

    def _bridge_id(self, letter: Document) -> str:
        return origin_of(letter["origin"], {"bridge": self._catalogue.entries("bridge")}).id

    def _convert(self, letter: Document, id: str) -> Convert:
        entry = self._catalogue.entry("bridge", id)
        if entry is not None and isinstance(entry.spec, Bridge):
            definition = entry.spec
        elif self._mapping is not None:
            definition = Bridge(type="", source=letter["source"])
        elif letter["origin"].startswith("import:"):
            raise Unreplayable(f"it is a row of the import {id!r}: give the mapping that makes a payload of it")
        else:
            raise Unreplayable(f"no bridge {id!r} is defined any more: define it again, or give a mapping")
        if self._mapping is not None:
            definition = definition.model_copy(update={"mapping": self._mapping})
        known = id, definition.source
        if known not in self._converts:
            self._converts[known] = self._made(id, definition)
        return self._converts[known]

    def _made(self, id: str, definition: Bridge) -> Convert:
        try:
            return self._converter(id, definition, self._catalogue, self._limits)
        except ValueError as exc:
            raise Unreplayable(f"the mapping cannot be used: {exc}") from exc


def _require_inward(letter: Document) -> None:
    """Raises Unreplayable: of a message that a destination could not send the event is stored; a trigger has none."""
    if letter["origin"].startswith("triggers:"):
        raise Unreplayable(
            "it is a trigger that the agents could not work on, and holds no event: mend what its detail says, then "
            "let the heartbeat or flow run again"
        )
    if letter["stage"] == "destination":
        raise Unreplayable(
            f"its event is stored, and was not sent: mend the destination {destination_of(letter)!r} or its target, "
            "then let it send again from before the event (POST /destinations/{id}/rewind)"
        )


def _order(letter: Document) -> tuple[int, list[str | int]]:
    """
    The order of the source: by the message's time, then by the numbers in its position; records stay as they are.

    The store has them as the collector came by them, and that takes turns with the partitions of the log.
    """
    parts = _DIGITS.split(letter["origin"] if letter["stage"] == "bridge" else "")
    # texts and numbers take turns in the list, so that like is compared with like
    return _time_ms(letter), [int(part) if place % 2 else part for place, part in enumerate(parts)]


def _time_ms(letter: Document) -> int:
    """The broker's time of the message, else when it was received first; milliseconds since 1970."""
    if letter["time_ms"] is not None:
        return int(letter["time_ms"])
    return _first_ms(letter)


def _first_ms(letter: Document) -> int:
    """When it was received first, milliseconds since 1970."""
    return round(datetime.fromisoformat(letter["first_at"]).timestamp() * 1000)


def _message(letter: Document, bridge_id: str, body: bytes) -> Message:
    return Message(
        body=body,
        position=letter["origin"].removeprefix(f"{letter['origin'].partition(':')[0]}:{bridge_id}:"),
        # letters of the first version do not say; every replay has to give the same ids
        payload_id=letter["payload_id"] or derived("letter", letter["id"]),
        time_ms=_time_ms(letter),
        key=None if letter["key"] is None else letter["key"].encode("latin-1"),
        headers={name: str(value).encode("latin-1", "replace") for name, value in letter["headers"].items()},
        meta=letter["meta"],
    )


def _weight(record: bytes) -> int:
    """How many events it counts for, at least 1."""
    try:
        kind, body = decode_inbound(record)["body"]
    except CodecError:
        return 1
    return max(1, len(cast("Track", body)["events"])) if kind == TRACK else 1


def _key(letter: Document) -> bytes:
    """The key that the record had; letters of the first version do not say."""
    if letter["key"] is None:
        return str(letter["id"]).encode()
    key: bytes = letter["key"].encode("latin-1")
    return key
