"""What every destination promises, on its real server: each event at least once, under its id, in order per profile."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridges.outward.registry import spec_of
from hub.log.admin import LogAdmin
from hub.log.lag import DestinationLag
from hub.settings import Kafka
from schemas.topics import EVENTS
from tests.destinations import numbers, running, store
from tests.sources import World
from tests.targets import NAMES, Sink, open_sink

pytestmark = pytest.mark.slow

COUNT = 60


@pytest.fixture(params=NAMES)
def sink(request: pytest.FixtureRequest, kafka: str, shared_folder: Path, namespace: str) -> Iterator[Sink]:
    with open_sink(request.param, World(kafka, shared_folder, namespace)) as made:
        yield made


def firsts(found: Sequence[int]) -> list[int]:
    """Of those that came again, where they came first."""
    return list(dict.fromkeys(found))


def in_order(sink: Sink, found: Sequence[int]) -> bool:
    """Of each profile by itself."""
    return not getattr(sink, "in_order", True) or all(
        [n for n in found if n % 3 == p] == sorted(n for n in found if n % 3 == p) for p in range(3)
    )


async def test_every_event_is_sent_once_and_in_the_order_of_its_profile(
    sink: Sink, ours: Kafka, namespace: str
) -> None:
    store(ours, namespace, range(COUNT))
    async with running(ours, namespace, sink.kind, sink.definition) as destination:
        await destination.until(forwarded=COUNT)
        store(ours, namespace, range(COUNT, COUNT + 5))
        await destination.until(forwarded=COUNT + 5)
    found = numbers(await asyncio.to_thread(sink.arrived))
    assert sorted(found) == list(range(COUNT + 5))
    assert in_order(sink, found)
    assert DestinationLag(ours, namespace)(["d"]) == {"d": 0}


async def test_what_was_sent_is_not_sent_again_after_a_stop(sink: Sink, ours: Kafka, namespace: str) -> None:
    store(ours, namespace, range(10))
    async with running(ours, namespace, sink.kind, sink.definition) as destination:
        await destination.until(forwarded=10)
    store(ours, namespace, range(10, 15))
    async with running(ours, namespace, sink.kind, sink.definition) as destination:
        await destination.until(forwarded=5)
    assert sorted(numbers(await asyncio.to_thread(sink.arrived))) == list(range(15))


async def test_killed_between_send_and_commit(sink: Sink, ours: Kafka, namespace: str) -> None:
    """Sent again under the same ids; a target that knows ids has each once."""
    store(ours, namespace, range(20))
    definition = json.dumps({"type": sink.kind, **sink.definition})
    command = [sys.executable, "-m", "tests.destinations", ours.bootstrap, namespace, definition]
    killed = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, timeout=60, check=False)
    assert killed.returncode == -9
    assert b"sent" in killed.stdout
    before = numbers(await asyncio.to_thread(sink.arrived))
    assert before
    async with running(ours, namespace, sink.kind, sink.definition) as destination:
        await destination.until(forwarded=20)
    found = numbers(await asyncio.to_thread(sink.arrived))
    assert in_order(sink, firsts(found))
    assert set(found) == set(range(20))
    assert len(found) == (20 if sink.exactly_once else 20 + len(before))


async def test_a_target_that_is_away(sink: Sink, ours: Kafka, namespace: str) -> None:
    """The error says where and what to do, nothing is committed, nothing becomes a dead letter; then all of it goes."""
    store(ours, namespace, range(12))
    definition = {**sink.definition, "retry": {"first_s": 0.05, "longest_s": 0.1}}
    settings = {**sink.away, "timeout_s": 1}
    async with running(ours, namespace, sink.kind, {**definition, "settings": settings}) as destination:
        status = await destination.until(state="failed")
        assert status.last_error.startswith("target: ")
        assert "127.0.0.1:" in status.last_error
        assert "settings." in status.last_error
        assert (status.forwarded, status.refused) == (0, 0)
    assert sum(LogAdmin(ours, namespace).end_offsets(EVENTS).values()) == 0
    async with running(ours, namespace, sink.kind, sink.definition) as destination:
        await destination.until(forwarded=12)
    assert sorted(numbers(await asyncio.to_thread(sink.arrived))) == list(range(12))


@pytest.mark.parametrize("settings", [{}, {"nonsense": 1}])
def test_settings_are_checked(sink: Sink, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Field required|Extra inputs"):
        spec_of(sink.kind).settings.model_validate(settings)
