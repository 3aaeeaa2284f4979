"""The test server of Elasticsearch does what the store asks of one, through the official client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from elasticsearch import ConflictError, Elasticsearch

from hub.store.elastic.client import Engine
from tests.servers.running import shared

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=["elasticsearch", pytest.param("elasticsearch8", marks=pytest.mark.long)])
def client(request: pytest.FixtureRequest, shared_folder: Path, namespace: str) -> Iterator[Elasticsearch]:
    """The client as it is on 9; on 8 with the store's way of asking."""
    with shared(request.param, shared_folder / request.param) as url:
        if request.param == "elasticsearch":
            with Elasticsearch(url) as made:
                yield made
        else:
            engine = Engine(f"elasticsearch+{url}/", namespace)
            yield engine.client
            engine.close()


def test_it_takes_bulks_and_finds_what_is_in_them(client: Elasticsearch, namespace: str) -> None:
    rows = [[{"create": {"_id": str(n)}}, {"n": n, "kind": "even" if n % 2 == 0 else "odd"}] for n in range(500)]
    lines = b"".join(msgspec.json.encode(line) + b"\n" for row in rows for line in row)
    done = client.bulk(index=namespace, operations=lines, refresh=True)
    assert [item["create"]["status"] for item in done["items"]] == [201] * 500
    found = client.search(
        index=namespace,
        query={"bool": {"filter": [{"term": {"kind.keyword": "even"}}, {"range": {"n": {"gte": 490}}}]}},
        sort=[{"n": "desc"}],
        aggs={"kinds": {"terms": {"field": "kind.keyword"}}},
    )
    assert [hit["_source"]["n"] for hit in found["hits"]["hits"]] == [498, 496, 494, 492, 490]
    assert found["aggregations"]["kinds"]["buckets"] == [{"key": "even", "doc_count": 5}]


def test_a_lower_version_changes_nothing(client: Elasticsearch, namespace: str) -> None:
    client.index(index=namespace, id="a", document={"n": 7}, version=7, version_type="external")
    for version in (6, 7):
        with pytest.raises(ConflictError):
            client.index(index=namespace, id="a", document={"n": 0}, version=version, version_type="external")
    assert client.get(index=namespace, id="a")["_source"] == {"n": 7}


def test_of_two_who_create_or_change_it_one_does(client: Elasticsearch, namespace: str) -> None:
    made = client.create(index=namespace, id="a", document={"n": 1})
    with pytest.raises(ConflictError):
        client.index(index=namespace, id="a", document={"n": 2}, op_type="create")
    before = {"if_seq_no": made["_seq_no"], "if_primary_term": made["_primary_term"]}
    client.index(index=namespace, id="a", document={"n": 3}, **before)
    with pytest.raises(ConflictError):
        client.index(index=namespace, id="a", document={"n": 4}, **before)
    assert client.get(index=namespace, id="a")["_source"] == {"n": 3}


def test_templates_say_how_new_indices_are(client: Elasticsearch, namespace: str) -> None:
    mappings = {"dynamic": False, "properties": {"id": {"type": "keyword"}}}
    client.cluster.put_component_template(name=f"{namespace}-common", template={"mappings": mappings})
    client.indices.put_index_template(
        name=f"{namespace}-events",
        index_patterns=[f"{namespace}-events-*"],
        composed_of=[f"{namespace}-common"],
        template={"aliases": {f"{namespace}-events": {}}},
    )
    client.index(index=f"{namespace}-events-2025-11", document={"id": "a", "free": {"form": 1}}, refresh=True)
    index = f"{namespace}-events-2025-11"
    assert client.indices.get_mapping(index=index)[index]["mappings"] == {**mappings, "dynamic": "false"}
    assert client.count(index=f"{namespace}-events")["count"] == 1
