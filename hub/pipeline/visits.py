"""When was somebody here? The visits of a profile, in its document: how many, the first, the last, how often."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from hub.pipeline.draft import Draft

VISIT: Final = ("metadata", "time", "visit")
_DAY: Final = timedelta(days=1)


def begin_visit(profile: Draft, at: str, zone: str) -> None:
    """
    One more visit, which began `at` (RFC 3339).

    In whatever order visits are learned of, the times come out the same: `first`, `current` is the latest, `last` the
    one before it. `every_days` is the mean time between two. Args: zone: the customer's time zone; empty: not known.
    """
    stats, visit = profile.object(("stats",)), profile.object(VISIT)
    stats["visits"] = visit["count"] = _whole(stats.get("visits")) + 1
    if zone and (visit.get("current") or "") <= at:
        visit["tz"] = zone
    _settle(visit, [visit.get("first"), at], [visit.get("last"), visit.get("current"), at])


def join_visits(profile: Draft, other: Mapping[str, Any]) -> None:
    """Those of a profile that became part of this one. Args: other: `metadata.time.visit` of its document."""
    visit = profile.object(VISIT)
    visit["count"] = _whole(visit["count"]) + _whole(other["count"])
    if other.get("tz") and ("tz" not in visit or (other["current"] or "") > (visit["current"] or "")):
        visit["tz"] = other["tz"]
    every = [one.get(name) for one in (visit, other) for name in ("last", "current")]
    # the same moment in both: two that began at once are told apart by their number alone
    _settle(visit, [visit.get("first"), other.get("first")], list(dict.fromkeys(every)))


def _settle(visit: dict[str, Any], firsts: list[str | None], every: list[str | None]) -> None:
    moments = sorted(one for one in every if one is not None)
    visit["last"], visit["current"] = [None, None, *moments][-2:]
    # a profile that an older hub has written does not say it: then it is the first that is known
    visit["first"] = min((one for one in (*firsts, *moments[:1]) if one is not None), default=None)
    count, current, first = visit["count"], visit["current"], visit["first"]
    if count > 1 and current is not None:
        span = datetime.fromisoformat(current) - datetime.fromisoformat(first)
        visit["every_days"] = round(span / _DAY / (count - 1), 3)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
