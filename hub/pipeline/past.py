"""What happened before the hub was there: records of a takeover, told by their origin, which no client can choose."""

from __future__ import annotations

from typing import Final

PAST: Final = "takeover:"
"""How the origin of all of them begins. They let no flow run."""
DONE: Final = "takeover:done:"
"""What the event did is in its profile already: no mapping is applied to it, and no visit begins with it."""
ANEW: Final = "takeover:anew:"
"""The profile has nothing of it yet: it is applied as any other event."""


def is_past(origin: str) -> bool:
    """Whether it happened elsewhere, and nothing shall be done because of it."""
    return origin.startswith(PAST)


def is_done(origin: str) -> bool:
    """Whether its profile has what it did from elsewhere."""
    return origin.startswith(DONE)
