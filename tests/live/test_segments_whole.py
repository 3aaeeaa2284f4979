"""Segments in a hub as a user runs it: agents and worker beside the rest, killed at will."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub, hub, whole_hub


def send(running: WholeHub, profile: str, *events: tuple[str, dict[str, int]]) -> None:
    body = {
        "source": {"id": "shop"},
        "profile": {"id": profile},
        "events": [{"type": type, "properties": properties} for type, properties in events],
    }
    assert running.http.post("/track", json=body).status_code == 200


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_segment_is_filled_left_on_time_and_told_of(tmp_path: Path) -> None:
    with whole_hub(tmp_path / "data", agents=True) as running:
        running.define("source", "shop")
        running.define("mapping", "n", event_type="sign-in", fields=[{"event": "properties.n", "profile": "traits.n"}])
        for n in range(60):
            send(running, f"p{n}", ("sign-in", {"n": n}))
        eventually(lambda: running.get("/profiles/count")["count"] == 60)

        running.define("segment", "high", name="High", condition="traits.n >= 20")
        eventually(lambda: running.get("/segments/high")["backfill"]["state"] == "done")
        eventually(lambda: running.get("/segments/high")["size"] == 40)

        # what is due while nobody is there to see it is done when somebody is back
        running.define("segment", "now", condition="count(purchase) in last 4 seconds >= 1")
        send(running, "p1", ("purchase", {}))
        eventually(lambda: running.get("/segments/now")["size"] == 1)
        for name in ("agents", "worker"):
            running.kill(name)
        eventually(lambda: running.get("/segments/now")["size"] == 0)
        running.define("segment", "high", name="High", condition="traits.n >= 50")
        eventually(lambda: running.get("/segments/high")["size"] == 10)

        listed = hub("segment", "list", "--data", running.data)
        assert listed.stdout.split() == ["high", "10", "High", "now", "0"], listed.stderr
        shown = hub("segment", "show", "high", "--json", "--data", running.data)
        assert json.loads(shown.stdout)["backfill"]["looked"] == 60, shown.stderr
        why = hub("segment", "preview", "traits.n > 55", "--profile", "p1", "--size", "0", "--data", running.data)
        assert "4 of 60 profiles" in why.stdout, why.stderr
        assert "p1 is out" in why.stdout
        assert len(hub("segment", "members", "high", "--data", running.data).stdout.splitlines()) == 10
        assert hub("segment", "backfill", "high", "--data", running.data).returncode == 0
