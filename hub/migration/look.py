"""What a cluster has, before anything is done: installations, their indices, how many documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from hub.errors import Unavailable
from hub.imports.elastic import Asked
from hub.migration.installation import DEFINED, LEFT, OWN, TIMED, Index, Installation, installations
from hub.migration.profiles import newest_ms

MOST_COPIES: Final = 10_000
"""Hits of one search, as the cluster allows them."""
MOST_DEFINITIONS: Final = 10_000


class Copy(NamedTuple):
    """A document of an id that is looked for. `within`: its index. `newest_ms`: when it was changed last."""

    within: str
    newest_ms: int


def found_in(asked: Asked) -> list[Installation]:
    """The installations of a cluster. Raises Refused, Unavailable."""
    pattern = "*.tracardi-*,*.thamesthrive-*"
    return installations(asked.ask(f"/{pattern}/_alias?expand_wildcards=open&ignore_unavailable=true"))


def count(asked: Asked, index: Index) -> int:
    """Its documents. Raises Refused, Unavailable."""
    return int(asked.ask(f"/{quote(index.name)}/_count")["count"])


def layout(asked: Asked, installation: Installation) -> str:
    """How its profiles are laid out, as their mapping says: `data`, as from 0.8.2 on, or `pii`. Raises as `count`."""
    for index in reversed(installation.of("profile")):
        answer = asked.ask(
            f"/{quote(index.name)}/_mapping?filter_path=*.mappings.properties.*.type,*.mappings.properties.*.dynamic"
        )
        fields = _properties(answer)
        return "pii" if "pii" in fields and "data" not in fields else "data"
    return ""


def what_of(index: Index) -> str:
    """What becomes of an index: `taken`, `definitions`, or why it is left."""
    if index.kind in TIMED:
        return "taken"
    return "definitions" if index.kind in DEFINED else LEFT.get(index.kind, OWN)


def copies(asked: Asked, indices: Sequence[Index], ids: Sequence[str]) -> dict[str, list[Copy]]:
    """
    By id, where documents of these ids are, if in several indices: the predecessor may have one more than once, as it
    looked for it in its newest index alone.

    Args: indices: of one kind. Raises Refused, Unavailable.
    """
    if len(indices) < 2 or not ids:
        return {}
    found: dict[str, list[Copy]] = {}
    # so that no answer is cut off: an id is in each index once at most
    step = max(1, MOST_COPIES // len(indices))
    for begin in range(0, len(ids), step):
        among = list(ids[begin : begin + step])
        for hit in _hits(asked, indices, among):
            copy = Copy(hit["_index"], newest_ms(hit.get("_source", {})))
            found.setdefault(hit["_id"], []).append(copy)
    return {id: there for id, there in found.items() if len(there) > 1}


def documents(asked: Asked, indices: Iterable[Index]) -> list[tuple[str, dict[str, Any]]]:
    """All of small indices: id and JSON object. Raises Refused, Unavailable."""
    found = []
    for index in indices:
        body = {"size": MOST_DEFINITIONS, "query": {"match_all": {}}, "sort": ["_doc"]}
        answer = asked.ask(f"/{quote(index.name)}/_search", body)
        found += [(hit["_id"], hit["_source"]) for hit in answer["hits"]["hits"]]
    return sorted(found, key=lambda one: one[0])


def values(asked: Asked, indices: Sequence[Index], field: str) -> list[str]:
    """The values of a keyword field, the most frequent first. Raises Refused, Unavailable."""
    if not indices:
        return []
    body = {"size": 0, "aggs": {"all": {"terms": {"field": field, "size": 1_000}}}}
    answer = asked.ask(f"/{_names(indices)}/_search", body)
    return [str(bucket["key"]) for bucket in answer["aggregations"]["all"]["buckets"]]


def _hits(asked: Asked, indices: Sequence[Index], ids: Sequence[str]) -> list[dict[str, Any]]:
    body = {
        "size": MOST_COPIES,
        "query": {"ids": {"values": list(ids)}},
        "_source": ["metadata.time.update", "metadata.time.insert"],
        "track_total_hits": False,
    }
    answer = asked.ask(f"/{_names(indices)}/_search", body)
    if answer.get("timed_out") or answer.get("_shards", {}).get("failed", 0):
        raise Unavailable("import", "the predecessor's indices cannot be searched in full now")
    hits: list[dict[str, Any]] = answer["hits"]["hits"]
    return hits


def _names(indices: Sequence[Index]) -> str:
    return ",".join(quote(index.name) for index in indices)


def _properties(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    for one in answer.values():
        found: Mapping[str, Any] = one.get("mappings", {}).get("properties", {})
        return found
    return {}
