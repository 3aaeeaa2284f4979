"""Ten rules and ten mappings for the purchases of the benchmarks; all of them have something to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple


class Definition(NamedTuple):
    """A definition, as it is put."""

    kind: str
    id: str
    spec: Mapping[str, Any]


_NUMBER: Final = {"type": "number", "minimum": 0}
_TEXT: Final = {"type": "string", "minLength": 1}

FILTERS: Final[Sequence[Definition]] = (
    Definition("filter", "robots", {"bots": True}),
    Definition("filter", "office", {"networks": ["10.0.0.0/8", "192.168.0.0/16"]}),
    Definition("filter", "drafts", {"when": "properties.category == 'draft'"}),
)
VALIDATORS: Final[Sequence[Definition]] = (
    Definition(
        "validator",
        "purchase",
        {
            "event_type": "purchase",
            "properties": {
                "type": "object",
                "required": ["product", "price"],
                "properties": {"product": _TEXT, "category": _TEXT, "price": _NUMBER, "quantity": _NUMBER},
            },
        },
    ),
    Definition("validator", "context", {"context": {"type": "object"}}),
)
COMPLIANCE: Final[Sequence[Definition]] = (
    Definition(
        "data-compliance",
        "basket",
        {"fields": [{"event": "properties.basket", "consents": ["analytics"], "action": "hash"}]},
    ),
    Definition("data-compliance", "card", {"fields": [{"event": "properties.card", "consents": ["payments"]}]}),
)
RESHAPERS: Final[Sequence[Definition]] = (
    Definition("reshaper", "a-refund", {"event_type": "refund", "properties": {"price": "properties.price"}}),
    Definition("reshaper", "b-gift", {"when": "properties.category == 'gift'", "properties": {"gift": "'yes'"}}),
    Definition(
        "reshaper",
        "purchase",
        {
            "event_type": "purchase",
            "properties": {name: f"properties.{name}" for name in ("product", "category", "price", "quantity")},
        },
    ),
)
RULES: Final = (*FILTERS, *VALIDATORS, *COMPLIANCE, *RESHAPERS)
"""Ten."""
MAPPINGS: Final[Sequence[Definition]] = tuple(
    Definition("mapping", f"m{number}", {"event_type": "purchase", "fields": [line]})
    for number, line in enumerate(
        (
            {"event": "properties.price", "profile": "traits.spent", "op": "add"},
            {"event": "properties.quantity", "profile": "traits.units", "op": "add"},
            {"event": "properties.product", "profile": "traits.last_product", "op": "set"},
            {"event": "properties.product", "profile": "traits.first_product", "op": "set-if-empty"},
            {"event": "properties.category", "profile": "traits.categories", "op": "append-unique"},
            {"event": "properties.price", "profile": "traits.dearest", "op": "max"},
            {"event": "properties.price", "profile": "traits.cheapest", "op": "min"},
            {"event": "properties.category", "profile": "traits.last_category", "op": "set"},
            {"event": "app.name", "profile": "traits.browser", "op": "set"},
            {"event": "time", "profile": "traits.last_purchase", "op": "set"},
        )
    )
)
