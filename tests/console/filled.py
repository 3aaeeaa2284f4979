"""A little of everything that the console shows."""

from __future__ import annotations

from typing import Final

from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub

SOURCE: Final = "shop"
BRIDGE: Final = "orders"
TOWNS: Final = ("Oxford", "Reading", "Windsor")
PEOPLE: Final = 12


def fill(hub: WholeHub) -> None:
    """Events of some people, a dead letter, a bridge, a segment, a flow; returns when all of it is stored."""
    hub.define("source", SOURCE, type=["rest", "bridge"], name="Shop")
    hub.define("validator", "purchases", event_type="purchase", mode="dead-letter", properties=_AMOUNT)
    hub.define("segment", "big-spenders", name="Big spenders", condition="traits.spent > 100")
    hub.define("bridge", BRIDGE, type="webhook", source=SOURCE, name="Orders", settings={"signature": "none"})
    hub.define("flow", "welcome", name="Welcome", triggers=[{"type": "manual"}], nodes=_WELCOME)
    for n in range(PEOPLE):
        events = [
            {"type": "page-view", "properties": {"page": "/boats"}, "context": {"town": TOWNS[n % len(TOWNS)]}},
            {"type": "purchase", "properties": {"amount": "a lot" if n == 0 else 20.5 * n, "currency": "GBP"}},
        ]
        answer = hub.http.post(
            "/track",
            json={"source": SOURCE, "session": {"id": f"s{n}"}, "profile": {"id": f"person-{n}"}, "events": events},
        )
        assert answer.is_success, answer.text
    eventually(lambda: hub.totals()["in_flight"] == 0 and hub.totals()["stored"] >= 2 * PEOPLE - 1, 60)


_WELCOME: Final = {
    "start": {"type": "start", "to": {"out": "spends"}},
    "spends": {
        "type": "has-segment",
        "config": {"segments": ["big-spenders"]},
        "to": {"then": "thank", "else": "wait"},
    },
    "thank": {"type": "update-profile", "config": {"fields": {"traits.gift": "tea"}}},
    "wait": {"type": "pause", "config": {"wait": "7d"}, "to": {"out": "ask"}},
    "ask": {"type": "raise-event", "config": {"event_type": "reminder-due"}},
}
_AMOUNT: Final = {"type": "object", "properties": {"amount": {"type": "number"}}}
