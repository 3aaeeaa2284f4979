"""
Small tables, all of them in the index `rows`: a document a row, changed by compare-and-set.

A row has `table`, `key`, the fields by which it is found (`PROPERTIES`) and whatever else, which is kept and not
indexed: `doc`, the whole of it as JSON text. `get`, `many` and `change` see rows as they are; `find` and what follows
are searches, which see what this store object has written and what others have written a refresh (a second) ago.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from hub.errors import Unavailable
from hub.store.elastic.client import Action, Engine, Found

INDEX: Final = "rows"
PAGE: Final = 1_000
"""Rows of one search, where all are wanted."""
MOST_NUMBERS: Final = 1_000
"""Running numbers that are taken at once."""
CHANGE_S: Final = 20.0
"""How long a change is tried again because others have changed the row meanwhile."""
_FIRST_WAIT_S: Final = 0.005
_MOST_WAIT_S: Final = 0.5
_WORD: Final[dict[str, Any]] = {"type": "keyword"}
_NUMBER: Final[dict[str, Any]] = {"type": "long"}
_FLAG: Final[dict[str, Any]] = {"type": "boolean"}

PROPERTIES: Final[dict[str, dict[str, Any]]] = {
    **dict.fromkeys(("table", "key"), _WORD),
    # tasks, slices
    **dict.fromkeys(("kind", "queue", "state", "task", "plan"), _WORD),
    **dict.fromkeys(("seq", "number", "asked_ms", "saved_ms"), _NUMBER),
    **dict.fromkeys(("is_begun", "has_sample"), _FLAG),
    # flow runs
    **dict.fromkeys(("flow", "profile_id", "session_id", "event_id", "waits"), _WORD),
    **dict.fromkeys(("changed_ms", "due_ms", "due_s"), _NUMBER),
    # versions of definitions
    **dict.fromkeys(("id",), _WORD),
    **dict.fromkeys(("version", "at_ms"), _NUMBER),
    # keys of records
    "mark": _WORD,
    "kept_ms": _NUMBER,
}
"""Fields by which rows of the tables of this package's tasks, runs, versions and keys are found; all else is not."""

Fields: TypeAlias = Mapping[str, Any]
Change: TypeAlias = Callable[[Fields | None], Fields | None]
"""From a row as it is (None: there is none) to what it shall be (None: as it is). Called again after a conflict."""


class Row(NamedTuple):
    """A row that was found: by what key, what is in it, where it is in the order that was asked for."""

    key: str
    fields: dict[str, Any]
    place: list[Any]
    found: Found


