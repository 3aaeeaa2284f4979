"""Of each event type that comes with the hub one example: what is sent, and what it makes of event and profile."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Case(NamedTuple):
    """`event`, `profile`: the fields that it makes, by their dotted path; of the profile no others."""

    properties: Mapping[str, Any]
    event: Mapping[str, Any] = NOTHING
    profile: Mapping[str, Any] = NOTHING
    journey: str | None = None
    tags: tuple[str, ...] = ()


BEHAVIOUR: Final = ("event:behavioral",)
OPERATION: Final = ("event:operational",)
BROWSING: Final = ("activity:browsing", "event:behavioral")
PAYMENT: Final = ("event:operational", "entity:payment")
SYSTEM: Final = ("event:system",)
KNOWN: Final = {"data.anonymous": False}

PRODUCT: Final = {
    "id": "p-1",
    "name": "Teapot",
    "sku": "TP1",
    "category": "kitchen",
    "brand": "Brown",
    "variant": {"name": "large", "color": "red", "size": "L"},
    "price": 0,
}
PRODUCT_FIELDS: Final = {
    "data.ec.product.id": "p-1",
    "data.ec.product.name": "Teapot",
    "data.ec.product.sku": "TP1",
    "data.ec.product.category": "kitchen",
    "data.ec.product.brand": "Brown",
    "data.ec.product.variant": {"name": "large", "color": "red", "size": "L"},
    "data.ec.product.price": 0,
}
DUE: Final = {"value": 12.5, "currency": "EUR", "due_date": "2026-12-01"}
EMAIL: Final = {"main": "a@x.org", "private": "b@x.org", "business": "c@x.org"}
PHONE: Final = {"main": "+441", "mobile": "+442", "business": "+443", "whatsapp": "+444"}
EMAIL_FIELDS: Final = {f"data.contact.email.{name}": value for name, value in EMAIL.items()}
PHONE_FIELDS: Final = {f"data.contact.phone.{name}": value for name, value in PHONE.items()}
REACHED: Final = {**EMAIL_FIELDS, **PHONE_FIELDS}
APPS: Final = {
    name: f"@{name}" for name in ("twitter", "whatsapp", "discord", "slack", "telegram", "wechat", "viber", "signal")
}
APP_FIELDS: Final = {f"data.contact.app.{name}": value for name, value in APPS.items()}
MESSAGE: Final = {
    "id": "m-1",
    "conversation": "c-1",
    "type": "sms",
    "message": "Hello",
    "sender": "us",
    "recipient": "ann",
    "identity": {"email": EMAIL, "phone": PHONE},
}
MESSAGE_FIELDS: Final = {
    **REACHED,
    "data.message.id": "m-1",
    "data.message.conversation": "c-1",
    "data.message.type": "sms",
    "data.message.text": "Hello",
    "data.message.sender": "us",
    "data.message.recipient": "ann",
}
ADDRESS: Final = {"town": "Bath", "county": "Somerset", "country": "GB", "postcode": "BA1", "street": "Main Street 1"}
ADDRESS_FIELDS: Final = {f"data.contact.address.{name}": value for name, value in ADDRESS.items()}
CARD: Final = {"id": "L1", "name": "Gold", "issuer": "us", "expires": "2030-01-01"}
CARD_FIELDS: Final = {f"data.loyalty.card.{name}": value for name, value in CARD.items()}


def _amount(place: str) -> dict[str, Any]:
    return {"data.ec.order.id": "o-1", **{f"data.ec.order.{place}.{name}": value for name, value in DUE.items()}}


def _order(status: str) -> Case:
    fields = {"data.ec.order.id": "o-1", "data.ec.order.status": status}
    return Case({"id": "o-1"}, fields, {}, "purchase", OPERATION)


def _payment(place: str) -> Case:
    return Case({"order_id": "o-1", "payment": DUE}, _amount(place), {}, "purchase", PAYMENT)


def _message() -> Case:
    return Case(MESSAGE, MESSAGE_FIELDS, {**REACHED, **KNOWN})


def _preference(trait: str, list_name: str) -> Case:
    fields = {f"traits.{trait}": "blue"}
    return Case({trait: "blue"}, fields, {f"data.preferences.{list_name}": ["blue"]}, None, BEHAVIOUR)


CASES: Final[dict[str, Case]] = {
    "profile-update": Case(
        {
            "pii": {"firstname": "Ann", "language": {"spoken": ["en", "cy"]}, "attributes": {"height": 170}},
            "contact": {"email": {"main": "a@x.org"}},
            "identifier": {"badge": "B7", "pk": "not for everybody"},
            "media": {"social": {"reddit": "ann"}},
            "job": {"company": {"name": "Brown"}},
            "preferences": {"colors": "red"},
            "loyalty": {"card": {"points": 0}},
        },
        {
            "data.pii": {"firstname": "Ann", "language": {"spoken": ["en", "cy"]}, "attributes": {"height": 170}},
            "data.contact.email.main": "a@x.org",
            "data.identifier": {"badge": "B7"},
            "data.media.social.reddit": "ann",
            "data.job.company.name": "Brown",
            "data.preferences.colors": "red",
            "data.loyalty.card.points": 0,
        },
        {
            "data.pii.firstname": "Ann",
            "data.pii.language.spoken": ["en", "cy"],
            "data.pii.attributes.height": 170,
            "data.contact.email.main": "a@x.org",
            "data.identifier.badge": "B7",
            "data.media.social.reddit": "ann",
            "data.job.company.name": "Brown",
            "data.preferences.colors": ["red"],
            "data.loyalty.card.points": 0,
            **KNOWN,
        },
        "awareness",
        OPERATION,
    ),
    "consent-update": Case(
        {"consents": {"marketing": {"revoke": None}, "cookies": {"revoke": "2027-01-01T00:00:00Z"}}},
        {},
        {"consents.marketing": {"revoke": None}, "consents.cookies": {"revoke": "2027-01-01T00:00:00Z"}},
        "awareness",
        ("activity:consent",),
    ),
    "order-waiting-for-dispatch": _order("waiting-for-dispatch"),
    "order-dispatched": _order("dispatched"),
    "order-dispatch-in-transit": _order("order-in-transit"),
    "order-awaiting-pickup": _order("order-awaiting-pickup"),
    "order-delivered": _order("delivered"),
    "order-completed": _order("completed"),
    "order-status-change": Case(
        {"id": 17, "status": "lost"},
        {"data.ec.order.id": 17, "data.ec.order.status": "lost"},
        {},
        "purchase",
        OPERATION,
    ),
    "order-started": Case(
        {"id": "o-1", "income": DUE, "cost": DUE, "affiliation": "web"},
        {
            **_amount("income"),
            **_amount("cost"),
            "data.ec.order.status": "started",
            "data.ec.order.affiliation": "web",
        },
        {},
        "purchase",
        OPERATION,
    ),
    "product-clicked": Case(
        {**PRODUCT, "quantity": 2, "position": 3},
        {**PRODUCT_FIELDS, "data.ec.product.quantity": 2, "data.ec.product.position": 3},
        {},
        "awareness",
        BROWSING,
    ),
    "product-details-page-view": Case(PRODUCT, PRODUCT_FIELDS, {}, "awareness", BROWSING),
    "basket-viewed": Case({"id": "b-1"}, {}, {}, "consideration", BROWSING),
    "product-added-to-basket": Case(
        {**PRODUCT, "quantity": 2}, {**PRODUCT_FIELDS, "data.ec.product.quantity": 2}, {}, "consideration", BEHAVIOUR
    ),
    "product-removed-from-basket": Case(
        {**PRODUCT, "quantity": 2}, {**PRODUCT_FIELDS, "data.ec.product.quantity": 2}, {}, "consideration", BEHAVIOUR
    ),
    "checkout-started": Case(
        {"id": "c-1", "order_id": "o-1", "currency": "EUR", "value": 30, "coupon": "SPRING"},
        {
            "data.ec.order.id": "o-1",
            "data.ec.checkout": {"id": "c-1", "status": "started", "currency": "EUR", "value": 30},
            "data.marketing.coupon": "SPRING",
        },
        {"data.metrics.ltcosc": 1, "data.metrics.ltcosv": 30, "data.metrics.ltcop": 0.0},
        "purchase",
        BEHAVIOUR,
    ),
    "checkout-completed": Case(
        {"id": "c-1", "value": 30},
        {"data.ec.checkout": {"id": "c-1", "status": "completed", "value": 30}},
        {
            "data.metrics.ltcocc": 1,
            "data.metrics.ltcocv": 30,
            "data.metrics.ltv": 30,
            "data.metrics.ltcop": 0.0,
        },
        "purchase",
        OPERATION,
    ),
    "checkout-status": Case(
        {"id": "c-1", "status": "address"},
        {"data.ec.checkout": {"id": "c-1", "status": "address"}},
        {},
        "purchase",
        OPERATION,
    ),
    "delivery-info-entered": Case(
        {"order_id": "o-1", "delivery": ADDRESS},
        {"data.ec.order.id": "o-1", **ADDRESS_FIELDS},
        ADDRESS_FIELDS,
        "purchase",
        BEHAVIOUR,
    ),
    "payment-info-entered": Case(
        {"order_id": "o-1", "method": "card", "credit_card": {"number": "4111", "expires": "12/30", "holder": "A"}},
        {
            "data.ec.order.id": "o-1",
            "data.payment": {"method": "card", "credit_card": {"expires": "12/30", "holder": "A"}},
        },
        {},
        "purchase",
        BEHAVIOUR,
    ),
    "product-shared": Case(
        {"id": "p-1", "media": "mail"},
        {"data.ec.product.id": "p-1", "data.marketing.channel": "mail"},
        {},
        "advocacy",
        BEHAVIOUR,
    ),
    "product-reviewed": Case(
        {"id": "p-1", "review": "", "rate": 5},
        {"data.ec.product": {"id": "p-1", "review": "", "rate": 5}},
        {},
        "retention",
        BEHAVIOUR,
    ),
    "product-returned": Case({"id": "p-1"}, {"data.ec.product.id": "p-1"}, {}, "retention", BEHAVIOUR),
    "sale-completed": Case(
        {"order_id": "o-1", **DUE}, {**_amount("income"), "data.ec.order.status": "sold"}, {}, "purchase", OPERATION
    ),
    "account-payable": _payment("payable"),
    "payable-overdue": _payment("payable"),
    "account-receivable": _payment("receivable"),
    "receivable-overdue": _payment("receivable"),
    "payment-sent": _payment("cost"),
    "payment-received": _payment("income"),
    "sign-in": Case(
        {"email": EMAIL, "phone": PHONE, "pk": "k-1", "login": "ann"},
        {**REACHED, "data.identifier": {"pk": "k-1", "token": "ann"}},
        {**REACHED, **KNOWN, "primary_id": "k-1", "data.identifier.pk": "k-1", "data.identifier.token": "ann"},
        "consideration",
        BEHAVIOUR,
    ),
    "sign-up": Case(
        {"email": EMAIL, "login": "ann", "firstname": "Ann", "lastname": "Lee"},
        {**EMAIL_FIELDS, "data.pii": {"firstname": "Ann", "lastname": "Lee"}, "data.identifier.token": "ann"},
        {
            **EMAIL_FIELDS,
            **KNOWN,
            "data.pii.firstname": "Ann",
            "data.pii.lastname": "Lee",
            "data.identifier.token": "ann",
        },
        "consideration",
        BEHAVIOUR,
    ),
    "account-deleted": Case({"login": "ann"}, {}, {}, "retention", BEHAVIOUR),
    "identification": Case(
        {
            "firstname": "Ann",
            "lastname": "Lee",
            "email": EMAIL,
            "phone": PHONE,
            "pk": "k-1",
            "id": "i-1",
            "login": "ann",
            "passport": "P1",
            "credit_card": "C1",
            "badge": "B1",
            "coupon": "SPRING",
            **APPS,
        },
        {
            **REACHED,
            **APP_FIELDS,
            "data.pii": {"firstname": "Ann", "lastname": "Lee"},
            "data.identifier": {
                "pk": "k-1",
                "id": "i-1",
                "token": "ann",
                "passport": "P1",
                "credit_card": "C1",
                "badge": "B1",
                "coupons": "SPRING",
            },
        },
        {
            **REACHED,
            **APP_FIELDS,
            **KNOWN,
            "primary_id": "k-1",
            "data.pii.firstname": "Ann",
            "data.pii.lastname": "Lee",
            "data.identifier.pk": "k-1",
            "data.identifier.id": "i-1",
            "data.identifier.token": "ann",
            "data.identifier.passport": "P1",
            "data.identifier.credit_card": "C1",
            "data.identifier.badge": "B1",
            "data.identifier.coupons": ["SPRING"],
        },
        "consideration",
        OPERATION,
    ),
    "increase-interest": Case({"interest": "tea", "value": 2.5}, {}, {"interests.tea": 2.5}, None, BEHAVIOUR),
    "decrease-interest": Case({"interest": "tea"}, {}, {"interests.tea": -1}, None, BEHAVIOUR),
    "reset-interest": Case({"interest": "tea", "value": 0}, {}, {"interests.tea": 0}, None, BEHAVIOUR),
    "session-opened": Case({}, {}, {}, "awareness", SYSTEM),
    "visit-started": Case({}, {}, {}, None, SYSTEM),
    "visit-ended": Case({}, {}, {}, None, SYSTEM),
    "profile-created": Case({}, {}, {}, "awareness", SYSTEM),
    "profile-inactive": Case({"reason": "a year"}, {}, {}, None, SYSTEM),
    "profile-archived": Case({}, {}, {}, None, SYSTEM),
    "loyalty-card-added": Case(CARD, CARD_FIELDS, CARD_FIELDS, "retention", OPERATION),
    "loyalty-card-removed": Case({"id": "L1"}, {"data.loyalty.card.id": "L1"}, {}, "retention", OPERATION),
    "promotion-viewed": Case(
        {"id": "x", "name": "Spring"},
        {"data.marketing.promotion": {"id": "x", "name": "Spring"}},
        {},
        "awareness",
        BEHAVIOUR,
    ),
    "promotion-clicked": Case(
        {"id": "x", "name": "Spring"},
        {"data.marketing.promotion": {"id": "x", "name": "Spring"}},
        {},
        "awareness",
        BEHAVIOUR,
    ),
    "messaging-started": Case(
        {name: value for name, value in MESSAGE.items() if name not in ("id", "message")},
        {path: value for path, value in MESSAGE_FIELDS.items() if path not in ("data.message.id", "data.message.text")},
        {**REACHED, **KNOWN},
    ),
    "message-sent": _message(),
    "message-received": _message(),
    "message-opened": _message(),
    "messaging-ended": _message(),
    "message-status": Case(
        {"id": "m-1", "conversation": "c-1", "type": "sms", "status": "failed", "error": {"reason": "no such number"}},
        {
            "data.message": {
                "id": "m-1",
                "conversation": "c-1",
                "type": "sms",
                "status": "failed",
                "error": {"reason": "no such number"},
            }
        },
    ),
    "add-color-preference": _preference("color", "colors"),
    "add-size-preference": _preference("size", "sizes"),
    "add-brand-preference": _preference("brand", "brands"),
    "add-channel-preference": _preference("channel", "channels"),
    "add-payment-preference": _preference("payment", "payments"),
    "rating": Case(
        {"id": "r", "state": "purchase", "rate": 0}, {"data.journey": {"state": "purchase", "rate": 0}}, {}, "retention"
    ),
    "product-search-result": Case(
        {"query": "tea", "products": []},
        {"hit.query": "tea"},
        {},
        "awareness",
        ("activity:browsing", "activity:browsing:search", "event:behavioral"),
    ),
    "search": Case(
        {"query": "tea", "category": "all"},
        {"hit": {"query": "tea", "category": "all"}},
        {},
        None,
        ("activity:browsing:search", "event:behavioral"),
    ),
    "page-view": Case(
        {"id": "/tea", "category": "shop"}, {"hit": {"id": "/tea", "category": "shop"}}, {}, "awareness", BROWSING
    ),
    "page-print": Case(
        {"category": "shop"}, {"hit.category": "shop"}, {}, "awareness", ("activity:printing", "event:behavioral")
    ),
    "screen-view": Case(
        {"name": "Home", "category": "shop"},
        {"hit": {"name": "Home", "category": "shop"}},
        {},
        "awareness",
        BROWSING,
    ),
    "location": Case(
        {"location": [-2.36, 51.38]},
        {"device.geo": {"location": [-2.36, 51.38], "longitude": -2.36, "latitude": 51.38}},
        {"data.devices.last.geo": {"location": [-2.36, 51.38], "longitude": -2.36, "latitude": 51.38}},
        None,
        ("activity:locating", "event:system"),
    ),
}
