"""A month of a shop whose customers grow in number: what is on events.v1 then, and what a hub has defined for it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tests.bench import payloads, preload

DAYS: Final = 30
SPENT: Final = "traits.spent > 500"
DEFINED: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("mapping", "signed-up"): {
        "event_type": "sign-up",
        "fields": [
            {"event": "properties.first", "profile": "data.pii.firstname"},
            {"event": "properties.last", "profile": "data.pii.lastname"},
            {"event": "properties.email", "profile": "data.contact.email.main"},
            {"event": "properties.plan", "profile": "traits.plan"},
            {"event": "properties.country", "profile": "traits.country"},
        ],
    },
    ("mapping", "spending"): {
        "event_type": "purchase",
        "fields": [
            {"event": "properties.amount", "profile": "traits.spent", "op": "add"},
            {"event": "properties.product", "profile": "traits.last_product"},
        ],
    },
    ("identification-point", "signed-up"): {
        "event_type": "sign-up",
        "identifiers": [{"event": "properties.email", "kind": "email"}],
    },
    ("segment", "regulars"): {"name": "Regulars", "condition": "count(purchase) in last 90 days >= 3"},
    ("segment", "spenders"): {"name": "Spenders", "condition": SPENT},
    ("segment", "gold-gb"): {"name": "Gold, GB", "condition": "traits.plan = gold AND traits.country = GB"},
    ("heartbeat", "greeting"): {"event_type": "was-greeted", "every": "52w"},
    ("flow", "sorry"): {
        "name": "Sorry",
        "triggers": [{"type": "event", "event_type": "refund"}],
        "nodes": {
            "start": {"type": "start", "to": {"out": "note"}},
            "note": {"type": "update-profile", "config": {"fields": {"traits.refunded": True}}},
        },
    },
}
"""Specs by kind and id, beside those of tests/console/filled.py."""

_TYPES: Final = ("page-view",) * 650 + ("search",) * 150 + ("cart-add",) * 120 + ("purchase",) * 79 + ("refund",)
_FIRST: Final = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gwen", "Hugo", "Ida", "Jack", "Kate", "Liam", "Mia")
_LAST: Final = ("Archer", "Baker", "Carter", "Dyer", "Fisher", "Glover", "Hunter", "Mason", "Potter", "Smith", "Tyler")
_PLANS: Final = ("free", "silver", "gold", "trade")
_COUNTRIES: Final = ("GB", "IE", "FR", "DE", "ES", "IT", "NL", "PL", "SE", "US")
_WRONG_EACH: Final = 500
"""Of so many purchases one has an amount that is none, which its validator refuses."""


def customer(number: int) -> str:
    """The id of one."""
    return f"customer-{number:06d}"


def email(number: int) -> str:
    """Theirs."""
    return f"c{number}@shop.example"


def records(events: int, people: int, until_ms: int) -> Iterator[tuple[bytes, bytes]]:
    """
    Keys and values, in the order of their times.

    Everybody signs up once, evenly over the month; the rest is done by those who are there, most of it by the newest. A
    visit is a day.
    """
    dice = random.Random(events)
    requests = [
        msgspec.json.encode({"headers": {"content-type": "application/json", "user-agent": payloads.agent(n)}})
        for n in range(40)
    ]
    month_ms, there = DAYS * 86_400_000, 0
    for number in range(events):
        due = number * people // events + 1
        if due > there:
            who, event, there = there, _sign_up(there), due
        else:
            who = int(there * (1 - dice.random() ** 2))
            event = _event(dice, number)
        payload = {
            "source": {"id": payloads.SOURCE},
            "session": {"id": f"visit-{who}-{number * DAYS // events}"},
            "profile": {"id": customer(who)},
            "context": {"page": {"url": f"https://shop.example/{dice.getrandbits(32):x}"}, "language": "en-GB"},
            "events": [event],
        }
        at_ms = until_ms - month_ms + number * month_ms // events
        yield preload.record(msgspec.json.encode(payload), at_ms, requests[who % len(requests)])


def _sign_up(who: int) -> dict[str, Any]:
    names = {"first": _FIRST[who % len(_FIRST)], "last": _LAST[who // 7 % len(_LAST)], "email": email(who)}
    rest = {"plan": _PLANS[who % len(_PLANS)], "country": _COUNTRIES[who // 3 % len(_COUNTRIES)]}
    return {"type": "sign-up", "properties": names | rest}


def _event(dice: random.Random, number: int) -> dict[str, Any]:
    kind = dice.choice(_TYPES)
    properties: dict[str, Any] = {"product": f"sku-{dice.randrange(5_000):05d}", "place": dice.randrange(1, 30)}
    if kind in ("purchase", "refund"):
        amount: float | str = dice.randrange(100, 25_000) / 100
        wrong = kind == "purchase" and dice.randrange(_WRONG_EACH) == 0
        properties |= {"amount": "a lot" if wrong else amount, "currency": "GBP", "order": number}
    return {"type": kind, "properties": properties}
