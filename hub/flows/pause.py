"""Where a run stops: a value, kept with it. Apart from nodes, as whoever reads runs needs none of these."""

from __future__ import annotations

from typing import NamedTuple


class Pause(NamedTuple):
    """
    The run stops at the node, and what is behind it, until a time or an event; it is asked again then.

    Attributes:
        until_ms: Milliseconds since 1970.
        event_type: An event of this type of the profile ends it sooner. Empty: there is none that does.
        grace_ms: Who comes later than so long after `until_ms` is late.
        since_ms: Whoever runs the node sets it: an event that the hub received later ends the pause.
    """

    until_ms: int
    event_type: str = ""
    grace_ms: int | None = None
    since_ms: int = 0
