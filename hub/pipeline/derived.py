"""Fields of a profile that follow from others: whether it is anonymous, the share of checkouts that were completed."""

from __future__ import annotations

from typing import Any, Final

from hub.pipeline.draft import Draft
from hub.pipeline.operations import MISSING

ANONYMOUS: Final = ("data", "anonymous")
COMPLETED: Final = ("data", "metrics", "ltcop")
DERIVED: Final = frozenset({ANONYMOUS, COMPLETED})
"""Nothing else may write these: they are the same whatever the order in which events came."""

_CONTACT: Final = ("data", "contact")
_REACHED_BY: Final = ("email", "phone", "app")
_METRICS: Final = ("data", "metrics")


def derive(profile: Draft) -> list[tuple[str, Any, Any]]:
    """Bring them level with the fields that they follow from. Returns (field, old, new) of those that have changed."""
    changed = []
    for path, new in ((ANONYMOUS, _anonymous(profile)), (COMPLETED, _completed(profile))):
        old = profile.get(path)
        if new is not MISSING and (type(new) is not type(old) or new != old):
            profile.set(path, new)
            changed.append((".".join(path), None if old is MISSING else old, new))
    return changed


def _anonymous(profile: Draft) -> bool:
    """Whether there is no e-mail address, phone number or app to reach somebody by."""
    contact = profile.get(_CONTACT)
    return not isinstance(contact, dict) or not any(_says_something(contact.get(way)) for way in _REACHED_BY)


def _completed(profile: Draft) -> Any:
    """Checkouts completed, of each that was started; 0 when none was. MISSING: nothing is known of either."""
    metrics = profile.get(_METRICS)
    if not isinstance(metrics, dict) or metrics.keys().isdisjoint(("ltcosc", "ltcocc")):
        return MISSING
    started, completed = metrics.get("ltcosc", 0), metrics.get("ltcocc", 0)
    if type(started) not in (int, float) or type(completed) not in (int, float):
        return MISSING
    return round(completed / started, 6) if started > 0 else 0.0


def _says_something(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_says_something, value.values()))
    return value not in (None, "", [])
