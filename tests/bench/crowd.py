"""Profiles by the million, put straight into a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final

from hub.log.admin import LogAdmin
from hub.model import Batch, Profile
from hub.pipeline.documents import iso, new_profile
from schemas.topics import EVENTS
from tests.bench.conftest import Bench

BATCH: Final = 5_000
BEGAN_MS: Final = 1_790_000_000_000
DAY_MS: Final = 86_400_000
_PLANS: Final = ("free", "silver", "gold", "trade")
_COUNTRIES: Final = ("GB", "IE", "FR", "DE", "ES", "IT", "NL", "PL", "SE", "US")


def person(number: int) -> dict[str, Any]:
    """The document of a customer, some 700 bytes of JSON; `traits.n` is the number."""
    document = new_profile(f"customer-{number:07d}", iso(BEGAN_MS))
    document["traits"] = {
        "n": number,
        "name": f"Customer {number}",
        "plan": _PLANS[number % 4],
        "country": _COUNTRIES[number % 10],
        "age": 18 + number % 60,
        "spent": number % 5_000 / 10,
        "renews": iso(BEGAN_MS + number % 700 * DAY_MS),
        "categories": ["books", "garden", "toys"][: 1 + number % 3],
    }
    document["stats"] = {"events": 1 + number % 40, "visits": 1 + number % 9}
    return document


def fill(
    bench: Bench,
    count: int,
    make: Callable[[int], dict[str, Any]] = person,
    due_ms: Callable[[int], int] | None = None,
) -> None:
    """
    Make so many profiles in the store of a benchmark, which is made if need be.

    Args:
        make: The document of the one with this number.
        due_ms: When its segments have to be looked at again; None: none of them.
    """
    with closing(bench.open_store()) as store:
        epoch = store.epoch(LogAdmin(bench.kafka, bench.namespace).topic_id(EVENTS))
        for numbers in _cut(count):
            profiles = [Profile((doc := make(number))["id"], 0, doc) for number in numbers]
            due: dict[str, int | None] = {}
            if due_ms is not None:
                due = {profile.id: due_ms(number) for profile, number in zip(profiles, numbers, strict=True)}
            store.write(
                Batch(
                    epoch=epoch,
                    progress={},
                    events=[],
                    profiles=profiles,
                    sessions=[],
                    dead_letters=[],
                    counters={},
                    due=due,
                )
            )
        assert store.count("profiles", "") == count


def _cut(count: int) -> Iterator[range]:
    for start in range(0, count, BATCH):
        yield range(start, min(start + BATCH, count))
