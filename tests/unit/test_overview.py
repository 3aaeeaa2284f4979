"""The overview's figures: rates, lag, quantiles of several processes, who is worst; and a process' own figures."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from hub.api.metrics import EVENTS, TRACK_S
from hub.api.overview import STORED, Overviews, by_state, latency, quantile
from hub.beat import Figures, Pulse, figures, grown
from hub.errors import Unavailable
from hub.model import Counts
from hub.store.memory import MemoryStore
from hub.store.port import Books, CountedMinute
from schemas.processes import Alive, decode, encode

NOW_MS = 1_790_000_040_000  # 0 s into a minute
MINUTE = NOW_MS // 60_000


class Nobody:
    """No bridges."""

    async def all(self) -> list[dict[str, Any]]:
        return []


class Store(MemoryStore):
    """Books of a test."""

    rows: tuple[CountedMinute, ...] = ()
    asked = 0
    away = False

    def books(self, since: int, until: int, *, count_events: bool = False) -> Books:
        self.asked += 1
        if self.away:
            raise Unavailable("store", "it is being moved")
        totals = Counts(received=90, stored=80, dead=10)
        return Books(1, {0: 90}, {"shop": totals}, list(self.rows), [], None)


def overviews(store: Store, end: int = 90, at_ms: int = NOW_MS) -> Overviews:
    return Overviews(store, lambda: {0: (0, end)}, None, bridges=Nobody(), destinations=Nobody(), now_ms=lambda: at_ms)


def alive(**more: Any) -> Alive:
    return Alive(id="a", kind="collector", host="h", pid=1, version="1", since_ms=NOW_MS, **more)


async def test_rates_are_of_the_last_minute_and_lag_is_what_is_on_the_log() -> None:
    store = Store()
    store.rows = (
        CountedMinute(MINUTE, "shop", Counts(received=30, stored=30)),
        CountedMinute(MINUTE - 1, "shop", Counts(received=60, stored=50, dead=10)),
        CountedMinute(MINUTE - 1, "app", Counts(received=60, duplicate=60)),
    )
    told = await overviews(store, end=96, at_ms=NOW_MS + 30_000).now()
    # half of the minute before, and what is in this one
    assert told["rates"] == {"received": 1.5, "stored": 0.92, "duplicate": 0.5, "dropped": 0.0, "dead": 0.08}
    assert told["lag"] == {"records": 6, "seconds": 4.0}
    assert told["minutes"][-1]["received"] == 2.0
    assert len(told["minutes"]) == 15
    assert told["totals"] == {"received": 96, "stored": 80, "duplicate": 0, "dropped": 0, "dead": 10, "in_flight": 6}
    assert (told["balanced"], told["difference"], told["causes"]) == (True, 0, [])


async def test_what_is_away_is_named_and_the_rest_is_there() -> None:
    store = Store()
    store.away = True
    told = await overviews(store).now()
    assert told["missing"]["totals"] == "store: it is being moved"
    assert "HUB_REDIS__URL" in told["missing"]["processes"]
    assert (told["totals"], told["lag"], told["kinds"]) == (None, None, None)
    assert told["bridges"] == {"states": {}, "worst": []}
    assert told["dead_letters"] == {"open": 0, "reasons": {}}


async def test_many_who_ask_at_once_cost_one_look() -> None:
    store = Store()
    page = overviews(store)
    answers = await asyncio.gather(*[page.now() for _ in range(50)])
    assert store.asked == 1
    assert all(answer is answers[0] for answer in answers)


async def test_a_part_that_hangs_holds_up_no_other_and_is_asked_once(monkeypatch: Any) -> None:
    monkeypatch.setattr("hub.api.overview.ANSWER_S", 0.05)
    monkeypatch.setattr("hub.api.overview.FRESH_S", 0.0)
    goes_on, asked = threading.Event(), []

    def offsets() -> dict[int, tuple[int, int]]:
        asked.append(1)
        goes_on.wait()
        return {0: (0, 90)}

    page = Overviews(Store(), offsets, None, bridges=Nobody(), destinations=Nobody(), now_ms=lambda: NOW_MS)
    for _ in range(3):
        told = await page.now()
        assert "no answer" in told["missing"]["lag"]
        assert told["totals"]["stored"] == 80
    assert len(asked) == 1
    goes_on.set()
    await page._looks["lag"][1]
    assert (await page.now())["balanced"]


def test_quantiles_are_of_all_processes_together() -> None:
    some = [alive(seconds={STORED: [(0.1, 98.0)]}), alive(seconds={STORED: [(0.1, 1.0), (5.0, 1.0)]}), alive()]
    assert latency(some, STORED) == {"p50": 0.1, "p99": 0.1, "count": 100}
    assert quantile({0.1: 98, 5.0: 2}, 0.99) == 5.0
    assert latency([], STORED) == {"p50": None, "p99": None, "count": 0}


def test_the_worst_are_those_that_failed() -> None:
    def one(id: str, state: str, error: str | None) -> dict[str, Any]:
        return {"id": id, "state": state, "last_error": error, "last_error_at": None}

    told = by_state(
        [
            one("a", "running", "once upon a time"),
            one("b", "waiting_for_kafka", "away"),
            one("c", "failed", "no such queue"),
            one("d", "paused", None),
        ]
    )
    assert told["states"] == {"running": 1, "waiting_for_kafka": 1, "failed": 1, "paused": 1}
    assert [worst["id"] for worst in told["worst"]] == ["c", "b"]


def test_what_has_grown_is_by_bucket() -> None:
    old = Figures(0.0, {"c": 5.0}, {"h": {0.1: 2.0, 1.0: 4.0, float("inf"): 4.0}})
    new = Figures(9.0, {"c": 7.0}, {"h": {0.1: 5.0, 1.0: 7.0, float("inf"): 8.0}})
    assert grown(old, new) == ({"c": 2.0}, {"h": [(0.1, 3.0), (1e9, 1.0)]})


def test_a_process_tells_its_own_figures() -> None:
    pulse = Pulse("api")
    EVENTS.labels("rest").inc(3)
    TRACK_S.observe(0.004)
    told = decode(encode(pulse.now()))
    assert told.kind == "api"
    assert told.memory_bytes > 1_000_000
    assert told.counts["hub_received_events_total"] == 3
    assert told.seconds["hub_track_seconds"] == [(0.005, 1.0)]
    assert figures(0.0).counts["hub_received_events_total"] >= 3
