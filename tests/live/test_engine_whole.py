"""A whole hub as a user runs it, with its store in a search engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import stores
from tests.kafka_tools import eventually
from tests.live.test_dead_letters_whole import MENDED, WRONG, deploy, messages
from tests.live.whole_hub import WholeHub, hub, whole_hub
from tests.sources.kafka import KafkaSource

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

POINT = {"event_type": "sign-in", "identifiers": [{"event": "properties.email", "kind": "email"}]}


def test_what_comes_in_is_found_mended_traced_replayed_and_erased(shared_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with stores.engine("elasticsearch", shared_folder):
        try:
            with whole_hub(data) as running:
                running.define("source", "shop")
                running.define("mapping", "total", event_type="counted", fields=[SUM])
                running.define("identification-point", "mail", **POINT)
                found_and_traced(running)
                mended(running)
                replayed(running)
                erased(running)
                assert not list(data.glob("*.sqlite*")), "nothing of the store is in the folder"
        finally:
            stores.forget(stores.namespace_of(data))


OURS = "type = counted or type = sign-in"
SUM = {"event": "properties.n", "profile": "traits.n", "op": "add"}


def track(running: WholeHub, profile: str, type: str = "counted", **properties: Any) -> None:
    body = {
        "source": {"id": "shop"},
        "session": {"id": f"s-{profile}"},
        "profile": {"id": profile},
        "events": [{"type": type, "properties": properties}],
    }
    answer = running.http.post("/track", json=body)
    assert answer.status_code == 200, answer.text


def found_and_traced(running: WholeHub) -> None:
    """By id, by search, by what is counted; one person with two ids is one."""
    for n in range(30):
        track(running, f"p{n % 3}", n=n)
    track(running, "p0", "sign-in", email="ann@example.com")
    eventually(lambda: running.get("/events/count", q=OURS)["count"] == 31)
    track(running, "other", "sign-in", email="Ann@Example.com")
    eventually(lambda: running.http.get("/profiles/p0").json().get("id") == "other")
    eventually(lambda: running.totals()["in_flight"] == 0)
    # who was told that it is stored finds it
    assert running.get("/events/count", q=OURS)["count"] == 32
    assert [running.get(f"/profiles/p{n}")["traits"]["n"] for n in range(3)] == [135, 145, 155]
    assert running.get("/events/count", q="properties.n >= 20 and type = counted")["count"] == 10
    assert running.get("/profiles/count", q="traits.n >= 140 and traits.n < 150")["count"] == 1
    (event,) = running.get("/events", q="properties.n = 29", size=1)["items"]
    assert running.get(f"/events/{event['id']}/trace")["profile"]["id"] == "p2"
    balance = running.get("/balance", verify="true")
    assert balance["balanced"], balance


def mended(running: WholeHub) -> None:
    """A bridge whose mapping is wrong for some messages; what it has buried comes back."""
    source = KafkaSource(running.kafka, "orders")
    deploy(running, source, WRONG)
    source.put(messages(range(100), 10))
    eventually(lambda: (totals := running.totals())["dead"] == 10 and totals["in_flight"] == 0)
    assert running.get("/dead-letters/count", q="reason = mapping_failed")["count"] == 10
    deploy(running, source, MENDED)
    done = hub("dead-letters", "replay", "--data", running.data, "--q", "")
    assert done.stdout == "10 dead letters: 10 sent, 0 refused again, 0 skipped\n", done.stderr
    eventually(lambda: running.get("/dead-letters/count", q="status = resolved")["count"] == 10)


def replayed(running: WholeHub) -> None:
    """Into a shadow, which is in the same engine and equals live."""
    shadow = f"{running.state().namespace}-next"
    options = ("--from", "beginning", "--into", shadow, "--json", "--data", running.data)
    done = hub("replay", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["diff"]["fields"], report["diff"]["same"]) == ([], 13)


def erased(running: WholeHub) -> None:
    """With all that she was."""
    asked = running.http.post("/profiles/other/erase", json={"reason": "ticket 7"})
    assert asked.status_code == 202, asked.text
    eventually(lambda: running.http.get(f"/erasures/{asked.json()['id']}").json().get("state") == "done")
    assert running.http.get("/profiles/p0").status_code == 404
    assert running.get("/events/count", q="type = sign-in")["count"] == 0
