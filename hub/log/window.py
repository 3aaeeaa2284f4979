"""What a producer asks before it sends: whether live events go first, and whether it has to wait for them."""

from __future__ import annotations

from typing import Protocol


class Window(Protocol):
    """Live before bulk: `hub.log.bulk.BulkWindow`."""

    def wait(self, events: int) -> None:
        """Until so many may be sent. Raises Unavailable."""
        ...

    def landed(self, events: int, partition: int, offset: int) -> None:
        """So many are one record of the log. From any thread."""
        ...

    def lost(self, events: int) -> None:
        """So many did not get there. From any thread."""
        ...


class Unhurried:
    """The window of what waits for nobody."""

    def wait(self, events: int) -> None:
        """At once."""

    def landed(self, events: int, partition: int, offset: int) -> None:
        """Of no matter."""

    def lost(self, events: int) -> None:
        """Of no matter."""
