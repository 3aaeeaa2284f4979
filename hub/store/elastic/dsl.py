"""
A condition as queries of Elasticsearch and OpenSearch, on the tokens of `hub.store.elastic.facts`.

They compare, and that is all: there are no scripts, so that they run on every version of both. What they cannot decide
(regular expressions, one field against another, several fields of one item of a list) they narrow down: `sure` finds
nothing but what holds, `maybe` all of it, and a store asks Python of what lies between.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Final, Literal, NamedTuple, TypeAlias

from msgspec.structs import replace

from hub.conditions.ast import (
    And,
    Atom,
    Compare,
    Condition,
    Dated,
    Field,
    Folded,
    History,
    Holds,
    IsEmpty,
    IsNull,
    Items,
    Not,
    Or,
)
from hub.conditions.documents import replaced
from hub.conditions.keys import HISTORY
from hub.conditions.walk import mapped
from hub.store.elastic import bounds, tokens
from hub.store.elastic.bounds import NEVER, Bounds, Query, all_met, any_met, at_most, exactly, of_kind, unmet
from hub.store.elastic.history import history_bounds
from hub.store.elastic.places import Paths, View, view_of
from hub.store.elastic.tokens import LIST, LISTS, NO_LIST, NULL, THERE
from hub.store.elastic.verdicts import Verdicts, of_items, verdicts
from hub.store.port import Kind

Verdict: TypeAlias = Literal["true", "false", "not true", "not false"]

_TURNED: Final[dict[Verdict, Verdict]] = {
    "true": "false",
    "false": "true",
    "not true": "not false",
    "not false": "not true",
}
_MOST_DIGITS: Final = 4  # keys of digits in one path: each may be a place as well
_MOST_DEPTH: Final = 26  # Elasticsearch takes 30, and a store adds some of its own
_MOST_CLAUSES: Final = 800  # OpenSearch takes 1,024
_ANY_ITEM: Final = (*THERE, NULL)
_UNKNOWN: Final = at_most(bounds.EVERYTHING)


class Search(NamedTuple):
    """
    What to ask the engine for.

    Attributes:
        sure: Finds documents for which the condition holds, and no others.
        maybe: Finds all of them.
        is_exact: What one finds and the other does not are but documents with more than an index takes: texts that
            were cut, lists within lists, far too many fields. Else it may be many.
    """

    sure: Query
    maybe: Query
    is_exact: bool


def compile_dsl(condition: Condition, kind: Kind) -> Search:
    """The queries. Args: condition: as `prepare` gives it for `kind`."""
    found = _Compiler(has_histories=kind == "profiles").fitting(condition)
    wide = bounds.term(tokens.WIDE)
    sure = bounds.all_of([found.sure, bounds.none_of(wide)])
    return Search(sure, bounds.any_of([found.maybe, wide]), found.is_exact)


class _Compiler:
    """A condition is true, false or unknown: what is unknown is neither of both."""

    def __init__(self, *, has_histories: bool) -> None:
        self._history = HISTORY if has_histories else None

    def fitting(self, condition: Condition) -> Bounds:
        """The documents for which it holds; of parts that make more than engines take, nobody knows."""
        found = self.visit(condition, wanted=True)
        if _fits(found):
            return found
        made: list[Bounds] = []
        for part in condition.parts if isinstance(condition, And) else ():
            more = self.visit(part, wanted=True)
            made.append(more if _fits(all_met([*made, more])) else _UNKNOWN)
        return all_met(made) if made else _UNKNOWN

    def visit(self, condition: Condition, *, wanted: bool) -> Bounds:
        """The documents of which the condition has the wanted verdict, true or false."""
        if isinstance(condition, And | Or):
            how = all_met if isinstance(condition, And) is wanted else any_met
            return how(self.visit(part, wanted=wanted) for part in condition.parts)
        if isinstance(condition, Not):
            if condition.or_unknown:
                met = self.visit(condition.part, wanted=True)
                return unmet(met) if wanted else met
            return self.visit(condition.part, wanted=not wanted)
        if isinstance(condition, Items):
            return self._items(condition, wanted=wanted)
        if isinstance(condition.field, History):
            return history_bounds(condition, condition.field, wanted=wanted)
        return self._leaf(condition, condition.field, wanted=wanted)

    def _leaf(self, atom: Atom, place: Field | Folded | Dated, *, wanted: bool) -> Bounds:
        field = _field(place)
        paths = self._paths(field.path)
        if paths is None:
            return _UNKNOWN
        view = view_of(place)
        if isinstance(atom, IsNull | IsEmpty):
            found = view.null(paths) if isinstance(atom, IsNull) else view.empty(paths)
            return found if wanted else unmet(found)
        said = verdicts(atom, view.shift_us)
        if said is None:
            return self._between_fields(atom, paths, wanted=wanted)
        listed = _of_list(atom, said)
        if wanted:
            met = view.holding(paths, said)
            return met if field.is_text else any_met([met, view.holding(_items_of(paths), listed)])
        failed = all_met([view.alone(paths), unmet(view.not_failing(paths, said))])
        if field.is_text:
            return failed
        # one item that is right will do; for the condition to be false, all have to be wrong
        of_list = [exactly(of_kind(paths, LISTS)), unmet(view.not_failing(_items_of(paths), listed))]
        return any_met([failed, all_met(of_list)])

    def _between_fields(self, atom: Atom, paths: Paths, *, wanted: bool) -> Bounds:
        """Of one field against another: both have to be there, or one be a list without items, and so wrong."""
        there = of_kind(paths, THERE)
        right = atom.right if isinstance(atom, Compare) else None
        others = self._paths(_field(right).path) if isinstance(right, Field | Folded | Dated) else None
        if others is None:
            return at_most(there) if wanted else _UNKNOWN
        both = [there, of_kind(others, THERE)]
        return at_most(bounds.all_of(both) if wanted else bounds.any_of(both))

    def _items(self, atom: Items, *, wanted: bool) -> Bounds:
        field = atom.field
        paths = self._paths(field.path)
        if paths is None:
            return _UNKNOWN
        turned = wanted is not (atom.how == "none")  # none: not any
        # what is no list is one item
        alone = [view_of(field).alone(paths), self.visit(_under(atom.where, field.path), wanted=turned)]
        if field.is_text:
            return all_met(alone)
        items = _items_of(paths)
        if (atom.how == "all") is turned:  # no item is otherwise
            listed = unmet(self._item(atom.where, items, "not true" if turned else "not false"))
        else:
            listed = self._item(atom.where, items, "true" if turned else "false")
        return any_met([all_met(alone), all_met([exactly(of_kind(paths, LISTS)), listed])])

    def _item(self, condition: Condition, items: Paths, verdict: Verdict) -> Bounds:
        """That there is an item of which the condition has this verdict. Args: items: where the items are."""
        if isinstance(condition, Not):
            if condition.or_unknown:
                return self._item(condition.part, items, "not true" if verdict in {"true", "not false"} else "true")
            return self._item(condition.part, items, _TURNED[verdict])
        if isinstance(condition, And | Or):
            return self._item_joined(condition, items, verdict)
        return self._item_leaf(condition, items, verdict)

    def _item_joined(self, condition: And | Or, items: Paths, verdict: Verdict) -> Bounds:
        is_all = isinstance(condition, And)
        if not condition.parts:
            return exactly(of_kind(items, _ANY_ITEM)) if is_all is (verdict in {"true", "not false"}) else NEVER
        parts = [self._item(part, items, verdict) for part in condition.parts]
        if len(parts) == 1:
            return parts[0]
        if is_all is (verdict in {"false", "not true"}):
            return any_met(parts)
        return bounds.loose(all_met(parts))  # perhaps one item has the one, and another item the other

    def _item_leaf(self, atom: Atom, items: Paths, verdict: Verdict) -> Bounds:
        path = () if isinstance(atom.field, History) else _field(atom.field).path
        if isinstance(atom.field, History) or any(map(_is_place, path)):  # items have tokens for keys, not for places
            return _UNKNOWN
        paths = tuple(item + "".join(map(tokens.key, path)) for item in items)
        if isinstance(atom, Items):
            return self._nested(atom, paths, verdict)
        found = _item_found(atom, view_of(atom.field), paths, verdict)
        if found is not None and not (path and verdict in _of_missing(atom)):
            return found
        # what items do not have, is told of their own keys, and only of those of a list that is in no other
        if found is None or len(path) > 1 or any(item.partition(tokens.ITEM)[2] for item in items):
            return _UNKNOWN
        nobody = [exactly(of_kind(items, _ANY_ITEM)), unmet(exactly(of_kind(paths, _ANY_ITEM)))]
        return any_met([found, all_met(nobody)])

    def _nested(self, atom: Items, paths: Paths, verdict: Verdict) -> Bounds:
        """Of a list in an item."""
        ways: dict[tuple[str, Verdict], Verdict] = {
            ("any", "true"): "true",
            ("none", "false"): "true",
            ("all", "false"): "false",
        }
        inner = ways.get((atom.how, verdict))
        if inner is None:
            return _UNKNOWN
        found = [self._item(atom.where, paths, inner), self._item(atom.where, _items_of(paths), inner)]
        return bounds.loose(any_met(found))

    def _paths(self, path: Sequence[str]) -> Paths | None:
        """None: what is there may have no tokens."""
        if self._history is not None and tuple(path[: len(self._history)]) == self._history:
            return None
        parts: list[tuple[str, ...]] = []
        for name in path:
            if not _is_place(name):
                parts.append((tokens.key(name),))
            elif int(name) < tokens.MOST_PLACES:
                parts.append((tokens.key(name), tokens.place(int(name))))
            else:
                return None
        if sum(len(one) > 1 for one in parts) > _MOST_DIGITS:
            return None
        return tuple("".join(one) for one in product(*parts))


def _of_missing(atom: Atom) -> tuple[Verdict, Verdict]:
    """The verdicts that a leaf has of what is not there."""
    return ("true", "not false") if isinstance(atom, IsNull | IsEmpty) else ("not true", "not false")


def _item_found(atom: Atom, view: View, paths: Paths, verdict: Verdict) -> Bounds | None:
    """Of what is there, or null: an item has it, and the leaf has this verdict. None: that depends on other fields."""
    if isinstance(atom, IsNull | IsEmpty):
        return _item_null(atom, view, paths, verdict)
    said = verdicts(atom, view.shift_us)
    if said is None:
        return None
    if verdict == "true":
        return any_met([view.holding(paths, said), view.holding(_items_of(paths), _of_list(atom, said))])
    lists = of_kind(paths, (LIST,))  # perhaps
    if verdict == "not false":
        return bounds.but_rarely(view.not_failing(paths, said), lists)
    found = view.failing(paths, said) if verdict == "false" else view.not_holding(paths, said)
    return bounds.but_rarely(any_met([found, exactly(of_kind(paths, (NO_LIST,)))]), lists)


def _item_null(atom: IsNull | IsEmpty, view: View, paths: Paths, verdict: Verdict) -> Bounds:
    is_null = isinstance(atom, IsNull)
    if verdict in {"false", "not true"}:
        return view.item(paths) if is_null else view.full_item(paths)
    return view.null_item(paths) if is_null else view.empty_item(paths)


def _of_list(atom: Atom, said: Verdicts) -> Verdicts:
    """What is said of an item of a list."""
    return of_items(atom) if isinstance(atom, Holds) and atom.how == "contains" else said


def _field(place: Field | Folded | Dated) -> Field:
    return place if isinstance(place, Field) else place.field


def _items_of(paths: Paths) -> Paths:
    return tuple(path + tokens.ITEM for path in paths)


def _under(condition: Condition, path: tuple[str, ...]) -> Condition:
    """The same of what is at a path."""
    return mapped(
        condition, lambda atom: replaced(atom, lambda field: replace(field, path=(*path, *field.path), is_text=False))
    )


def _fits(found: Bounds) -> bool:
    """Whether engines take it."""
    sizes = [bounds.size(query) for query in (found.sure, found.maybe)]
    return all(clauses <= _MOST_CLAUSES and depth <= _MOST_DEPTH for clauses, depth in sizes)


def _is_place(name: str) -> bool:
    """Whether a key may be a place in a list as well."""
    return name.isascii() and name.isdecimal() and len(name) < 10
