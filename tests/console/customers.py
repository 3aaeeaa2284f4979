"""Customers with all that a profile can have: merges, consents, traits, segments; and one whose data is hostile."""

from __future__ import annotations

from typing import Any, Final

from tests.console.filled import SOURCE
from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub

ANN: Final = "ann-laptop"
"""Two profiles, made one by an e-mail address."""
ANN_PHONE: Final = "ann-phone"
HOSTILE: Final = "<img src=x onerror=window.hacked=1>"
SCRIPT: Final = "javascript:window.hacked=1"
MALLORY: Final = f"mallory {HOSTILE}"
AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"


def track(hub: WholeHub, profile: str, session: str, *events: dict[str, Any], agent: str = AGENT) -> None:
    """Send events of somebody."""
    answer = hub.http.post(
        "/track",
        headers={"User-Agent": agent},
        json={"source": SOURCE, "session": {"id": session}, "profile": {"id": profile}, "events": list(events)},
    )
    assert answer.is_success, answer.text


def fill(hub: WholeHub) -> None:
    """Returns when all of it is stored."""
    hub.define("consent-type", "marketing", name="Marketing")
    hub.define(
        "identification-point",
        "sign-in",
        event_type="sign-in",
        identifiers=[{"event": "properties.email", "kind": "email"}],
    )
    hub.define(
        "mapping",
        "spending",
        event_type="purchase",
        fields=[
            {"event": "properties.amount", "profile": "traits.spent", "op": "add"},
            {"event": "properties.plan", "profile": "traits.plan"},
            {"event": "properties.site", "profile": "traits.site"},
        ],
    )
    signed_in = {"type": "sign-in", "properties": {"email": "Ann.Lee@example.com"}}
    track(hub, ANN_PHONE, "ann-2", {"type": "page-view", "properties": {"page": "/oars"}}, signed_in)
    eventually(lambda: hub.http.get(f"/profiles/{ANN_PHONE}").is_success, 30)
    track(
        hub,
        ANN,
        "ann-1",
        {"type": "page-view", "properties": {"page": "/boats", "url": "https://shop.example/boats"}},
        signed_in,
        {"type": "purchase", "properties": {"amount": 250.5, "plan": "gold", "currency": "GBP"}},
        {"type": "increase-interest", "properties": {"interest": "rowing", "value": 3}},
    )
    eventually(lambda: ANN_PHONE in hub.http.get(f"/profiles/{ANN}").json().get("ids", ()), 60)
    consents = {
        "source": {"id": SOURCE},
        "session": {"id": "ann-1"},
        "profile": {"id": ANN},
        "consents": {"marketing": True},
    }
    eventually(lambda: hub.http.post("/customer/consent", json=consents).is_success, 30)
    track(
        hub,
        MALLORY,
        f"session {HOSTILE}",
        {"type": HOSTILE, "properties": {HOSTILE: HOSTILE, "url": SCRIPT}, "context": {"page": {"url": SCRIPT}}},
        {"type": "purchase", "properties": {"amount": 1_000, "plan": HOSTILE, "site": SCRIPT}},
        agent=HOSTILE,
    )
    eventually(lambda: hub.totals()["in_flight"] == 0 and "marketing" in hub.get(f"/profiles/{ANN}")["consents"], 60)
    eventually(lambda: hub.get("/profiles", q='traits.plan = "gold"')["items"][0]["segments"], 60)
