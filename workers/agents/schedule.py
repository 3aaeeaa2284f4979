"""Which due time is next, and which are not made up? Pure."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from hub.definitions.schedule import Schedule, due_times, last_due

CatchUp: TypeAlias = Literal["all", "last", "none"]

GRACE_MS: Final = 60_000
"""With `none`: what is due for so long is on time still, as another process' taking over takes a moment."""
BACK_MS: Final = 86_400_000
"""A clock that has gone back so far was wrong before. Less than that is waited for, so that nothing comes twice."""
MOST_COUNTED: Final = 1_000
"""Due times that are left out are counted up to here."""


class Decision(NamedTuple):
    """
    What to do now. Milliseconds since 1970.

    Attributes:
        due_ms: The due time to run; None: nothing is due.
        cursor_ms: What is due up to then is decided.
        missed: Due times that are left out with that, MOST_COUNTED at most.
    """

    due_ms: int | None
    cursor_ms: int
    missed: int = 0


def decide(schedule: Schedule, catch_up: CatchUp, cursor_ms: int, now_ms: int) -> Decision:
    """
    The next due time behind the cursor.

    A clock that goes back gives nothing until it has come to the cursor again, so no due time comes twice; one that
    goes forward gives what lies between, by the policy: so none is skipped but by that.
    """
    if cursor_ms >= now_ms:
        return Decision(None, now_ms if cursor_ms - now_ms > BACK_MS else cursor_ms)
    if catch_up == "all":
        found = due_times(schedule, cursor_ms, now_ms, 1)
        return Decision(found[0], found[0]) if found else Decision(None, cursor_ms)
    since_ms = max(cursor_ms, now_ms - GRACE_MS) if catch_up == "none" else cursor_ms
    last = last_due(schedule, since_ms, now_ms)
    decided_ms = since_ms if last is None else last
    missed = len(due_times(schedule, cursor_ms, decided_ms, MOST_COUNTED)) - (last is not None)
    return Decision(last, decided_ms, max(missed, 0))
