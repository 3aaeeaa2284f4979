"""From rows to what is sent: mapped, named, and kept in one piece with the lines they came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from hub.edge.expression import EVALUATION, Getter
from hub.edge.functions import NO_META
from hub.edge.mapping import CompiledMapping
from hub.errors import InvalidPayload
from hub.ids import derived
from hub.send.rows import Row
from hub.settings import Limits

LARGEST_BATCH: Final = 500
"""Events in a payload of several rows, unless one row alone makes more."""
_encode: Final = msgspec.json.Encoder().encode


class Parcel(NamedTuple):
    """
    One payload, of one row or of several of the same profile that follow each other.

    Attributes:
        lines: The first and the last line.
        id: The same at every rerun; the payload's own id goes before it.
        key: Profile id; "" for none.
        parts: With several rows: each for itself, for when they are refused together.
    """

    lines: tuple[int, int]
    rows: int
    id: str
    key: str
    body: bytes
    parts: tuple[Parcel, ...] = ()


class Failure(NamedTuple):
    """A row that cannot be sent."""

    line: int
    reason: str


class Packer:
    """Makes parcels. The id of a row comes from source, name and line, so that equal rows stay two events."""

    def __init__(self, *, mapping: CompiledMapping | None, source: str, name: str, key: Getter | None = None) -> None:
        """
        Args:
            mapping: None: rows are sent as they are.
            key: What gives the key of a row that is sent as it is; None: its profile's id, if it has the /track shape.
            source: Event source id of rows that name none; "" for none.
            name: What the file is called in the ids.
        """
        self._mapping = mapping
        self._source = source
        self._name = name
        self._key = key or _profile_id
        self._limits = Limits()

    def pack(self, row: Row) -> Parcel | Failure:
        """One row."""
        made = self._payload(row)
        return made if isinstance(made, (Parcel, Failure)) else self._parcel(row.line, made)

    def pack_together(self, rows: Iterable[Row]) -> Iterator[Parcel | Failure]:
        """Rows of one profile that follow each other as one payload with the events of each."""
        waiting: list[tuple[int, dict[str, Any]]] = []
        events = 0
        for row in rows:
            made = self._payload(row)
            if isinstance(made, (Parcel, Failure)):
                yield made
                continue
            events += len(made["events"])
            if waiting and (events > LARGEST_BATCH or not _same_but_events(waiting[-1][1], made)):
                yield self._joined(waiting)
                waiting, events = [], len(made["events"])
            waiting.append((row.line, made))
        if waiting:
            yield self._joined(waiting)

    def _payload(self, row: Row) -> dict[str, Any] | Parcel | Failure:
        if row.error is not None:
            return Failure(row.line, row.error)
        if self._mapping is None:
            return self._as_it_is(row)
        try:
            # a line that the mapping has a format for is read by it
            message = row.value if self._mapping.format == "json" else self._mapping.read(row.raw or b"", self._limits)
            payload = self._mapping(message, {"line": row.line, "row": row.number, "file": self._name})
        except InvalidPayload as exc:
            return Failure(row.line, exc.detail)
        if self._source and "source" not in payload:
            payload["source"] = {"id": self._source}
        return payload

    def _as_it_is(self, row: Row) -> Parcel | Failure:
        value, body = row.value, row.raw
        if isinstance(value, dict) and self._source and "events" in value and "source" not in value:
            value, body = {**value, "source": {"id": self._source}}, None
        try:
            key = self._key(value, NO_META)
            body = _encode(value) if body is None else body
        except EVALUATION as exc:
            return Failure(row.line, f"the key, or the row as JSON: {exc}")
        return Parcel((row.line, row.line), 1, self._id(row.line), "" if key is None else str(key), body)

    def _parcel(self, line: int, payload: dict[str, Any]) -> Parcel | Failure:
        try:
            body = _encode(payload)
        except (OverflowError, UnicodeEncodeError, TypeError) as exc:
            return Failure(line, f"the mapping made something that is no JSON: {exc}")
        return Parcel((line, line), 1, self._id(line), payload.get("profile", {}).get("id", ""), body)

    def _joined(self, rows: list[tuple[int, dict[str, Any]]]) -> Parcel | Failure:
        parts = [self._parcel(line, payload) for line, payload in rows]
        if len(parts) == 1:
            return parts[0]
        good = [part for part in parts if isinstance(part, Parcel)]
        if len(good) < len(parts):
            return next(part for part in parts if isinstance(part, Failure))
        first = rows[0][1]
        # the ids that the events would have got from payloads of their own
        events = [
            {"id": derived("event", part.id, str(place)), **event}
            for part, (_, payload) in zip(good, rows, strict=True)
            for place, event in enumerate(payload["events"])
        ]
        body = _encode({**first, "events": events})
        return Parcel((rows[0][0], rows[-1][0]), len(rows), good[0].id, good[0].key, body, tuple(good))

    def _id(self, line: int) -> str:
        return derived("send", self._source, self._name, str(line))


def _profile_id(value: Any, _: Mapping[str, Any]) -> Any:
    profile = value.get("profile") if isinstance(value, dict) else None
    return profile.get("id") if isinstance(profile, dict) else None


def _same_but_events(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both may share a payload: the same but for events; an id of its own keeps a row apart."""
    if "profile" not in one or "id" in one or "id" in other:
        return False
    return one.keys() == other.keys() and all(one[key] == other[key] for key in one if key != "events")
