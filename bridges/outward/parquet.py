"""Messages as Parquet files: columns, their types, and what does not fit into them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from bridges.outward.base import Message, Rejected, Span
from hub.edge.times import time_ms
from hub.errors import InvalidPayload

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError as exc:
    raise ImportError(f"Parquet files need pyarrow, pip install 'thamesthrive-hub[parquet]' brings it ({exc})") from exc

Kind: TypeAlias = Literal["string", "integer", "number", "boolean", "timestamp"]
Compression: TypeAlias = Literal["zstd", "snappy", "gzip", "none"]

INTEGERS: Final = range(-(2**63), 2**63)
TYPES: Final[Mapping[str, pa.DataType]] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("ms", tz="UTC"),
}
OURS: Final[Mapping[str, Kind]] = {
    "type": "string",
    "time": "timestamp",
    "profile_id": "string",
    "session_id": "string",
    "source": "string",
    "properties": "string",
    "document": "string",
}
"""Columns beside the event's id of files that get whole events."""
_encode: Final = msgspec.json.Encoder().encode


class Table(NamedTuple):
    """Columns of a file: their values by name, in the order of `columns`. `messages`: those that are in it."""

    columns: Mapping[str, Kind]
    values: Mapping[str, list[Any]]
    messages: list[Message]


def table(messages: Sequence[Message], id: str, columns: Mapping[str, Kind]) -> tuple[Table, list[Rejected]]:
    """
    A row a message, in their order; and those of which none can be made.

    Args:
        id: Name of the column for the event's id.
        columns: By name, the mapping's fields; empty: OURS, of whole events.
    """
    kinds: dict[str, Kind] = {id: "string", **(columns or OURS)}
    values: dict[str, list[Any]] = {name: [] for name in kinds}
    fit: list[Message] = []
    rejected: list[Rejected] = []
    for place, message in enumerate(messages):
        try:
            row = _mapped(message, columns) if columns else _whole(message)
        except InvalidPayload as exc:
            rejected.append(Rejected(place, exc.detail))
            continue
        values[id].append(message.id)
        for name, value in row.items():
            values[name].append(value)
        fit.append(message)
    return Table(kinds, values, fit), rejected


def encoded(made: Table, places: Sequence[int], span: Span, compression: Compression) -> bytes:
    """A file of some rows. Args: places: of them, from 0. The same rows of the same span give the same bytes."""
    fields = [pa.field(name, TYPES[kind]) for name, kind in made.columns.items()]
    about = {"hub.topic": span.topic, "hub.partition": span.partition, "hub.first": span.first, "hub.end": span.end}
    schema = pa.schema(fields, metadata={name: str(value) for name, value in about.items()})
    arrays = [
        pa.array([made.values[field.name][place] for place in places], type=field.type, from_pandas=False)
        for field in fields
    ]
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_arrays(arrays, schema=schema), sink, compression=compression)
    return bytes(sink.getvalue().to_pybytes())


def _whole(message: Message) -> dict[str, Any]:
    content = message.content if isinstance(message.content, dict) else {}  # a flow sends what it likes
    session = content.get("session")
    return {
        "type": message.type,
        "time": message.time_ms,
        "profile_id": message.profile_id or None,
        "session_id": str(session["id"]) if isinstance(session, dict) and "id" in session else None,
        "source": message.source,
        "properties": _encode(content.get("properties", {})).decode(),
        "document": message.body.decode(),
    }


def _mapped(message: Message, columns: Mapping[str, Kind]) -> dict[str, Any]:
    """Raises InvalidPayload."""
    content = message.content
    if not isinstance(content, dict):
        raise InvalidPayload(
            "mapping_failed", f"the mapping has to make an object with the fields {', '.join(columns)}"
        )
    row = {}
    for name, kind in columns.items():
        value = content.get(name)
        try:
            row[name] = None if value is None else _AS[kind](value)
        except (TypeError, ValueError, OverflowError, InvalidPayload) as exc:
            raise InvalidPayload(
                "mapping_failed", f"column {name}: {value!r:.80} is no {kind}: change the mapping or settings.columns"
            ) from exc
    return row


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()


def _integer(value: Any) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or value != int(value)
        or int(value) not in INTEGERS
    ):
        raise ValueError(value)
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    return float(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _timestamp(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(value)
    return time_ms(value, "timestamp")


_AS: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    "string": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "timestamp": _timestamp,
}
