"""
The store on Elasticsearch 8 and 9 or OpenSearch 2 and 3.

Whoever only compiles a condition (`dsl`) does not load the client, which takes a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hub.store.elastic.store import ElasticStore

__all__ = ["ElasticStore"]


def __getattr__(name: str) -> Any:
    if name != "ElasticStore":
        raise AttributeError(name)
    from hub.store.elastic.store import ElasticStore  # noqa: PLC0415 - only who opens one

    return ElasticStore
