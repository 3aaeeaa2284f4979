"""Official clients of other vendors, unchanged, pointed at a running hub: 1,000 events each, every one stored once."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Final

import pytest

from tests.clients.asking import begun, stored, unavailable
from tests.clients.installed import Installed
from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

COUNT: Final = 1_000
START: Final = datetime(2026, 3, 1, tzinfo=UTC)
CLIENTS: Final = (
    "segment-python",
    "segment-node",
    "segment-browser",
    "segment-browser-batches",
    "rudder-python",
    "rudder-node",
    "posthog-python",
    "posthog-v1-python",
    "posthog-node",
    "cloudevents-python",
    "cloudevents-node",
    "predecessor-python",
)
WITHOUT_TIMES: Final = ("predecessor-python",)
"""They do not say when it happened."""
IN_TROUBLE: Final = ("segment-python", "segment-node", "rudder-python", "rudder-node", "posthog-python", "posthog-node")


@contextmanager
def sending(
    clients: Installed, hub: WholeHub, client: str, source: str, log: Path
) -> Iterator[tuple[IO[str], IO[str]]]:
    """A client at its half: its input and output. It ends with the block, unharmed."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*clients.command(client), hub.url, f"key-{source}", str(COUNT)],
            env=clients.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "half\n", log.read_text()
            yield process.stdin, process.stdout
            assert process.wait(30) == 0, log.read_text()
        finally:
            process.kill()


def go_on(to: IO[str]) -> None:
    to.write("go\n")
    to.flush()


def check(hub: WholeHub, source: str) -> None:
    """Each order once, under the customer, the id and the time that the client gave it."""
    eventually(lambda: hub.totals()["in_flight"] == 0, 60)
    events = stored(hub, source)
    counts = Counter(event["properties"]["n"] for event in events)
    assert (sorted(counts), counts.total()) == ([*range(COUNT)], COUNT)
    for event in events:
        number = event["properties"]["n"]
        if source not in WITHOUT_TIMES:
            at = datetime.fromisoformat(event["metadata"]["time"]["create"])
            assert at == START + timedelta(seconds=number)
        assert event["profile"]["id"] == f"customer-{number % 50}"
        assert event["type"] in ("order-done", "order done")
    balance = hub.get("/balance")
    assert balance["balanced"], balance["causes"]
    assert not [row for row in balance["refused"]["rows"] if row["source"] == source]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_thousand_events_of_a_client_are_stored_once(
    client: str, clients: Installed, hub: WholeHub, tmp_path: Path
) -> None:
    hub.define("source", client, write_keys=[f"key-{client}"])
    with sending(clients, hub, client, client, tmp_path / "log") as (to, said):
        go_on(to)
        assert said.read() == "failed: []\n", (tmp_path / "log").read_text()
    check(hub, client)


@pytest.mark.parametrize("client", IN_TROUBLE)
def test_a_client_gets_through_while_kafka_is_killed(
    client: str, clients: Installed, hub: WholeHub, tmp_path: Path
) -> None:
    source = f"killed-{client}"
    hub.define("source", source, write_keys=[f"key-{source}"])
    with sending(clients, hub, client, source, tmp_path / "log") as (to, said):
        begun(hub, source)
        go_on(to)
        hub.kill("kafka")
        assert said.read() == "failed: []\n", (tmp_path / "log").read_text()
    check(hub, source)


@pytest.mark.parametrize("client", IN_TROUBLE)
def test_what_a_client_sends_again_is_stored_once(
    client: str, clients: Installed, hub: WholeHub, tmp_path: Path
) -> None:
    """Kafka hangs until there was a 503, and then writes what it had received as well as what comes again."""
    source = f"again-{client}"
    hub.define("source", source, write_keys=[f"key-{source}"])
    kafka = hub.processes()["kafka"].pid
    assert kafka is not None
    before = unavailable(hub)
    with sending(clients, hub, client, source, tmp_path / "log") as (to, said):
        begun(hub, source)
        os.kill(kafka, signal.SIGSTOP)
        try:
            go_on(to)
            eventually(lambda: unavailable(hub) > before, 60)
        finally:
            os.kill(kafka, signal.SIGCONT)
        assert said.read() == "failed: []\n", (tmp_path / "log").read_text()
    check(hub, source)
