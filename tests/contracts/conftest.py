"""Each contract of the store is tested on every store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from hub.search_engine import Layout
from hub.store import Store, open_store
from hub.store.elastic import ElasticStore
from tests.plain_http import NO_TLS
from tests.servers.running import shared


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'hub.sqlite'}"
    opened = open_store(url)
    yield opened
    opened.close()


ENGINES = ["elasticsearch", *(pytest.param(name, marks=pytest.mark.long) for name in ("opensearch", "elasticsearch8"))]


@pytest.fixture(scope="session", params=ENGINES)
def search_engine(request: pytest.FixtureRequest, shared_folder: Path) -> Iterator[str]:
    """The store's URL of a real search engine; use `namespace`."""
    with shared(request.param, shared_folder / request.param) as url:
        yield f"elasticsearch+{url}/"


@pytest.fixture
def elastic(search_engine: str, namespace: str) -> Iterator[ElasticStore]:
    """A store of its own namespace, which is removed afterwards."""
    try:
        with closing(ElasticStore(search_engine, namespace, layout=Layout(copies=0))) as opened:
            yield opened
    finally:
        remove_namespace(search_engine, namespace)


def remove_namespace(url: str, namespace: str) -> None:
    """All indices and templates of a namespace."""
    with httpx.Client(base_url=url.removeprefix("elasticsearch+"), timeout=60, verify=NO_TLS) as http:
        names = http.get(f"/{namespace}-*", params={"filter_path": "*.settings.index.uuid"}).json()
        for path in (",".join(names), f"_index_template/{namespace}-*", f"_component_template/{namespace}-*"):
            assert http.delete(f"/{path}").is_success
