"""Fixtures that every kind of test shares: the servers of a test run, a namespace of one's own."""

from __future__ import annotations

import gc
import os
import secrets
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from hub.log.admin import ensure_topics
from hub.settings import Kafka
from hub.stack import jars
from tests import broker, stores

# How long something takes says what else the machine does: no test may fail of that. The same examples in each run, so
# that a change is judged by what it changes; tests marked `long` search anew each time.
settings.register_profile("hub", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hub")

# Thousands of tests and all that they import stay: the cycle collector need not look through them, now or later.
gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """From here on it looks at what the tests themselves leave behind."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    The longest tests are the first of each worker of xdist: else one ends the run alone with some of them.

    Each worker is given an even part of the list, in its order.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    first = [item for item in items if item.get_closest_marker("first")]
    rest = [item for item in items if not item.get_closest_marker("first")]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        own = first[worker::workers]
        others = max(0, (len(items) - len(ordered)) // (workers - worker) - len(own))
        ordered += own + rest[:others]
        del rest[:others]
    items[:] = ordered


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all xdist workers of this run see."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def kafka(shared_folder: Path) -> Iterator[str]:
    """
    The bootstrap address of a real Kafka: HUB_TEST_KAFKA_URL, else an embedded one, shared by the whole run.

    Topics stay until the run ends: use `namespace`.
    """
    external = os.environ.get("HUB_TEST_KAFKA_URL")
    if external:
        yield external
        return
    bootstrap, lock = broker.attach(shared_folder / "broker", jars.default_cache(os.environ.get("XDG_CACHE_HOME")))
    with lock:
        yield bootstrap


@pytest.fixture(scope="session", autouse=True)
def chosen_store(shared_folder: Path) -> Iterator[None]:
    """With HUB_TEST_STORE hubs of the tests have their stores in a search engine, see `tests.stores`."""
    name = os.environ.get(stores.NAME)
    with stores.engine(name, shared_folder) if name else nullcontext():
        yield


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace that no other test has: topics, groups and indices of this test only."""
    made = f"t{secrets.token_hex(6)}"
    yield made
    stores.forget(made)


@pytest.fixture
def ours(kafka: str, namespace: str) -> Kafka:
    """The hub's own Kafka, with the topics of this namespace, of one partition each."""
    settings = Kafka(bootstrap=kafka, partitions=1)
    ensure_topics(settings, namespace)
    return settings
