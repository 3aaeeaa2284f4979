"""A running API on a free port, for tests: real server, real Kafka, real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from confluent_kafka import Consumer, TopicPartition

from bridges.hooks import Hooks
from bridges.replay import converter_with
from hub.api.app import create_app
from hub.api.definitions import Rules, Validator
from hub.api.flow_answers import Waiters
from hub.api.imports import Door
from hub.api.server import listen, server_of
from hub.api.tail import Tail
from hub.definitions.catalogue import Catalogue
from hub.definitions.sealed import Seal
from hub.imports.local import within
from hub.imports.sources import Reach
from hub.jobs.queue import JobQueue
from hub.log.admin import LogAdmin, ensure_topics
from hub.log.audit import AuditLog
from hub.log.config import consumer_config, producer_config
from hub.log.follower import Follower
from hub.log.kept import Kept
from hub.log.keys import opening
from hub.log.producer import Publisher
from hub.log.reader import LogReader
from hub.log.sealing import SealingPublisher
from hub.log.tail import TailReader
from hub.pipeline.data_keys import Wrapping
from hub.pipeline.sealed import Sealer
from hub.redis import client
from hub.settings import Api, Flows, Imports, Kafka, Limits, Settings
from hub.store.factory import open_store
from hub.store.port import Reading, Store
from schemas.codec import decode_inbound
from schemas.records import Inbound
from schemas.topics import EVENTS
from tests import stores
from tests.kafka_tools import consume
from tests.plain_http import NO_TLS
from workers.jobs.kinds import kinds

KEY = "correct horse battery staple"
ADMIN = {"Authorization": f"Bearer {KEY}"}


class Running(NamedTuple):
    """What a test talks to. `admin` has the key, `public` has not."""

    public: httpx.AsyncClient
    admin: httpx.AsyncClient
    store: Store
    log: LogAdmin
    kafka: Kafka
    namespace: str
    catalogue: Catalogue

    async def records(self) -> list[Inbound]:
        """Every record that is on events.v1 now, in no order across partitions."""
        return await asyncio.to_thread(read_all, self.kafka, self.namespace)

    async def define(self, kind: str, id: str, **spec: Any) -> httpx.Response:
        """PUT a definition."""
        return await self.admin.put(f"/definitions/{kind}/{id}", json=spec)


def read_all(kafka: Kafka, namespace: str) -> list[Inbound]:
    """Every record that is on events.v1 now."""
    ends = LogAdmin(kafka, namespace).end_offsets()
    consumer = Consumer(consumer_config(kafka, f"{namespace}.test"))
    with closing(consumer):
        consumer.assign([TopicPartition(EVENTS.name(namespace), number, 0) for number in ends])
        found: list[Inbound] = []
        while len(found) < sum(ends.values()):
            for message in consume(consumer):
                assert message.error() is None, message.error()
                record = decode_inbound(message.value() or b"")
                assert message.key() == (record["profile_id"] or record["id"]).encode()
                found.append(record)
        return found


@asynccontextmanager
async def running(
    kafka: Kafka,
    namespace: str,
    folder: Path,
    *,
    limits: Limits | None = None,
    reading: Reading | None = None,
    validators: Mapping[str, Validator] | None = None,
    catalogue: Catalogue | None = None,
    environ: Mapping[str, str] | None = None,
    wrapping: Wrapping | None = None,
    redis_url: str = "",
    imports: Imports | None = None,
    waiting: tuple[str, Flows] | None = None,
    collect_key: bool = False,
    listeners: int = 0,
) -> AsyncIterator[Running]:
    """
    Args: reading: instead of the store. catalogue: instead of one that follows. environ: for secrets. wrapping: of the
    keys that records are sealed with; None: they are not. redis_url: of the queues of tasks; empty: there is none.
    imports: what they may read. waiting: for answers of flows: URL of Redis, and for how long. collect_key: whether
    senders need one. listeners: to the live tail; 0: there is none.
    """
    with ExitStack() as stack:
        if catalogue is None:
            ensure_topics(kafka, namespace)
            catalogue = Catalogue()
            stack.enter_context(Follower(kafka, namespace, catalogue))
        store = stack.enter_context(closing(open_store(stores.store_url(folder, namespace))))
        log = LogAdmin(kafka, namespace)
        publisher = Publisher(producer_config(kafka))
        record_at = LogReader(kafka, namespace).record
        sealing = wrapping and SealingPublisher(publisher, Sealer(wrapping, catalogue.identity_key), namespace)
        redis = stack.enter_context(closing(client(redis_url))) if redis_url else None
        waiters = None
        if waiting is not None:
            url, flows = waiting
            waiters = Waiters(url, namespace, catalogue, wait_s=flows.wait_s, most=flows.waiters)
        live = None
        if listeners:
            live = Tail(partial(TailReader, kafka, namespace), store, catalogue.identity_key, most=listeners)
        app = create_app(
            publisher=sealing or publisher,
            store=reading or store,
            catalogue=catalogue,
            admin_key=KEY,
            namespace=namespace,
            limits=limits or Limits(),
            offsets=log.offsets,
            record_at=record_at if wrapping is None else opening(record_at, store, wrapping),
            kept=Kept(kafka, namespace),
            converter=converter_with({}),
            rules=Rules(validators or {}),
            hooks=Hooks(namespace=namespace, limits=limits or Limits(), environ=environ or {}, blobs=store),
            kinds=kinds(Settings(namespace=namespace, data=folder, kafka=kafka, imports=imports or Imports())),
            task_writer=store,
            waiters=waiters,
            live=live,
            collect_key=collect_key,
            audited=AuditLog(kafka, namespace).newest,
            queue_of=None if redis is None else lambda queue: JobQueue(redis, namespace, queue),
            import_door=Door(
                Seal("key"),
                Reach(within(imports and imports.folder), environ or {}),
                imports or Imports(),
                store,
            ),
        )
        sock = stack.enter_context(closing(listen(Api(port=0))))
        server = server_of(app, grace_s=5)
        base = f"http://127.0.0.1:{sock.getsockname()[1]}"
        task = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0)
        async with (
            httpx.AsyncClient(base_url=base, timeout=20, verify=NO_TLS) as public,
            httpx.AsyncClient(base_url=base, timeout=20, verify=NO_TLS, headers=ADMIN) as admin,
        ):
            yield Running(public, admin, store, log, kafka, namespace, catalogue)
        server.should_exit = True
        if live is not None:
            await live.close()
        await task
        await publisher.close(2)
        if waiters is not None:
            await waiters.close()
