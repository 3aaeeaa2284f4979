"""Two hundred segments such as a shop has, for the purchases of the benchmarks: a dozen or so concern a purchase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_OTHERS: Final = (
    "view",
    "search",
    "cart-add",
    "cart-remove",
    "checkout",
    "refund",
    "review",
    "sign-in",
    "newsletter-open",
    "newsletter-click",
    "wishlist-add",
    "coupon",
    "chat",
    "call",
    "delivery",
    "complaint",
    "share",
    "video",
    "quiz",
)
"""Types of events that other segments ask for."""
_COUNTRIES: Final = ("GB", "IE", "FR", "DE", "ES", "IT", "NL", "PL", "SE", "US")
_PLANS: Final = ("free", "silver", "gold", "trade")
_BRANDS: Final = ("acorn", "birch", "cedar", "dahlia", "elder", "fern", "gorse", "hazel", "iris", "juniper")


def _of_purchases() -> Iterator[str]:
    """Of fields that a purchase changes, of its history, of time since it."""
    yield "traits.spent >= 1500"
    yield "traits.spent >= 2500 AND traits.country = GB"
    yield "traits.units BETWEEN 50 AND 60 AND traits.plan IN [gold, trade]"
    yield 'traits.last_product STARTS WITH "sku-0000"'
    yield "traits.categories CONTAINS garden AND traits.country IN [GB, IE]"
    yield "count(purchase) in last 30 days >= 12"
    yield "count(purchase) in last 7 days >= 10 AND traits.plan = free"
    yield "sum(purchase.properties.price) in last 30 days > 1800"
    yield "avg(purchase.properties.price) > 180 AND count(purchase) >= 5"
    yield "max(purchase.properties.quantity) > 5"
    yield 'count(purchase WHERE properties.category = "books") in last 1 year >= 6'
    yield "last(purchase) < now - 90 days AND count(purchase) >= 2"
    yield "first(purchase) > now - 1 day AND count(purchase) in last 1 hour >= 25"
    yield "never(refund) AND count(purchase) >= 30"
    yield "count(purchase) in last 24 hours >= 20 AND NOT traits.vip = true"


def _of_others() -> Iterator[str]:
    for number, type in enumerate(_OTHERS):
        yield f"count({type}) in last {7 + number} days >= {2 + number % 3}"
        yield f"sum({type}.properties.amount) in last 30 days > {100 + number}"
        yield f"last({type}) < now - {30 + number} days"
        yield f'count({type} WHERE properties.channel = "app") >= {3 + number % 4}'
    for number, country in enumerate(_COUNTRIES):
        yield f"traits.country = {country} AND traits.age >= {18 + number}"
        yield f"traits.country = {country} AND traits.plan != free AND traits.language EXISTS"
        yield f"traits.birthday > now - {20 + number} years AND traits.country = {country}"
    for plan in _PLANS:
        yield f"traits.plan = {plan} AND consents.marketing = granted"
        yield f"traits.plan = {plan} AND traits.renews <= now + 14 days"
    for brand in _BRANDS:
        for score in (20, 40, 60, 80):
            yield f"interests.{brand} > {score}"
    number = 0
    while True:
        yield f"traits.score_{number % 7} BETWEEN {number} AND {number + 10} OR traits.tier = t{number}"
        number += 1


def conditions(count: int = 200) -> dict[str, str]:
    """By id; those that a purchase concerns are among them whatever the number."""
    every = [*_of_purchases()]
    others = _of_others()
    while len(every) < count:
        every.append(next(others))
    return {f"s{number:03d}": condition for number, condition in enumerate(every[:count])}
