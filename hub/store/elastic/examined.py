"""What an operator should know of the cluster before a hub runs on it, and while one does."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from elastic_transport import TransportError
from elasticsearch import ApiError

from hub.store.elastic.client import Engine
from hub.store.elastic.indices import aliases

_SHOWN: Final = 5


class Examined(NamedTuple):
    """`what`: there is. `wrong`: how to mend what is not as it should be; empty: nothing."""

    what: str
    wrong: str = ""


def examine(engine: Engine) -> Examined:
    """Look, and change nothing. Raises Unavailable, Refused."""
    client = engine.client
    try:
        nodes: dict[str, Any] = client.nodes.info(filter_path="nodes.*.version").body
        health: dict[str, Any] = client.cluster.health().body
    except (TransportError, ApiError) as exc:
        raise engine.translated(exc) from exc
    versions = sorted({node["version"] for node in nodes["nodes"].values()})
    there = aliases(engine)
    what = (
        f"{engine.place}: {len(nodes['nodes'])} nodes of version {', '.join(versions)}, {health['status']}; "
        f"{len(there)} indices of {engine.namespace}"
    )
    if blocked := _blocked(engine) if there else []:
        if why := engine.why_blocked():
            return Examined(what, why.detail)
        return Examined(
            what, f"Nobody may write to {', '.join(blocked[:_SHOWN])}: free disk space, or take index.blocks away"
        )
    if health["status"] == "red":
        return Examined(what, "Some shards are not there: see GET _cluster/allocation/explain")
    return Examined(what)


def _blocked(engine: Engine) -> list[str]:
    """Indices of the namespace that nobody may write to."""
    names = ",".join(aliases(engine))
    try:
        found = engine.client.indices.get_settings(index=names, filter_path="*.settings.index.blocks").body
    except (TransportError, ApiError) as exc:
        raise engine.translated(exc) from exc
    return sorted(
        name
        for name, one in found.items()
        if any(str(on) == "true" for on in one["settings"]["index"]["blocks"].values())
    )
