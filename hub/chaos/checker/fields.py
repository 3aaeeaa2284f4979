"""What a profile must hold, given the events of all its ids; and what it does hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from hub.chaos.checker.ledger import Step


class Applied(NamedTuple):
    """
    One event, as it counts for its profile.

    Attributes:
        at: Its own time or when it was received, RFC 3339 in UTC, as the hub says; empty for one that is missing.
        session: Id, or empty.
    """

    step: Step
    at: str
    session: str


def must_have(sent_as: Mapping[str, Sequence[Applied]], others: int = 0) -> dict[str, Sequence[Any]]:
    """
    By field, the values that it may have: one, but for `first` when clocks went back.

    Args: sent_as: by the id that was sent, its events, one or more, in the order of the log. others: events that nobody
    has sent: of the heartbeat, of flows.
    """
    events = [one for ones in sent_as.values() for one in ones]
    cents = [one.step.cents for one in events]
    labels = dict.fromkeys(one.step.label for one in events)
    return {
        "stats.events": [len(events) + others],
        "stats.visits": [len({one.session for one in events if one.session})],
        "traits.count": [len(events)],
        "traits.sum": [Decimal(sum(cents)) / 100],
        "traits.first": _first(sent_as),
        "traits.last": [_last(sent_as)],
        "traits.highest": [Decimal(max(cents)) / 100],
        # the order of two ids' labels is that in which their events and their merge met
        "traits.labels": [list(labels) if len(sent_as) == 1 else sorted(labels)],
    }


def has(profile: Mapping[str, Any], *, several: bool) -> dict[str, Any]:
    """By field, what the profile's document says. Args: several: it is of more than one id."""
    stats, traits = profile.get("stats", {}), profile.get("traits", {})
    labels = traits.get("labels")
    return {
        "stats.events": stats.get("events"),
        "stats.visits": stats.get("visits"),
        "traits.count": traits.get("count"),
        "traits.sum": decimal(traits.get("sum")),
        "traits.first": decimal(traits.get("first")),
        "traits.last": traits.get("last"),
        "traits.highest": decimal(traits.get("highest")),
        "traits.labels": sorted(labels) if several and isinstance(labels, list) else labels,
    }


def _last(sent_as: Mapping[str, Sequence[Applied]]) -> int:
    """
    Number of the last event of the id whose time is the latest. For one id the log decides, whatever its clock said, so
    its time is the latest that any of its events had.
    """
    _, newest = max((max(one.at for one in ones), id) for id, ones in sent_as.items())
    return sent_as[newest][-1].step.seq


def _first(sent_as: Mapping[str, Sequence[Applied]]) -> list[Decimal]:
    """
    Amount of the first event of the id that began earliest. Where two ids meet, a later event of one may still come in
    before what the other began with, when it is earlier by a clock that went back.
    """
    began = min((ones[0].at, id) for id, ones in sent_as.items())
    first = sent_as[began[1]][0].step
    earlier = [(id, one.step) for id, ones in sent_as.items() for one in ones if (one.at, id) < began]
    if all(id == began[1] for id, _ in earlier):
        earlier = []
    return [Decimal(step.cents) / 100 for step in (first, *(step for _, step in earlier))]


def decimal(value: object) -> Decimal | None:
    """A number of a document, to the cent; None: it is none."""
    # by way of the shortest text that means the number, as JSON has it
    return Decimal(repr(value)) if isinstance(value, int | float) else None
