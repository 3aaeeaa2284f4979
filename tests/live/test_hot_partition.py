"""One profile with far more traffic than all others: neither reordered nor ahead of them, on a real Kafka."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Final

import httpx
import pytest

from hub.log.admin import LogAdmin
from hub.settings import Kafka
from hub.store import open_store
from hub.store.port import Store
from schemas.topics import EVENTS
from tests import stores
from tests.factories import event, track
from tests.kafka_tools import eventually, read, write_events
from tests.live.api import running
from tests.live.collector import collector

BACKLOG: Final = 100_000
AHEAD: Final = 7_000
"""
Records of a backlog that may be written between another record's acknowledgement and its being written: the batches in
hand, what is read ahead, and what is written until the test looks. With librdkafka's own read-ahead they are 9,000 to
26,000 of these, and of records that compress well 80,000.
"""
HOT_ROUNDS: Final = 400
SEEN: Final = {
    "event_type": "step",
    "fields": [{"event": "properties.n", "profile": "traits.seen", "op": "append-unique"}],
}


def _positions(store: Store) -> dict[int, int]:
    return store.latest_progress()[1]


def _opened(folder: Path, namespace: str) -> Store:
    url = stores.store_url(folder, namespace)
    open_store(url).close()
    return open_store(url, readonly=True)


@pytest.mark.slow
def test_a_backlog_on_one_partition_holds_up_no_other(kafka: str, namespace: str, tmp_path: Path) -> None:
    """Counted in records that are written in between, so that it does not depend on the machine's speed."""
    settings = Kafka(bootstrap=kafka, partitions=4)
    LogAdmin(settings, namespace).ensure_topics()
    write_events(settings, namespace, [track(f"p{p}", event(f"first-{p}")) for p in range(30)])
    write_events(settings, namespace, [track("hot", event("hot-first"))])
    place = {message.key(): message.partition() or 0 for message in read(settings, namespace, EVENTS)}
    hot = place[b"hot"]
    others = [f"p{p}" for p in range(30) if place[b"p%d" % p] != hot]
    assert others
    note = secrets.token_hex(150)
    write_events(
        settings,
        namespace,
        (track("hot", event(f"hot-{n}", n=n, note=f"{secrets.token_hex(150)}{note}")) for n in range(BACKLOG)),
    )
    store = _opened(tmp_path, namespace)
    between = []
    with collector(kafka, namespace, tmp_path):
        eventually(lambda: _positions(store).get(hot, 0) > 5_000)
        # a few times: one that comes at a good moment proves nothing
        for turn in range(3):
            write_events(settings, namespace, [track(p, event(f"other-{turn}-{p}")) for p in others])
            before = _positions(store)[hot]
            eventually(lambda turn=turn: all(store.get("events", f"other-{turn}-{p}") for p in others))
            between.append(_positions(store)[hot] - before)
        assert _positions(store)[hot] < BACKLOG, f"the others were written last: {between}"
    store.close()
    assert max(between) <= AHEAD, between


@pytest.mark.slow
async def test_a_hot_profiles_order_from_the_edge_to_the_store_with_retries(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    """
    Each client sends one payload after the other. Every third answer is taken for lost, and the payload sent again,
    once before the next one and once behind it.
    """
    settings = Kafka(bootstrap=kafka, partitions=4)
    async with running(settings, namespace, tmp_path) as hub:
        assert (await hub.define("source", "shop")).is_success
        assert (await hub.define("mapping", "seen", **SEEN)).is_success

        async def step(profile: str, n: int) -> None:
            answer: httpx.Response = await hub.public.post(
                "/track",
                json={
                    "source": "shop",
                    "profile": {"id": profile},
                    "events": [{"type": "step", "properties": {"n": n}}],
                },
                headers={"Idempotency-Key": f"{profile}-{n}"},
            )
            assert answer.status_code == 200, answer.text

        async def walk(profile: str, steps: int) -> None:
            for n in range(steps):
                await step(profile, n)
                if n % 3 == 2:
                    await step(profile, n)
                    await step(profile, n - 1)

        with collector(kafka, namespace, tmp_path):
            async with asyncio.TaskGroup() as clients:
                clients.create_task(walk("hot", HOT_ROUNDS))
                for p in range(8):
                    clients.create_task(walk(f"p{p}", HOT_ROUNDS // 100))

            def seen(profile: str) -> list[int]:
                found = hub.store.get("profiles", profile)
                return [] if found is None else found["traits"].get("seen", [])

            def all_seen() -> bool:
                return len(seen("hot")) == HOT_ROUNDS and all(len(seen(f"p{p}")) == 4 for p in range(8))

            await asyncio.to_thread(eventually, all_seen)
        assert seen("hot") == list(range(HOT_ROUNDS))
        assert all(seen(f"p{p}") == list(range(4)) for p in range(8))
