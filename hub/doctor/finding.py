"""What a check has found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from hub.errors import HubError

Level: TypeAlias = Literal["ok", "warn", "fail"]
"""`warn`: it works, and may not for ever, or not as wished. `fail`: it does not, or data are at risk."""
OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"


class Finding(NamedTuple):
    """
    One check.

    Attributes:
        subject: What was looked at, such as `topic hub.events.v1`.
        detail: What was found, and where.
        mend: What to do; empty: nothing.
    """

    level: Level
    subject: str
    detail: str
    mend: str = ""


Check: TypeAlias = Callable[[], Iterable[Finding]]
"""Blocks for seconds at most. May raise HubError: the subject could not be looked at."""


def carefully(subject: str, check: Check) -> Iterator[Finding]:
    """What a check finds; that it cannot look is a finding, too."""
    try:
        yield from check()
    except HubError as exc:
        yield Finding(FAIL, subject, f"cannot be looked at: {exc}", "See to what it names, and look again")
    except Exception as exc:  # noqa: BLE001 - the other checks are wanted all the same
        yield Finding(
            WARN,
            subject,
            f"this check itself has failed: {type(exc).__name__}: {exc}",
            "A fault of the hub's: report it",
        )
