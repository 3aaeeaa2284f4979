"""Queries of the engine, joined; each with the one that finds too little and the one that finds too much."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from hub.store.elastic import tokens
from hub.store.elastic.ranges import Values, after

Query: TypeAlias = dict[str, Any]

EVERYTHING: Final[Query] = {"match_all": {}}
NOTHING: Final[Query] = {"match_none": {}}


class Bounds(NamedTuple):
    """
    Of what is asked for.

    Attributes:
        sure: Finds nothing else.
        maybe: Finds all of it.
        is_exact: They find the same, but for lists within lists and texts that were cut.
    """

    sure: Query
    maybe: Query
    is_exact: bool = True


ALWAYS: Final = Bounds(EVERYTHING, EVERYTHING)
NEVER: Final = Bounds(NOTHING, NOTHING)


def exactly(query: Query) -> Bounds:
    """What one query finds."""
    return Bounds(query, query)


def at_most(query: Query) -> Bounds:
    """Some of what it finds; nobody knows which."""
    return Bounds(NOTHING, query, is_exact=query == NOTHING)


def but_rarely(one: Bounds, more: Query) -> Bounds:
    """The same, and perhaps some of what this query finds, which is hardly ever anything."""
    return Bounds(one.sure, any_of([one.maybe, more]), one.is_exact)


def all_met(parts: Iterable[Bounds]) -> Bounds:
    """What is in each."""
    found = list(parts)
    return Bounds(
        all_of([one.sure for one in found]), all_of([one.maybe for one in found]), all(one.is_exact for one in found)
    )


def any_met(parts: Iterable[Bounds]) -> Bounds:
    """What is in any."""
    found = list(parts)
    return Bounds(
        any_of([one.sure for one in found]), any_of([one.maybe for one in found]), all(one.is_exact for one in found)
    )


def unmet(one: Bounds) -> Bounds:
    """What is not in it."""
    return Bounds(none_of(one.maybe), none_of(one.sure), one.is_exact)


def loose(one: Bounds) -> Bounds:
    """Some of what it may be."""
    return at_most(one.maybe)


def all_of(queries: list[Query]) -> Query:
    """AND."""
    made: dict[str, list[Query]] = {"filter": [], "must_not": []}
    for query in queries:
        if query == NOTHING:
            return NOTHING
        parts = query.get("bool", {})
        if parts and parts.keys() <= made.keys():
            for name, inner in parts.items():
                made[name] += [one for one in inner if one not in made[name]]
        elif query != EVERYTHING and query not in made["filter"]:
            made["filter"].append(query)
    kept = {name: inner for name, inner in made.items() if inner}
    if not kept:
        return EVERYTHING
    (one,) = made["filter"] if len(made["filter"]) == 1 and len(kept) == 1 else (None,)
    return one if one is not None else {"bool": kept}


def any_of(queries: list[Query]) -> Query:
    """OR; of several terms it makes one query."""
    made: list[Query] = []
    terms: list[str] = []
    for query in queries:
        if query == EVERYTHING:
            return EVERYTHING
        inner = (
            query.get("bool", {}).get("should", [query]) if "minimum_should_match" in query.get("bool", {}) else [query]
        )
        for one in inner:
            if "term" in one:
                terms.append(one["term"][tokens.FACTS])
            elif "terms" in one:
                terms += one["terms"][tokens.FACTS]
            elif one != NOTHING and one not in made:
                made.append(one)
    if terms:
        made.insert(0, term(*dict.fromkeys(terms)))
    if len(made) < 2:
        return made[0] if made else NOTHING
    return {"bool": {"should": made, "minimum_should_match": 1}}


def none_of(query: Query) -> Query:
    """NOT."""
    if query == EVERYTHING:
        return NOTHING
    if query == NOTHING:
        return EVERYTHING
    parts = query.get("bool", {})
    if parts.keys() == {"must_not"} and len(parts["must_not"]) == 1:
        turned: Query = parts["must_not"][0]
        return turned
    return {"bool": {"must_not": [query]}}


def size(query: Query) -> tuple[int, int]:
    """How many clauses it has, and how deep they lie in each other."""
    parts = query.get("bool", {})
    inner = [size(one) for name in ("filter", "must_not", "should") for one in parts.get(name, ())]
    return sum(clauses for clauses, _ in inner) + 1, max((depth for _, depth in inner), default=0) + 1


def term(*found: str) -> Query:
    """That a document has one of these tokens."""
    if len(found) == 1:
        return {"term": {tokens.FACTS: found[0]}}
    return {"terms": {tokens.FACTS: list(found)}} if found else NOTHING


def of_kind(paths: Iterable[str], kinds: Iterable[str]) -> Query:
    """That there is something of one of these kinds at one of the paths."""
    names = tuple(kinds)
    return term(*(f"{tokens.short(path)}:{kind}" for path in paths for kind in names))


def among(paths: tuple[str, ...], kind: str, form: str, values: Values) -> Bounds:
    """
    That a value at one of the paths is one of these.

    Args: kind: of the value. form: what its tokens have behind the `=`.
    """
    if values.is_vague:
        return at_most(of_kind(paths, (kind,)))
    if values.is_all:
        return exactly(of_kind(paths, (kind,)))
    queries: list[Query] = []
    for path in paths:
        start = f"{tokens.short(path)}={form}"
        found = [low for low, high in values.ranges if high == after(low)]
        if found:
            queries.append(term(*(f"{start}{value}" for value in found)))
        queries += [_range(start, low, high) for low, high in values.ranges if high != after(low)]
        queries += [_like(start, parts) for parts in values.patterns]
    made = exactly(any_of(queries))
    if values.patterns:  # the end of a text that was cut is not known
        made = but_rarely(made, of_kind(paths, (tokens.CUT,)))
    return made


def _range(start: str, low: str, high: str | None) -> Query:
    above, below = ("gt", low[:-1]) if low.endswith("\0") else ("gte", low), ("lt", high)
    # behind all values of this form
    end = start[:-1] + chr(ord(start[-1]) + 1) if high is None else start + high
    if high is not None and high.endswith("\0"):
        below, end = ("lte", high), end[:-1]
    return {"range": {tokens.FACTS: {above[0]: start + above[1], below[0]: end}}}


def _like(start: str, parts: tuple[str, ...]) -> Query:
    pattern = "*".join(_literal(part) for part in (start + parts[0], *parts[1:]))
    return {"wildcard": {tokens.FACTS: {"value": pattern}}}


def _literal(text: str) -> str:
    return "".join(f"\\{character}" if character in "\\*?" else character for character in text)
