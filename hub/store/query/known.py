"""The fields that documents of a kind have, as far as that is known beforehand; the nearest one for a hint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, Final, NamedTuple

from hub.conditions.times import has_clock, read_time
from hub.definitions.shape import EVENT, PROFILE, Shape
from hub.model import DeadLetter, Position
from hub.pipeline.documents import (
    EventDocument,
    EventMetadata,
    EventTime,
    Place,
    Result,
    Tags,
    new_profile,
    new_session,
)
from hub.store.documents import dead_letter_document
from hub.store.port import Kind

_NEAR: Final = 0.72
"""How alike two names are at least for one to be taken for a slip of the other; 1 is the same."""
_ADDED: Final[dict[Kind, frozenset[str]]] = {
    # what is in no document at first
    "profiles": frozenset({"devices", "geo", "aux"}),
    "sessions": frozenset({"device", "os", "app", "utm", "hit", "traits", "data", "aux", "raw", "tags", "options"}),
    "events": frozenset({"session", "aux", "geo"}),
    "dead-letters": frozenset(),
}
_DATA: Final[dict[Kind, Mapping[str, Shape]]] = {
    "events": {"data": EVENT["data"]},
    "profiles": {"data": PROFILE["data"]},
}


INDEXED: Final[dict[Kind, frozenset[str]]] = {
    "profiles": frozenset({"id"}),
    "events": frozenset({"id", "type", "profile.id", "session.id", "metadata.time.create"}),
    "sessions": frozenset({"id", "profile.id"}),
    "dead-letters": frozenset({"id", "status"}),
}
"""Fields that have an index of their own (docs/query.md)."""
_MOST_FIELDS: Final = 2_000
_PLAIN: Final = re.compile(r"[^\s.@=!<>~≠()\[\],\"'`]+")


class Known(NamedTuple):
    """
    A field by its dotted path. `type`: text, number, boolean, time, list, object; "" where it may be anything.

    `indexed`: a search for it is quick however much there is.
    """

    name: str
    type: str
    indexed: bool = False


@cache
def tops(kind: Kind) -> frozenset[str]:
    """The keys that a document of this kind may have at its top."""
    return frozenset(_samples()[kind]) | _ADDED[kind]


@cache
def known(kind: Kind) -> tuple[Known, ...]:
    """Fields that can be searched in documents of this kind, whatever came in."""
    found = {one.name: one for one in (*_leaves(_samples()[kind], ""), *_shaped(_DATA.get(kind, {}), ""))}
    return tuple(found[name] for name in sorted(found))


def fields_of(kind: Kind, sample: Iterable[Mapping[str, Any]]) -> list[Known]:
    """Fields that can be searched, by name: those known beforehand, and what is in a sample of documents."""
    found = {one.name: one for document in sample for one in islice(_leaves(document, ""), _MOST_FIELDS)}
    for one in known(kind):
        if one.type or one.name not in found:
            found[one.name] = one
    unsearched = {"body", "body_base64", "body_truncated"} if kind == "dead-letters" else set()
    return [found[name]._replace(indexed=name in INDEXED[kind]) for name in sorted(found) if name not in unsearched][
        :_MOST_FIELDS
    ]


def near(path: tuple[str, ...], kind: Kind) -> str:
    """The dotted path that was probably meant, where this one cannot be in a document of this kind; else ""."""
    if path[0] not in tops(kind):
        found = _nearest(path[0], tops(kind))
        return ".".join((found, *path[1:])) if found else ""
    shape: Shape = _DATA.get(kind, {})
    for depth, key in enumerate(path):
        if isinstance(shape, str):
            return ""
        if key not in shape:
            # what the schema does not have is kept: only what can hardly be a name of its own is a slip
            found = next((one for one in shape if sorted(one) == sorted(key.lower())), "") if depth else ""
            return ".".join((*path[:depth], found, *path[depth + 1 :])) if found else ""
        shape = shape[key]
    return ""


def _nearest(name: str, names: Collection[str]) -> str:
    found = difflib.get_close_matches(name.lower(), sorted(names), 1, _NEAR)
    return found[0] if found else ""


@cache
def _samples() -> dict[Kind, dict[str, object]]:
    """A document of each kind, or the names in it: what there is no sample of, is None."""
    text, number, flag = "", 0, True
    time = {"insert": _TIME, "create": _TIME, **_rest(EventTime, "insert", "create")} | {"hour": number, "zone": text}
    metadata = _rest(EventMetadata, "time") | {
        **dict.fromkeys(("payload_id", "client_id", "origin", "sent_as", "forwarded_for", "channel"), text),
        "profile_less": flag,
        "definitions": number,
        "flags": [],
        "position": dict.fromkeys(Place.__struct_fields__, number),
        "time": time,
    }
    event = _rest(EventDocument) | {
        "id": text,
        "type": text,
        "name": text,
        "metadata": metadata,
        **{key: {"id": text} for key in ("source", "profile", "session")},
        "tags": _rest(Tags) | {"values": [], "count": number},
        "outcome": _rest(Result) | {"profile_version": number, "profile_created": flag},
        "journey": {"state": text},
    }
    letter = DeadLetter(
        id="",
        source="",
        reason="",
        detail="",
        stage="",
        origin="",
        at_ms=0,
        attempts=0,
        body=b"",
        body_sha256=None,
        body_size=0,
        headers=b"{}",
        position=Position(0, 0, 0, 0),
    )
    return {
        "events": event,
        "profiles": new_profile("", _TIME),
        "sessions": new_session("", "", _TIME, ""),
        "dead-letters": dead_letter_document(letter),
    }


_TIME: Final = "2026-01-01T00:00:00.000Z"


def _rest(struct: type, *but: str) -> dict[str, object]:
    names: tuple[str, ...] = getattr(struct, "__struct_fields__", ())
    return {name: None for name in names if name not in but}


def _leaves(value: object, path: str) -> Iterator[Known]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            written = _written(key)
            yield from _leaves(inner, f"{path}.{written}" if path else written)
    elif path:
        yield Known(path, type_of(value))


def _written(key: str) -> str:
    """A key as a query names it."""
    return key if _PLAIN.fullmatch(key) else f'"{key}"'.replace("\\", "\\\\") if '"' not in key else f"`{key}`"


def _shaped(shape: Shape, path: str) -> Iterator[Known]:
    if isinstance(shape, str):
        yield Known(path, _SHAPED.get(shape, ""))
        return
    for key, inner in shape.items():
        yield from _shaped(inner, f"{path}.{key}" if path else key)


_SHAPED: Final = {"a text": "text", "a number": "number", "a list": "list", "true or false": "boolean"}


def type_of(value: object) -> str:
    """Of a value of a document, as `Known` names it."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "time" if has_clock(value) and read_time(value) is not None else "text"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return "list"
    return "object" if isinstance(value, Mapping) else ""
