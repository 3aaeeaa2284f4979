"""Makes a fixture: `python -m tests.upgrades.make COMMIT` runs the hub of that commit, and keeps its store.

It needs git's history, and Kafka's jars as `hub up` does. Ids and times are other ones each time, so a fixture is made
once: when a release is about to be published, from its own commit. Then its schema goes into `SCHEMAS`.
"""

from __future__ import annotations

import io
import json
import lzma
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx
from confluent_kafka import Producer

from tests.upgrades import FOLDER

ROOT: Final = Path(__file__).parents[2]
IDENTITY_KEY: Final = "a key of the tests"
PATIENCE_S: Final = 60.0
LISTS: Final = ("/profiles", "/events", "/sessions", "/dead-letters")
DEFINITIONS: Final[dict[str, dict[str, Any]]] = {
    "source/shop": {"name": "Shop"},
    "identification-point/sign-in": {
        "event_type": "sign-in",
        "identifiers": [{"event": "properties.email", "kind": "email"}],
    },
    "mapping/orders": {
        "event_type": "order",
        "fields": [
            {"profile": "traits.spent", "event": "properties.total", "op": "add"},
            {"profile": "traits.city", "event": "properties.city"},
        ],
    },
}


def main(commit: str) -> None:
    """Run it, write both files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder / "tree", filter="data")
        data = folder / "data"
        hub(folder, "up", "--detach", "--data", str(data), "--port", "0")
        try:
            found = fill(data)
        finally:
            hub(folder, "down", "--data", str(data))
        with closing(sqlite3.connect(data / "hub.sqlite")) as connection:
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            lines = [
                *connection.iterdump(),
                f"PRAGMA application_id = {application};",
                f"PRAGMA user_version = {schema};",
            ]
    for suffix, text in (("sql", "\n".join(lines) + "\n"), ("json", json.dumps(found, indent=1))):
        path = FOLDER / f"schema-{schema}.{suffix}.xz"
        path.write_bytes(lzma.compress(text.encode(), preset=9))
        print(path, path.stat().st_size, "bytes")


def hub(folder: Path, *arguments: str) -> None:
    """A command of the release."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    environment |= {"PYTHONPATH": str(folder / "tree"), "HUB_IDENTITY__KEY": IDENTITY_KEY}
    subprocess.run([sys.executable, "-m", "hub", *arguments], cwd=folder / "tree", env=environment, check=True)


def fill(data: Path) -> dict[str, Any]:
    """Something of all that a store has. Returns what the API answers then."""
    run = json.loads((data / "run.json").read_text())
    key = (data / "admin-key").read_text().strip()
    with httpx.Client(base_url=run["url"], headers={"Authorization": f"Bearer {key}"}, timeout=30) as http:
        for place, spec in DEFINITIONS.items():
            ok(http.put(f"/definitions/{place}", json=spec))
        for number in range(40):
            person = f"person-{number % 8}"
            days = f"2026-{9 + number % 3:02d}-{1 + number % 28:02d}T12:00:00Z"
            events: list[dict[str, Any]] = [
                {
                    "type": "order",
                    "properties": {"total": number, "city": f"Città {number % 3}"},
                    "time": {"insert": days},
                },
                {"type": "page-view", "properties": {"page": f"/{number}"}},
            ]
            track(http, person, f"visit-{number % 8}-{number // 8}", events)
        for browser in ("person-0", "person-1", "phone"):
            sign_in = [{"type": "sign-in", "properties": {"email": "ann@example.com"}}]
            track(http, browser, f"sign-in-{browser}", sign_in)
            settle(http)
        producer = Producer({"bootstrap.servers": run["kafka"]})
        producer.produce("hub.events.v1", b"no Avro at all", b"person-2")
        assert producer.flush(30) == 0
        settle(http)
        ok(http.post("/profiles/person-7/erase", json={"reason": "asked for"}))
        settle(http)
        deadline = time.monotonic() + PATIENCE_S
        while any(one["state"] != "done" for one in ok(http.get("/erasures")).json()["items"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        found: dict[str, Any] = {path: ok(http.get(path, params={"size": 1_000})).json()["items"] for path in LISTS}
        found["/balance"] = ok(http.get("/balance")).json()["totals"]
        found |= {f"/profiles/{id}": ok(http.get(f"/profiles/{id}")).json() for id in ("person-0", "person-1", "phone")}
        return found


def track(http: httpx.Client, profile: str, session: str, events: list[dict[str, Any]]) -> None:
    """POST /track."""
    body = {"source": {"id": "shop"}, "profile": {"id": profile}, "session": {"id": session}, "events": events}
    ok(http.post("/track", json=body))


def settle(http: httpx.Client) -> None:
    """Wait until all that was sent is stored."""
    deadline = time.monotonic() + PATIENCE_S
    while ok(http.get("/balance")).json()["totals"]["in_flight"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def ok(response: httpx.Response) -> httpx.Response:
    """The response, which has to be good."""
    assert response.is_success, f"{response.request.url}: {response.text}"
    return response


if __name__ == "__main__":
    main(sys.argv[1])
