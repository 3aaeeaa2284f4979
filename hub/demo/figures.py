"""What the file says of each customer, counted without the hub."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any


@dataclass
class Customer:
    """One customer's purchases: their number, CDs, dollars, first and last day (YYYY-MM-DD)."""

    purchases: int = 0
    cds: int = 0
    dollars: Decimal = Decimal(0)
    first: str = "9999"
    last: str = ""


def read(path: Path) -> dict[str, Customer]:
    """By profile id."""
    customers: dict[str, Customer] = defaultdict(Customer)
    with gzip.open(path, "rt") as lines:
        next(lines)
        for line in lines:
            number, date, cds, dollars = line.split()
            customer = customers[f"cdnow-{number}"]
            day = f"{date[:4]}-{date[4:6]}-{date[6:]}"
            customer.purchases += 1
            customer.cds += int(cds)
            customer.dollars += Decimal(dollars)
            customer.first = min(customer.first, day)
            customer.last = max(customer.last, day)
    return dict(customers)


def total(customers: Mapping[str, Customer]) -> Customer:
    """All customers together."""
    whole = Customer()
    for customer in customers.values():
        whole.purchases += customer.purchases
        whole.cds += customer.cds
        whole.dollars += customer.dollars
        whole.first = min(whole.first, customer.first)
        whole.last = max(whole.last, customer.last)
    return whole


def of_profile(profile: Mapping[str, Any]) -> Customer:
    """What the hub says of a customer. Numbers are taken as they are printed: nothing is rounded off."""
    traits = profile["traits"]
    return Customer(
        purchases=profile["stats"]["events"],
        cds=traits.get("cds", 0),
        dollars=Decimal(repr(traits.get("dollars", 0))),
        first=traits.get("first_purchase", "9999")[:10],
        last=traits.get("last_purchase", "")[:10],
    )


def differences(expected: Mapping[str, Customer], found: Mapping[str, Customer]) -> dict[str, str]:
    """By profile id, what is not as expected; those that only one side has are among them."""
    wrong = {}
    for id in sorted(expected.keys() | found.keys()):
        theirs, ours = expected.get(id, Customer()), found.get(id, Customer())
        if theirs != ours:
            wrong[id] = f"the file says {theirs}, the hub {ours}"
    return wrong
