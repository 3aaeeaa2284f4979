"""Which indices there are, and what of a document is indexed. Nothing that a customer sends can change a mapping."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import msgspec
from elastic_transport import ObjectApiResponse, TransportError
from elasticsearch import ApiError, Elasticsearch, NotFoundError

from hub.model import OUTLIERS
from hub.search_engine import Layout
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

_PRIORITY: Final = 500
_AT_ONCE: Final = 50
"""Indices of one request: their names are in its URL."""
_COMMON: Final = "common"
_GROWING: Final = "searched"
_LAID_OUT: Final = "laid-out"
"""A component of no use but to say, as the last one, that all the rest is as it should be."""

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


def events_index(partition: str) -> str:
    """`events-2026-11` for the time partition `2026-11`."""
    return f"{EVENTS}-{partition}"


def partition_of_index(name: str) -> str:
    """The time partition of an index of events. Args: name: with or without the namespace."""
    return name.rpartition(f"{EVENTS}-")[2]


def prepare(engine: Engine, layout: Layout) -> None:
    """
    Put the templates, make the fixed indices that are not there, and tell the others of new columns. Most find that
    somebody has done so before.

    Raises: Unavailable, Refused.
    """
    components = {
        _COMMON: {"number_of_replicas": layout.copies, "refresh_interval": f"{layout.refresh_ms}ms"},
        _GROWING: {"number_of_shards": layout.shards},
    }
    templates = {name: _template(engine, name) for name in (*FIXED, EVENTS)}
    digest = hashlib.sha256(msgspec.json.encode([components, templates])).hexdigest()
    there = aliases(engine)
    if _laid_out(engine) == digest and all(engine.index(name) in there for name in FIXED):
        return
    has_events = any(engine.index(EVENTS) in own for own in there.values())

    def put_component(name: str, **about: Any) -> None:
        asked(engine, lambda client: client.cluster.put_component_template(name=engine.index(name), **about))

    def put(name: str) -> None:
        asked(engine, lambda client: client.indices.put_index_template(name=engine.index(name), **templates[name]))
        if name != EVENTS and engine.index(name) not in there:
            engine.make_index(name)
        elif name in COLUMNS and (name != EVENTS or has_events):
            of = engine.index(name)
            asked(engine, lambda client: client.indices.put_mapping(index=of, properties=COLUMNS[name]))

    for name, settings in components.items():
        put_component(name, template={"settings": {"index": settings}})
    # each of these waits for all nodes of the cluster: at once it takes as long as one of them
    with ThreadPoolExecutor(len(FIXED) + 1) as pool:
        list(pool.map(put, templates))
    put_component(_LAID_OUT, template={}, meta={"digest": digest})


def aliases(engine: Engine) -> dict[str, list[str]]:
    """By the full name of each index of the generation, its aliases. Raises Unavailable, Refused."""
    found = asked(engine, lambda client: client.indices.get_alias(index=f"{engine.generation}-*"))
    months = engine.index(f"{EVENTS}-")
    own = {engine.index(name) for name in FIXED}
    # another namespace may begin as this one does
    return {
        name: list(about["aliases"])
        for name, about in found.items()
        if name in own or (name.startswith(months) and engine.index(EVENTS) in about["aliases"])
    }


def remove(engine: Engine) -> None:
    """
    Remove the generation: all of its indices, with what is in them, and templates. Nobody may use it meanwhile.
    Whatever interrupts it, it can be done again.

    Raises: Unavailable, Refused.
    """
    asked_of(engine, aliases(engine), lambda some, client: client.indices.delete(index=some, ignore_unavailable=True))
    for name in (*FIXED, EVENTS):
        asked_or_gone(engine, partial(engine.layouts.indices.delete_index_template, name=engine.index(name)))
    for name in (_LAID_OUT, _GROWING, _COMMON):
        asked_or_gone(engine, partial(engine.layouts.cluster.delete_component_template, name=engine.index(name)))


def _laid_out(engine: Engine) -> str:
    """What `prepare` has done last; empty: nothing yet."""
    try:
        found = engine.client.cluster.get_component_template(name=engine.index(_LAID_OUT)).body
    except NotFoundError:
        return ""
    except (TransportError, ApiError) as exc:
        raise engine.translated(exc) from exc
    return str(found["component_templates"][0]["component_template"].get("_meta", {}).get("digest", ""))


def asked(engine: Engine, ask: Callable[[Elasticsearch], ObjectApiResponse[Any]]) -> dict[str, Any]:
    """The answer to what is about indices or templates. Raises Unavailable, Refused."""
    try:
        body: dict[str, Any] = ask(engine.layouts).body
    except (TransportError, ApiError) as exc:
        raise engine.translated(exc) from exc
    return body


def asked_of(
    engine: Engine, names: Iterable[str], ask: Callable[[str, Elasticsearch], ObjectApiResponse[Any]]
) -> list[dict[str, Any]]:
    """
    The answers about these indices, some at a time, in the order of their names. Raises Unavailable, Refused.

    Args: names: full. ask: about these, with commas between them.
    """
    ordered = sorted(names)
    parts = (",".join(ordered[first : first + _AT_ONCE]) for first in range(0, len(ordered), _AT_ONCE))
    return [asked(engine, partial(ask, some)) for some in parts]


def asked_or_gone(engine: Engine, ask: Callable[[], ObjectApiResponse[Any]]) -> dict[str, Any]:
    """The answer; empty if what it is about is not there. Raises Unavailable, Refused."""
    try:
        body: dict[str, Any] = ask().body
    except NotFoundError:
        return {}
    except (TransportError, ApiError) as exc:
        raise engine.translated(exc) from exc
    return body


def _template(engine: Engine, name: str) -> dict[str, Any]:
    is_searched = name in COLUMNS and name != ROWS
    return {
        "index_patterns": _patterns(engine, name),
        "composed_of": [engine.index(one) for one in ((_COMMON, _GROWING) if is_searched else (_COMMON,))],
        "priority": _PRIORITY,
        "template": {
            "mappings": _mapping(name),
            "aliases": {engine.index(EVENTS): {}} if name == EVENTS else {},
            "settings": _settings(name),
        },
    }


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
