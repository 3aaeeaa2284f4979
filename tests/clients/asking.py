"""What a hub says about the events of a client."""

from __future__ import annotations

from typing import Any

from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub


def stored(hub: WholeHub, source: str) -> list[dict[str, Any]]:
    """The events of a source."""
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = hub.get("/events", q=f'source.id = "{source}"', size=1_000, **({"cursor": cursor} if cursor else {}))
        items += page["items"]
        cursor = page["next"]
    return items


def begun(hub: WholeHub, source: str) -> None:
    """Something of the first half is stored."""
    eventually(lambda: hub.get("/events/count", q=f'source.id = "{source}"')["count"] > 0, 60)


def unavailable(hub: WholeHub) -> float:
    """How many requests were answered with 503 because Kafka did not acknowledge."""
    lines = hub.ask("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("hub_unavailable_answers_total"))
