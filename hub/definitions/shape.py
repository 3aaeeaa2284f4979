"""The fixed schema of `data`: what events and profiles may hold there, and of which type it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

TEXT: Final = "a text"
"""Numbers go as well: many ids are some."""
NUMBER: Final = "a number"
LIST: Final = "a list"
TEXTS: Final = "a text or a list"
MANY: Final = "one value or a list"
"""In a profile it is always a list."""
FLAG: Final = "true or false"
ANY: Final = "anything"

Shape: TypeAlias = "str | Mapping[str, Shape]"
"""A type, or an object's members."""

_AMOUNT: Final[Mapping[str, Shape]] = {"value": NUMBER, "due_date": TEXT, "currency": TEXT}
_GEO: Final[Mapping[str, Shape]] = {
    "country": {"name": TEXT, "code": TEXT},
    "county": TEXT,
    "city": TEXT,
    "latitude": NUMBER,
    "longitude": NUMBER,
    "location": LIST,
    "postal": TEXT,
}

_PERSON: Final[Mapping[str, Shape]] = {
    "pii": {
        "firstname": TEXT,
        "lastname": TEXT,
        "display_name": TEXT,
        "birthday": TEXT,
        "language": {"native": TEXTS, "spoken": TEXTS},
        "gender": TEXT,
        "education": {"level": TEXT},
        "civil": {"status": TEXT},
        "attributes": {"height": NUMBER, "weight": NUMBER, "shoe_number": NUMBER},
    },
    "contact": {
        "email": {"main": TEXT, "private": TEXT, "business": TEXT},
        "phone": {"main": TEXT, "business": TEXT, "mobile": TEXT, "whatsapp": TEXT},
        "app": {
            "whatsapp": TEXT,
            "discord": TEXT,
            "slack": TEXT,
            "twitter": TEXT,
            "telegram": TEXT,
            "wechat": TEXT,
            "viber": TEXT,
            "signal": TEXT,
            "other": ANY,
        },
        "address": {"town": TEXT, "county": TEXT, "country": TEXT, "postcode": TEXT, "street": TEXT, "other": TEXT},
        "confirmations": MANY,
    },
    "identifier": {
        "id": TEXT,
        "pk": TEXT,
        "badge": TEXT,
        "passport": TEXT,
        "credit_card": TEXT,
        "token": TEXT,
        "coupons": TEXTS,
    },
    "media": {
        "image": TEXT,
        "webpage": TEXT,
        "social": {
            "twitter": TEXT,
            "facebook": TEXT,
            "youtube": TEXT,
            "instagram": TEXT,
            "tiktok": TEXT,
            "linkedin": TEXT,
            "reddit": TEXT,
            "other": ANY,
        },
    },
    "preferences": {
        "purchases": MANY,
        "colors": MANY,
        "sizes": MANY,
        "devices": MANY,
        "channels": MANY,
        "payments": MANY,
        "brands": MANY,
        "fragrances": MANY,
        "services": MANY,
        "other": MANY,
    },
    "job": {
        "position": TEXT,
        "salary": NUMBER,
        "type": TEXT,
        "company": {"name": TEXT, "size": NUMBER, "segment": TEXTS, "country": TEXT},
        "department": TEXT,
    },
    "loyalty": {
        "codes": MANY,
        "card": {"id": TEXT, "name": TEXT, "issuer": TEXT, "expires": TEXT, "points": NUMBER},
    },
}

