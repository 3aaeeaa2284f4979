"""Conditions on real search engines: what they find is what SQLite finds and Python says, of any document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.conditions import settled
from hub.conditions.ast import And, Compare, Condition, Field, Holds, IsNull, Items, Not, Or, Order
from hub.conditions.python import compile_python, judge
from hub.conditions.walk import histories
from hub.conditions.written import written
from hub.store.elastic.dsl import compile_dsl
from hub.store.elastic.facts import facts
from hub.store.elastic.tokens import FACTS
from hub.store.query import prepare
from tests.plain_http import NO_TLS
from tests.servers.running import shared
from tests.unit.condition_cases import CONDITIONS, NOW_US, constant, documents, found_in_sql, leaves
from tests.unit.search_cases import is_plain

pytestmark = pytest.mark.timeout(300)

AT_ONCE = 200
"""Searches of one request."""


class Index:
    """An index of nothing but tokens, on one of the engines."""

    def __init__(self, client: httpx.Client, name: str) -> None:
        self._client = client
        self._name = name
        self._make()

    def put(self, documents: Sequence[dict[str, Any]]) -> None:
        """Each under its place in the list."""
        lines: list[dict[str, Any]] = []
        for place, document in enumerate(documents):
            lines += [{"index": {"_id": str(place)}}, {FACTS: facts(document, "profiles")}]
        answer = self._lines(f"/{self._name}/_bulk?refresh=true", lines)
        assert not answer["errors"], answer

    def found(self, queries: Sequence[dict[str, Any]], most: int) -> list[set[int]]:
        """The places of those that each query finds. Args: most: how many there are."""
        found: list[set[int]] = []
        for begin in range(0, len(queries), AT_ONCE):
            lines: list[dict[str, Any]] = []
            for query in queries[begin : begin + AT_ONCE]:
                lines += [{"index": self._name}, {"query": query, "size": most, "_source": False}]
            for query, answer in zip(queries[begin:], self._lines("/_msearch", lines)["responses"], strict=False):
                assert "hits" in answer, (query, answer)
                found.append({int(hit["_id"]) for hit in answer["hits"]["hits"]})
        return found

    def clear(self) -> None:
        """Take all of them out again."""
        self.remove()
        self._make()

    def remove(self) -> None:
        """With all that is in it."""
        self._client.delete(f"/{self._name}").raise_for_status()

    def _make(self) -> None:
        body = {
            "settings": {"number_of_shards": 1, "number_of_replicas": 0},
            "mappings": {
                "dynamic": False,
                "properties": {FACTS: {"type": "keyword", "doc_values": False, "norms": False}},
            },
        }
        self._client.put(f"/{self._name}", json=body).raise_for_status()

    def _lines(self, path: str, lines: list[dict[str, Any]]) -> Any:
        content = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        answer = self._client.post(path, content=content, headers={"content-type": "application/x-ndjson"})
        answer.raise_for_status()
        return answer.json()


@pytest.fixture(params=["elasticsearch", pytest.param("opensearch", marks=pytest.mark.long)])
def index(request: pytest.FixtureRequest, shared_folder: Path, namespace: str) -> Iterator[Index]:
    with (
        shared(request.param, shared_folder / request.param) as url,
        httpx.Client(base_url=url, timeout=60, verify=NO_TLS) as client,
    ):
        made = Index(client, f"{namespace}-conditions")
        yield made
        made.remove()


class Cases(NamedTuple):
    """Conditions, settled, and documents: each is asked of each."""

    conditions: list[Condition]
    documents: list[dict[str, Any]]


def add(cases: Cases, data: st.DataObject, conditions: list[Condition]) -> None:
    """Some more. Half of the conditions ask for what is there."""
    document = data.draw(documents([history for condition in conditions for history in histories(condition)]))
    found = list(leaves({key: value for key, value in document.items() if key != "metadata"}))
    if found:
        path, value = data.draw(st.sampled_from(found))
        if value is None:
            conditions = [*conditions, IsNull(Field(path))]
        else:
            right = constant(value)
            order: Order = data.draw(st.sampled_from(["=", "<=", ">=", "<"]))
            conditions = [*conditions, Compare(Field(path), order, right), Holds(Field(path), "contains", right)]
            conditions.append(Items(Field(path), data.draw(st.sampled_from(["any", "all", "none"])), conditions[-2]))
    cases.conditions.extend(settled(condition, NOW_US) for condition in conditions)
    cases.documents.append(document)


def check(index: Index, cases: Cases) -> int:
    """Ask all of it. Returns: how many pairs of a condition and a document there were."""
    index.put(cases.documents)
    asked = [one for condition in cases.conditions for one in (condition, Not(condition))]
    searches = [compile_dsl(condition, "profiles") for condition in asked]
    most = len(cases.documents)
    sure = index.found([search.sure for search in searches], most)
    maybe = index.found([search.maybe for search in searches], most)
    plain = {place for place, document in enumerate(cases.documents) if is_plain(document)}
    in_sql = found_in_sql(asked, cases.documents)
    for condition, search, certain, possible, by_sql in zip(asked, searches, sure, maybe, in_sql, strict=True):
        verdict = judge(condition)
        right = {place for place, document in enumerate(cases.documents) if verdict(document) is True}
        assert by_sql == right, (condition, [cases.documents[place] for place in by_sql ^ right])
        assert certain <= right, (condition, search.sure, [cases.documents[place] for place in certain - right])
        assert right <= possible, (condition, search.maybe, [cases.documents[place] for place in right - possible])
        if search.is_exact:
            assert (possible - certain) & plain == set(), (condition, search)
    return len(cases.conditions) * most


def collected(most: int, *, derandomize: bool) -> Cases:
    """As many documents, and conditions for each."""
    cases = Cases([], [])

    @settings(max_examples=most, derandomize=derandomize)
    @given(st.data(), st.lists(CONDITIONS, max_size=2))
    def collect(data: st.DataObject, conditions: list[Condition]) -> None:
        add(cases, data, conditions)

    collect()
    return cases


def test_engines_sqlite_and_python_agree(index: Index) -> None:
    """More than 10,000 pairs of a condition and a document: true, false or unknown for all three."""
    assert check(index, collected(75, derandomize=True)) > 10_000


def test_what_is_large_is_asked_for_all_the_same(index: Index) -> None:
    """A hundred conditions, thirty brackets, a thousand values, long texts and paths, more fields than are indexed."""
    deep: Any = 1
    for _ in range(60):
        deep = {"a key of some length, with = and :": deep}
    found = [
        {"a": 1, "b": "x", "tags": ["x", "y"], "deep": deep, "text": "é" * 999 + "?*\\", "long": "é" * 5_000 + "end"},
        {"a": 2, "b": "X", "tags": list(range(1_000)), "wide": {str(number): number for number in range(30_000)}},
        {"a": 3, "B": "x" * 40_000, "\x01\x1f": "\x01"},
    ]
    path = "`a key of some length, with = and :`"
    queries = [
        (" AND ".join(f"(a != {number} OR NOT tags = {number})" for number in range(50, 100)), {0, 1, 2}),
        (" OR ".join(f"NOT (ALL(tags) > {number} AND lower(b) = x)" for number in range(50)), {1}),
        (f"a IN [{', '.join(map(str, range(2, 1_002)))}]", {1, 2}),
        (f"deep.{'.'.join([path] * 60)} = 1", {0}),
        (f"text = '{'é' * 999}?\\*\\\\'", {0}),
        ("long ENDS WITH 'end' OR long CONTAINS end", {0}),
        ("NOT long ENDS WITH 'end'", set()),
        (f"long > '{'é' * 1_500}'", {0}),
        (f"long CONTAINS '{'é' * 500}'", {0}),
        (f"long CONTAINS '{'é' * 50}x'", set()),
        ("wide.`29999` = 29999", {1}),
        ("tags.31 = 31 AND tags.999 = 999", {1}),
        (f"B = '{'x' * 40_000}'"[:19_000] + "'", set()),
        ("`\x01\x1f` = '\x01'", {2}),
    ]
    index.put(found)
    within: Condition = Compare(Field(("a",)), "=", constant(1))
    for number in range(40):
        within = (And if number % 2 else Or)((Compare(Field(("a",)), "<", constant(number)), within))
    asked = [(prepare(query, "profiles", NOW_US), expected) for query, expected in queries]
    for condition, expected in (*asked, (within, {0, 1, 2}), (And((within, asked[3][0])), {0})):
        holds = compile_python(condition)
        assert {place for place, document in enumerate(found) if holds(document)} == expected, written(condition)[:200]
        search = compile_dsl(condition, "profiles")
        sure, maybe = index.found([search.sure, search.maybe], len(found))
        assert sure <= expected <= maybe, written(condition)[:200]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_engines_sqlite_and_python_agree_hundreds_of_thousands_of_times(index: Index) -> None:
    """The same, searching anew."""
    pairs = 0
    for _ in range(15):
        pairs += check(index, collected(120, derandomize=False))
        index.clear()
    assert pairs > 200_000
