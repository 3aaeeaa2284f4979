"""What the benchmarks send: payloads of the `/track` shape and flat rows, the same ones at every run."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

SOURCE: Final = "shop"
PROFILES: Final = 15_000
SINGLE_BYTES: Final = 800
EVENT_BYTES: Final = 300
EVENTS: Final = 50
MESSAGE_BYTES: Final = 600
PATTERNS: Final = 500

MAPPING: Final[Mapping[str, Any]] = {
    "event_type": "purchase",
    "fields": [
        {"event": "properties.price", "profile": "traits.spent", "op": "add"},
        {"event": "properties.quantity", "profile": "traits.units", "op": "add"},
        {"event": "properties.product", "profile": "traits.last_product", "op": "set"},
        {"event": "properties.category", "profile": "traits.categories", "op": "append-unique"},
    ],
}
"""A mapping definition of four fields."""

TEN_FIELDS: Final[Mapping[str, Any]] = {
    "profile": "customer_id",
    "session": "visit",
    "event": {
        "type": "'purchase'",
        "id": "order_id",
        "properties": {
            "price": "price",
            "quantity": "quantity",
            "product": "product",
            "category": "category",
            "currency": "currency",
            "url": "page_url",
        },
    },
}
"""A bridge's mapping that takes ten fields from a flat row: four fixed places, six properties."""

_CATEGORIES: Final = ("books", "music", "garden", "kitchen", "toys", "shoes", "tools")


def agent(number: int) -> str:
    """What a browser calls itself."""
    return (
        f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{141 - number}.0 Safari/537.36"
    )


def single(number: int) -> bytes:
    """One purchase, 800 bytes."""
    return _track(number, 1, 0, SINGLE_BYTES)


def many(number: int) -> bytes:
    """50 purchases of about 300 bytes each."""
    return _track(number, EVENTS, EVENT_BYTES, 0)


def message(number: int) -> bytes:
    """A broker's message in the `/track` shape, 600 bytes. Names no source: its bridge has one."""
    dice = random.Random(number)
    payload = {
        "session": {"id": f"visit-{number % PROFILES:06d}"},
        "profile": {"id": f"customer-{number % PROFILES:06d}"},
        "context": {"page": {"url": f"https://shop.example/{dice.choice(_CATEGORIES)}/{dice.getrandbits(40):x}"}},
        "events": [{"type": "purchase", "properties": _properties(dice)}],
    }
    return _padded(payload, payload["context"], MESSAGE_BYTES)


def row(number: int) -> bytes:
    """A flat row of a broker, 600 bytes; TEN_FIELDS makes a payload of it."""
    dice = random.Random(number)
    flat = {
        "order_id": f"{number:08x}-{dice.getrandbits(64):016x}",
        "customer_id": f"customer-{number % PROFILES:06d}",
        "visit": f"visit-{number % PROFILES:06d}",
        **_properties(dice),
        "page_url": f"https://shop.example/{dice.getrandbits(40):x}",
        "currency": "EUR",
        "warehouse": dice.randrange(40),
        "shipped": False,
    }
    return _padded(flat, flat, MESSAGE_BYTES)


def stream(make: Callable[[int], bytes], count: int) -> Iterator[bytes]:
    """`count` of them: the profile, session and order are each one's own, the rest comes again every 500."""
    patterns = [make(number) for number in range(min(count, PATTERNS))]
    for number in range(count):
        old = number % PATTERNS
        body = patterns[old].replace(b'-%06d"' % old, b'-%06d"' % (number % PROFILES))
        yield body.replace(b'"%08x-' % old, b'"%08x-' % number, 1)


def requests(shape: str, count: int) -> Iterator[bytes]:
    """HTTP/1.1 requests, whole. Args: shape: `single` or `many`."""
    for body in stream({"single": single, "many": many}[shape], count):
        yield (
            b"POST /track HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )


def _track(number: int, events: int, event_bytes: int, size: int) -> bytes:
    dice = random.Random(number)
    payload: dict[str, Any] = {
        "source": {"id": SOURCE},
        "session": {"id": f"visit-{number % PROFILES:06d}"},
        "profile": {"id": f"customer-{number % PROFILES:06d}"},
        "context": {
            "page": {"url": f"https://shop.example/{dice.choice(_CATEGORIES)}/{dice.getrandbits(40):x}"},
            "browser": {"userAgent": agent(0), "language": "en-GB", "width": 1920, "height": 1080},
        },
        "events": [_event(dice, event_bytes) for _ in range(events)],
    }
    return _padded(payload, payload["context"], size)


def _event(dice: random.Random, size: int) -> dict[str, Any]:
    event: dict[str, Any] = {"type": "purchase", "properties": _properties(dice)}
    short = size - len(msgspec.json.encode(event))
    if short > 0:
        event["properties"]["note"] = _words(dice, short - len(',"note":""'))
    return event


def _properties(dice: random.Random) -> dict[str, Any]:
    return {
        "product": f"sku-{dice.randrange(5_000):05d}",
        "category": dice.choice(_CATEGORIES),
        "price": dice.randrange(100, 20_000) / 100,
        "quantity": dice.randrange(1, 6),
        "currency": "EUR",
        "basket": f"{dice.getrandbits(128):032x}",
    }


def _padded(payload: dict[str, Any], into: Any, size: int) -> bytes:
    short = size - len(msgspec.json.encode(payload))
    if short > 0:
        into["note"] = _words(random.Random(size), short - len(',"note":""'))
    return msgspec.json.encode(payload)


def _words(dice: random.Random, length: int) -> str:
    """Text that packs about as well as prose does."""
    words = ["".join(dice.choices("etaoinshrdlu", k=dice.randrange(2, 9))) for _ in range(length // 3 + 1)]
    return " ".join(words)[:length]
