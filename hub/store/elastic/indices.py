"""Which indices there are, and what of a document is indexed. Nothing that a customer sends can change a mapping."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from elastic_transport import TransportError
from elasticsearch import ApiError

from hub.errors import Unavailable
from hub.model import OUTLIERS
from hub.store.elastic import rows
from hub.store.elastic.client import Engine

PROFILES: Final = "profiles"
SESSIONS: Final = "sessions"
EVENTS: Final = "events"
"""The alias of all events; the index of one time partition is `events_index`."""
LETTERS: Final = "dead-letters"
ROWS: Final = "rows"
BATCHES: Final = "batches"
BLOBS: Final = "blobs"
FIXED: Final = (PROFILES, SESSIONS, LETTERS, ROWS, BATCHES, BLOBS)
"""Those that are there from the beginning; one of a time partition is made with its first event."""

ALIVE: Final[dict[str, Any]] = {"bool": {"must_not": {"exists": {"field": "gone"}}}}
"""
A query: documents that are there. What was removed stays as `{"gone": true, "at": …}`, so that somebody who comes late
with an older batch does not write it again; every search has to leave those out.
"""

_REFRESH: Final = "1s"
_PRIORITY: Final = 500

_KEYWORD: Final = {"type": "keyword"}
_LONG: Final = {"type": "long"}
_BOOLEAN: Final = {"type": "boolean"}
_EVERY: Final[dict[str, Any]] = {"gone": _BOOLEAN, "cause": _KEYWORD, "seq": _LONG}
"""
Of every document that is searched. `cause`: id of the order because of which it is gone, or not what it was. `seq`: its
running number, by the order in which documents were made. Not indexed, and in every one: `at`, the number of the batch
that wrote it last.
"""
_SEARCHED: Final[dict[str, Any]] = {**_EVERY, "id": _KEYWORD, "facts": {"type": "keyword", "ignore_above": 8_000}}
"""Not indexed: `doc`, the hub's document as text. `facts`: of the module of this name; not kept in `_source`."""

COLUMNS: Final[dict[str, dict[str, Any]]] = {
    # into: of a profile that was merged, and is gone: where it went
    PROFILES: {
        **_SEARCHED,
        "version": _LONG,
        "began_ms": _LONG,
        "segments": _KEYWORD,
        "due_ms": _LONG,
        "merged": _KEYWORD,
        "into": _KEYWORD,
    },
    SESSIONS: {**_SEARCHED, "version": _LONG, "began_ms": _LONG, "profile_id": _KEYWORD},
    EVENTS: {
        **_SEARCHED,
        "profile_id": _KEYWORD,
        "session_id": _KEYWORD,
        "type": _KEYWORD,
        "source": _KEYWORD,
        "time_ms": _LONG,
        "received_at_ms": _LONG,
        "profile_version": _LONG,
        "copied": _BOOLEAN,
    },
    LETTERS: {
        **_SEARCHED,
        "at_ms": _LONG,
        "source": _KEYWORD,
        "reason": _KEYWORD,
        "status": _KEYWORD,
        "body_sha256": _KEYWORD,
    },
    # of all small tables together; a row has those of its own table
    ROWS: {
        **rows.PROPERTIES,
        **_EVERY,
        "table": _KEYWORD,
        "key": _KEYWORD,
        "epoch": _LONG,
        "partition": _LONG,
        "first": _LONG,
        "next": _LONG,
        "at_ms": _LONG,
        "number": _LONG,
        "source": _KEYWORD,
        "minute": _LONG,
        "received": _LONG,
        "stored": _LONG,
        "duplicate": _LONG,
        "dropped": _LONG,
        "dead": _LONG,
        "off": _BOOLEAN,
        "profile_id": _KEYWORD,
        "event_id": _KEYWORD,
        "loser_id": _KEYWORD,
        "survivor_id": _KEYWORD,
        "version": _LONG,
        "undone": _BOOLEAN,
        "asked": _KEYWORD,
        "asker": _KEYWORD,
        "mark": _KEYWORD,
        "since_ms": _LONG,
        "until_ms": _LONG,
        "open": _BOOLEAN,
    },
}
"""By index, what is indexed, with its type. All else of a document is kept, and not indexed."""


