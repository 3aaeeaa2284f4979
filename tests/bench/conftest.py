"""Fixtures of the benchmarks: a namespace with its topics, a folder, both thrown away afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka.admin import AdminClient

from hub.log.admin import LogAdmin, ensure_topics
from hub.log.config import admin_config
from hub.settings import Kafka
from hub.store.factory import open_store
from hub.store.port import Store
from schemas.topics import Topic
from tests.bench import conditions, payloads
from tests.kafka_tools import define
from tests.servers import running


class Bench(NamedTuple):
    """What one benchmark works with."""

    kafka: Kafka
    namespace: str
    folder: Path
    began: str

    @property
    def store_url(self) -> str:
        """A store of its own, in `folder`."""
        return f"sqlite:///{self.folder / 'hub.sqlite'}"

    def variables(self, namespace: str | None = None, store_url: str | None = None) -> dict[str, str]:
        """The settings of its processes."""
        return {
            "HUB_KAFKA__BOOTSTRAP": self.kafka.bootstrap,
            "HUB_NAMESPACE": namespace or self.namespace,
            "HUB_STORE__URL": store_url or self.store_url,
            "HUB_DATA": str(self.folder),
        }

    def define(self, kind: str, id: str, spec: dict[str, Any], namespace: str | None = None) -> None:
        """Put a definition onto definitions.v1."""
        define(self.kafka, namespace or self.namespace, kind, id, spec)

    def prepare(self, namespace: str | None = None) -> None:
        """The topics of a namespace, with the source that the payloads name."""
        ensure_topics(self.kafka, namespace or self.namespace)
        self.define("source", payloads.SOURCE, {"type": ["rest", "bridge"]}, namespace)

    def records(self, topic: Topic, namespace: str | None = None) -> int:
        """How many records are on a topic that nothing has been deleted from."""
        return sum(LogAdmin(self.kafka, namespace or self.namespace).end_offsets(topic).values())

    def open_store(self) -> Store:
        """Its store, made if need be."""
        return open_store(self.store_url)


@pytest.fixture
def bench(kafka: str, namespace: str, tmp_path: Path) -> Iterator[Bench]:
    """Everything that a benchmark leaves on disk and on the broker is deleted: it is gigabytes."""
    made = Bench(Kafka(bootstrap=kafka), namespace, tmp_path, conditions.moment())
    made.prepare()
    yield made
    client = AdminClient(admin_config(made.kafka))
    ours = [name for name in client.list_topics(timeout=10).topics if name.startswith(namespace)]
    for deleted in client.delete_topics(ours).values():
        deleted.result()
    shutil.rmtree(tmp_path)


@pytest.fixture
def valkey(shared_folder: Path) -> Iterator[str]:
    """Where a Valkey is that the benchmarks of a run share."""
    with running.shared("valkey", shared_folder / "valkey") as url:
        yield url