EVENT: Final[Mapping[str, Shape]] = {
    "data": {
        **_PERSON,
        "message": {
            "id": TEXT,
            "conversation": TEXT,
            "type": TEXT,
            "text": TEXT,
            "sender": TEXT,
            "recipient": TEXT,
            "status": TEXT,
            "error": {"reason": TEXT},
            "aux": ANY,
        },
        "ec": {
            "order": {
                "id": TEXT,
                "status": TEXT,
                "receivable": _AMOUNT,
                "payable": _AMOUNT,
                "income": _AMOUNT,
                "cost": _AMOUNT,
                "affiliation": TEXT,
            },
            "checkout": {"id": TEXT, "status": TEXT, "currency": TEXT, "value": NUMBER},
            "product": {
                "id": TEXT,
                "name": TEXT,
                "sku": TEXT,
                "category": TEXT,
                "brand": TEXT,
                "variant": {"name": TEXT, "color": TEXT, "size": TEXT},
                "price": NUMBER,
                "quantity": NUMBER,
                "position": NUMBER,
                "review": TEXT,
                "rate": NUMBER,
            },
        },
        "payment": {"method": TEXT, "credit_card": {"number": TEXT, "expires": TEXT, "holder": TEXT}},
        "journey": {"state": TEXT, "rate": NUMBER},
        "marketing": {"coupon": TEXT, "channel": TEXT, "promotion": {"id": TEXT, "name": TEXT}},
    },
    "traits": ANY,
    "hit": {"id": TEXT, "name": TEXT, "url": TEXT, "referer": TEXT, "query": TEXT, "category": TEXT},
    "device": {
        "name": TEXT,
        "brand": TEXT,
        "model": TEXT,
        "type": TEXT,
        "touch": FLAG,
        "ip": TEXT,
        "resolution": TEXT,
        "color_depth": NUMBER,
        "orientation": TEXT,
        "geo": _GEO,
    },
}
"""The index fields of an event."""

PROFILE: Final[Mapping[str, Shape]] = {
    "primary_id": TEXT,
    "data": {
        **_PERSON,
        "anonymous": FLAG,
        "devices": {"push": MANY, "other": MANY, "last": {"geo": _GEO}},
        "metrics": {
            "ltv": NUMBER,
            "ltcosc": NUMBER,
            "ltcocc": NUMBER,
            "ltcop": NUMBER,
            "ltcosv": NUMBER,
            "ltcocv": NUMBER,
            "next": TEXT,
            "custom": ANY,
        },
    },
    "traits": ANY,
    "stats": ANY,
    "interests": ANY,
    "consents": ANY,
    "aux": ANY,
}
"""The fields of a profile that mappings may write."""

UNKNOWN: Final = "there is no such field in the schema"
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    TEXT: (str, int, float),
    NUMBER: (int, float),
    LIST: (list,),
    TEXTS: (str, int, float, list),
    MANY: (str, int, float, list),
    FLAG: (bool,),
}
_NAMES: Final[Mapping[type, str]] = {bool: FLAG, int: NUMBER, float: NUMBER, str: TEXT, list: LIST, dict: "an object"}


def fine(shape: Shape | None) -> frozenset[type]:
    """Types of which a value is as the schema says, without a further look."""
    if shape == ANY:
        return frozenset(_NAMES)
    return frozenset(_TYPES[shape]) if isinstance(shape, str) else frozenset()


def shape_at(shape: Shape, path: tuple[str, ...]) -> Shape | None:
    """What may be at a path; None: the schema does not have it."""
    for key in path:
        if isinstance(shape, str):
            return ANY if shape == ANY else None
        below = shape.get(key)
        if below is None:
            return None
        shape = below
    return shape


def oddities(shape: Shape | None, value: Any, name: str) -> Iterator[tuple[str, str]]:
    """
    (field, what is odd) of a value that the schema does not have, or has with another type.

    Args: shape: as `shape_at` gives it. name: the field's path as people write it.
    """
    if shape is None:
        yield name, f"{UNKNOWN}; kept as it is"
    elif isinstance(shape, str):
        types = _TYPES.get(shape)
        if types is not None and not _fits(types, value):
            yield name, f"it should be {shape}, and is {_NAMES.get(type(value), 'null')}; kept as it is"
    elif isinstance(value, dict):
        for key, below in value.items():
            if below is not None:
                yield from oddities(shape.get(key), below, f"{name}.{key}")
    else:
        yield name, f"it should be an object, and is {_NAMES.get(type(value), 'null')}; kept as it is"


def _fits(types: tuple[type, ...], value: Any) -> bool:
    return isinstance(value, types) and (type(value) is not bool or bool in types)
