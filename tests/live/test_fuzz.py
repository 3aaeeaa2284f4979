"""Requests that nobody would send, to every door: no crash, no 500, and what was acknowledged is stored."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from hub.api.sheet import judge
from hub.log.admin import LogAdmin, ensure_topics
from hub.settings import Kafka
from hub.store.factory import open_store
from hub.store.port import Reading
from tests import stores
from tests.fuzz.ledger import Line, differences, line
from tests.fuzz.shots import Shot, shots
from tests.fuzz.site import judged, site
from tests.live.api import read_all
from tests.live.collector import collector
from tests.waiting import wait_for


@pytest.mark.parametrize(
    ("examples", "number"),
    [(600, 1), pytest.param(60_000, 2, marks=[pytest.mark.long, pytest.mark.timeout(3_600)])],
)
def test_whatever_comes_nothing_breaks_and_nothing_acknowledged_is_lost(kafka, namespace, tmp_path, examples, number):
    ours = Kafka(bootstrap=kafka, partitions=1)
    ensure_topics(ours, namespace)
    lines: list[Line] = []
    with site(ours, namespace, tmp_path) as one:

        @seed(number)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(shot=shots())
        def fire(shot: Shot) -> None:
            reply = one.fire(shot, len(lines))
            lines.append(line(len(lines), shot, reply))
            wrong = judged(shot, reply)
            assert not wrong, f"{wrong}\n{shot}"

        fire()
    assert list(differences(lines, read_all(ours, namespace))) == []
    assert sum(each.status == 200 for each in lines) > examples // 20
    with (
        collector(kafka, namespace, tmp_path),
        closing(open_store(stores.store_url(tmp_path, namespace), readonly=True)) as store,
    ):
        wait_for("everything is applied", lambda: not in_flight(store, ours, namespace), 300)
        books = store.books(0, 0, count_events=True)
    assert judge(books, LogAdmin(ours, namespace).offsets()).causes == []
    # whatever the edge lets through, the collector can work with
    assert sum(counts.dead for counts in books.totals.values()) == sum(each.taken == "dead_letter" for each in lines)


def in_flight(store: Reading, kafka: Kafka, namespace: str) -> int:
    """Records that no collector has applied yet."""
    return judge(store.books(0, 0), LogAdmin(kafka, namespace).offsets()).in_flight