class Table:
    """One of them. Each method raises Unavailable, Refused."""

    def __init__(self, engine: Engine, name: str) -> None:
        """Args: name: of the table, the same for ever."""
        self._engine = engine
        self.name = name

    def get(self, key: str) -> Found | None:
        """A row as it is."""
        return self._engine.get(INDEX, self._id(key))

    def many(self, keys: Iterable[str], fields: Sequence[str] | None = None) -> dict[str, Found]:
        """Those that are there, as they are, by key. Args: fields: only these of each; None: all of them."""
        ids = {self._id(key): key for key in keys}
        return {ids[id]: found for id, found in self._engine.many(INDEX, ids, fields).items()}

    def creating(self, key: str, fields: Fields) -> Action:
        """For a bulk: a row that is not there yet."""
        return Action("create", INDEX, self._id(key), self._source(key, fields))

    def putting(self, key: str, fields: Fields, if_: Found | None = None) -> Action:
        """For a bulk: a row as it shall be. Args: if_: only if it is still this one."""
        return Action("index", INDEX, self._id(key), self._source(key, fields), if_=if_)

    def removing(self, key: str, if_: Found | None = None) -> Action:
        """For a bulk: a row that shall be no more. Args: as of `putting`."""
        return Action("delete", INDEX, self._id(key), if_=if_)

    def create(self, key: str, fields: Fields) -> bool:
        """False: there is one, which stays as it is."""
        return not self._engine.bulk([self.creating(key, fields)])

    def apply(self, actions: Iterable[Action]) -> set[str]:
        """Each of these or not, whatever becomes of the others. Returns keys of those that had a conflict."""
        return {self.key_of(action) for action in self._engine.bulk(actions)}

    def key_of(self, action: Action) -> str:
        """Of the row that it is about."""
        return action.id.removeprefix(f"{self.name}/")

    def change(self, key: str, change: Change) -> Found | None:
        """
        Change a row, whoever else does so meanwhile.

        Returns: the row as it was when it was changed, or left as it is.
        Raises: also Unavailable when others change it all the time.
        """
        give_up = time.monotonic() + CHANGE_S
        wait_s = _FIRST_WAIT_S
        while True:
            found = self.get(key)
            fields = change(None if found is None else found.source)
            if fields is None:
                return found
            action = self.creating(key, fields) if found is None else self.putting(key, fields, found)
            if not self._engine.bulk([action]):
                return found
            if time.monotonic() > give_up:
                raise Unavailable("store", f"others change {self.name}/{key} all the time")
            time.sleep(wait_s * random.uniform(0.5, 1.5))
            wait_s = min(2 * wait_s, _MOST_WAIT_S)

    # Searches

    def find(
        self, where: Sequence[Mapping[str, Any]], order: Sequence[str], size: int, after: Sequence[Any] | None = None
    ) -> list[Row]:
        """
        The next `size` rows that match behind `after` (the `place` of one; None: from the first).

        Args: order: fields, the first one first; `-` before one: the highest first.
        """
        body: dict[str, Any] = {
            "query": self.matching(where),
            "sort": [{name.removeprefix("-"): "desc" if name[0] == "-" else "asc"} for name in order],
            "size": size,
            "seq_no_primary_term": True,
            "version": True,
        }
        if after is not None:
            body["search_after"] = list(after)
        return [
            Row(
                hit["_source"]["key"],
                hit["_source"],
                hit["sort"],
                Found(hit["_source"], hit["_seq_no"], hit["_primary_term"], hit["_version"]),
            )
            for hit in self._engine.hits(INDEX, body)
        ]

    def every(self, where: Sequence[Mapping[str, Any]], order: Sequence[str]) -> Iterator[Row]:
        """All rows that match, page by page. Args: as of `find`; `order` tells each two apart."""
        after: list[Any] | None = None
        while True:
            rows = self.find(where, order, PAGE, after)
            yield from rows
            if len(rows) < PAGE:
                return
            after = rows[-1].place

    def figures(self, where: Sequence[Mapping[str, Any]], aggregations: Mapping[str, Any]) -> dict[str, Any]:
        """Aggregations over the rows that match."""
        body = {"query": self.matching(where), "size": 0, "track_total_hits": False, "aggs": aggregations}
        found: dict[str, Any] = self._engine.search(INDEX, body)["aggregations"]
        return found

    def distinct(self, where: Sequence[Mapping[str, Any]], field: str, most: int, after: Any = None) -> list[Any]:
        """The next `most` values of a field behind `after`, in their order, each once."""
        about: dict[str, Any] = {"size": most, "sources": [{"value": {"terms": {"field": field}}}]}
        if after is not None:
            about["after"] = {"value": after}
        found = self.figures(where, {"values": {"composite": about}})
        return [bucket["key"]["value"] for bucket in found["values"]["buckets"]]

    def matching(self, where: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The query for rows of this table that match all of these."""
        return {"bool": {"filter": [{"term": {"table": self.name}}, *where]}}

    def refresh(self) -> None:
        """What anybody has written so far is found by searches from now on."""
        self._engine.refresh(INDEX)

    def numbers(self, count: int) -> list[int]:
        """
        The next `count` running numbers of this table, rising, which nobody else gets; not without gaps.

        They are made of the version of a document that is written without a condition: the cluster counts, so that
        nobody has to try again, however many take numbers at once. A try that fails leaves a gap.
        """
        taken: list[int] = []
        while len(taken) < count:
            # MOST_NUMBERS of them belong to each version
            answer = self._engine.asked(
                lambda: self._engine.client.index(
                    index=self._engine.index(INDEX), id=f"numbers/{self.name}", document={"table": "numbers"}
                )
            )
            first = answer["_version"] * MOST_NUMBERS
            taken += range(first, first + min(MOST_NUMBERS, count - len(taken)))
        return taken

    def _id(self, key: str) -> str:
        return f"{self.name}/{key}"

    def _source(self, key: str, fields: Fields) -> Fields:
        return {**fields, "table": self.name, "key": key}


def equal(field: str, value: Any) -> dict[str, Any]:
    """For `where`: this value, or for a list of them one of these."""
    if isinstance(value, str | int):
        return {"term": {field: value}}
    return {"terms": {field: list(value)}}


def between(field: str, **limits: Any) -> dict[str, Any]:
    """For `where`. Args: limits: gt, gte, lt, lte."""
    return {"range": {field: limits}}


def text_of(value: Any) -> str:
    """A struct as a row keeps it in `doc`."""
    return msgspec.json.encode(value).decode()