class Layout(NamedTuple):
    """How new indices are laid out. `shards`: of those that grow; `copies`: of each shard, beside the first."""

    shards: int = 1
    copies: int = 1


def events_index(partition: str) -> str:
    """`events-2026-11` for the time partition `2026-11`."""
    return f"{EVENTS}-{partition}"


def partition_of_index(name: str) -> str:
    """The time partition of an index of events. Args: name: with or without the namespace."""
    return name.rpartition(f"{EVENTS}-")[2]


def prepare(engine: Engine, layout: Layout) -> None:
    """
    Put the templates, make the fixed indices that are not there, and tell the others of new columns.

    Raises: Unavailable, Refused.
    """
    common, searched = f"{engine.namespace}-common", f"{engine.namespace}-searched"
    client = engine.client
    try:
        client.cluster.put_component_template(
            name=common,
            template={"settings": {"index": {"number_of_replicas": layout.copies, "refresh_interval": _REFRESH}}},
        )
        client.cluster.put_component_template(
            name=searched, template={"settings": {"index": {"number_of_shards": layout.shards}}}
        )
        there = client.indices.get(index=f"{engine.namespace}-*", filter_path="*.aliases").body
    except (TransportError, ApiError) as exc:
        raise engine.translated(exc) from exc

    has_events = any(engine.index(EVENTS) in one.get("aliases", {}) for one in there.values())

    def put(name: str) -> None:
        is_searched = name in COLUMNS and name != ROWS
        _put_template(engine, name, [common, searched] if is_searched else [common])
        if name != EVENTS and engine.index(name) not in there:
            engine.make_index(name)
        elif name in COLUMNS and (name != EVENTS or has_events):
            _add_columns(engine, name)

    # each of these waits for all nodes of the cluster: at once it takes as long as one of them
    with ThreadPoolExecutor(len(FIXED) + 1) as pool:
        list(pool.map(put, (*FIXED, EVENTS)))


def require(engine: Engine) -> None:
    """Raises Unavailable for a reader of a namespace that no writer has prepared yet."""
    try:
        is_there = bool(engine.client.indices.exists(index=engine.index(BATCHES)))
    except (TransportError, ApiError) as exc:
        raise engine.translated(exc) from exc
    if not is_there:
        raise Unavailable(
            "store", f"{engine.place} has no indices of {engine.namespace} yet: the collector makes them when it starts"
        )


def _put_template(engine: Engine, name: str, components: list[str]) -> None:
    try:
        engine.client.indices.put_index_template(
            name=f"{engine.namespace}-{name}",
            index_patterns=_patterns(engine, name),
            composed_of=components,
            priority=_PRIORITY,
            template={
                "mappings": _mapping(name),
                "aliases": {engine.index(EVENTS): {}} if name == EVENTS else {},
                "settings": _settings(name),
            },
        )
    except (TransportError, ApiError) as exc:
        raise engine.translated(exc) from exc


def _patterns(engine: Engine, name: str) -> list[str]:
    if name != EVENTS:
        return [engine.index(name)]
    # a bare * would take the indices of a namespace whose name begins with this one's
    return [engine.index(events_index(one)) for one in (OUTLIERS, *(f"{digit}*" for digit in range(1, 10)))]


def _mapping(name: str) -> dict[str, Any]:
    if name not in COLUMNS:
        return {"enabled": False}
    columns = COLUMNS[name]
    kept = {"_source": {"excludes": ["facts"]}} if "facts" in columns else {}
    return {"dynamic": False, **kept, "properties": columns}


def _settings(name: str) -> dict[str, Any]:
    if name == BATCHES:
        # the head has to be on the shard of the journal, and nobody searches it
        return {"index": {"number_of_shards": 1, "refresh_interval": "-1"}}
    if name in (ROWS, BLOBS):
        return {"index": {"number_of_shards": 1}}
    return {}


def _add_columns(engine: Engine, name: str) -> None:
    try:
        engine.client.indices.put_mapping(index=engine.index(name), properties=COLUMNS[name])
    except (TransportError, ApiError) as exc:
        raise engine.translated(exc) from exc
