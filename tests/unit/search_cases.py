"""What the search engine's queries say of a document, worked out here: for tests that need no server."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hub.conditions.ast import Condition
from hub.conditions.patterns import wildcard
from hub.store.elastic.dsl import compile_dsl
from hub.store.elastic.facts import facts
from hub.store.elastic.tokens import FACTS, LONGEST


def in_search(condition: Condition, document: Any) -> tuple[bool, bool]:
    """Whether a document is surely found, and whether it may be. Args: condition: on profiles, settled."""
    found = frozenset(facts(document, "profiles"))
    search = compile_dsl(condition, "profiles")
    return is_found(search.sure, found), is_found(search.maybe, found)


def is_found(query: dict[str, Any], tokens: Collection[str]) -> bool:
    """Whether an engine that orders tokens by their bytes finds a document that has these."""
    ((name, body),) = query.items()
    if name in {"match_all", "match_none"}:
        return name == "match_all"
    if name == "bool":
        should = [is_found(one, tokens) for one in body.get("should", [])]
        return (
            all(is_found(one, tokens) for one in body.get("filter", []))
            and not any(is_found(one, tokens) for one in body.get("must_not", []))
            and sum(should) >= body.get("minimum_should_match", 0)
        )
    asked = body[FACTS]
    if name == "term":
        return asked in tokens
    if name == "terms":
        return any(one in tokens for one in asked)
    if name == "wildcard":
        parts = _parts(asked["value"])
        return any(parts[0] == token if len(parts) == 1 else wildcard(parts)(token) for token in tokens)
    assert name == "range", name
    return any(all(_ORDERS[order](token, edge) for order, edge in asked.items()) for token in tokens)


def is_plain(value: Any, *, is_item: bool = False) -> bool:
    """Whether exact queries are so: there is no list within an item of a list, and no text that is cut."""
    if isinstance(value, list):
        return not is_item and all(is_plain(item, is_item=True) for item in value)
    if isinstance(value, dict):
        return all(is_plain(inner, is_item=is_item) for inner in value.values())
    return not isinstance(value, str) or len(value) <= LONGEST


_ORDERS = {
    "lt": lambda one, other: one.encode() < other.encode(),
    "lte": lambda one, other: one.encode() <= other.encode(),
    "gt": lambda one, other: one.encode() > other.encode(),
    "gte": lambda one, other: one.encode() >= other.encode(),
}


def _parts(pattern: str) -> tuple[str, ...]:
    parts, characters = [""], iter(pattern)
    for character in characters:
        if character == "*":
            parts.append("")
        else:
            assert character != "?"
            parts[-1] += next(characters) if character == "\\" else character
    return tuple(parts)
