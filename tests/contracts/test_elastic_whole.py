"""All that every store promises, on real search engines: what others of this name have the most telling parts of."""

from __future__ import annotations

import pytest

from hub.store.elastic import ElasticStore
from tests.contracts import (
    test_store,
    test_store_conditions,
    test_store_figures,
    test_store_scan,
    test_store_segments,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

for _module in (test_store, test_store_conditions, test_store_figures, test_store_scan, test_store_segments):
    globals().update({name: test for name, test in vars(_module).items() if name.startswith("test_")})


@pytest.fixture
def store(elastic: ElasticStore) -> ElasticStore:
    """The one that the shared tests ask for."""
    return elastic
