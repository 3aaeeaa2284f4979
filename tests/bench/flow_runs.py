"""
What a run of a flow costs: `python -m tests.bench.flow_runs RUNS`.

Prints runs a second and CPU seconds per 100,000 runs as JSON, beside the same steps as a Python function.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from hub.definitions.kinds import Flow
from hub.flows.compiled import compile_flow
from hub.flows.run import Documents, run
from hub.flows.trace import Fired
from hub.ids import derived

NOW_MS: Final = 1_764_086_400_000
FLOW: Final[dict[str, Any]] = {
    "nodes": {
        "start": {"type": "start", "to": {"out": "big"}},
        "big": {
            "type": "if",
            "config": {"condition": "event@properties.amount > 10 AND profile@traits.plan = gold"},
            "to": {"then": "points"},
        },
        "points": {
            "type": "calculate",
            "config": {"formula": "event@properties.amount * 2 + profile@stats.points", "into": "points"},
            "to": {"out": "save"},
        },
        "save": {
            "type": "update-profile",
            "config": {
                "fields": {"traits.points": "payload@points", "traits.hello": "Hello {{ profile@traits.name }}"}
            },
            "to": {"out": "tell"},
        },
        "tell": {
            "type": "raise-event",
            "config": {
                "event_type": "points-given",
                "properties": {"points": "payload@points", "city": "=event.properties.city"},
            },
        },
    }
}


def documents(count: int) -> Iterator[Documents]:
    """Events of as many profiles."""
    for number in range(count):
        properties = {"amount": 11 + number % 7, "city": "Leeds", "items": [{"n": "tea", "price": 3}] * 3}
        profile = {
            "id": f"p{number}",
            "traits": {"name": "Ann", "plan": "gold"},
            "stats": {"points": number},
            "segments": [],
            "metadata": {"fields": {}},
        }
        yield Documents(
            {"id": f"e{number}", "type": "purchase", "source": {"id": "shop"}, "properties": properties}, profile
        )


def bare(one: Documents) -> Any:
    """The same steps, written by hand."""
    event, profile = one.event, one.profile
    if not (event["properties"]["amount"] > 10 and profile["traits"]["plan"] == "gold"):
        return None
    points = event["properties"]["amount"] * 2 + profile["stats"]["points"]
    changes = [("set", "traits.points", points), ("set", "traits.hello", f"Hello {profile['traits']['name']}")]
    return changes, derived("x", event["id"]), {"points": points, "city": event["properties"]["city"]}


def measured(work: Callable[[Documents], Any], given: list[Documents]) -> tuple[float, float]:
    """Runs a second, and CPU seconds per 100,000 of them."""
    began, spent = time.perf_counter(), time.process_time()
    for one in given:
        work(one)
    took, used = time.perf_counter() - began, time.process_time() - spent
    return len(given) / took, used / len(given) * 100_000


def main(count: int) -> None:
    """Print the figures."""
    flow = compile_flow("points", Flow.model_validate(FLOW), 1)
    given = list(documents(count))

    def work(one: Documents) -> None:
        fired = Fired(one.event["id"], "event", NOW_MS, one.event["properties"])
        found = run(flow, fired, one, now_ms=NOW_MS, clock_ns=time.perf_counter_ns)
        assert (found.state, len(found.steps), len(found.effects)) == ("done", 5, 3), found

    rate, cpu_s = measured(work, given)
    print(
        msgspec.json.encode(
            {"runs_per_s": rate, "cpu_s_per_100k": cpu_s, "bare_per_s": measured(bare, given)[0]}
        ).decode()
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
