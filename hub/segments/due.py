"""Profiles whose segments change by time alone: their owners are asked to look again, on time, without a scan."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from prometheus_client import Counter, Gauge

from hub.definitions.catalogue import Catalogue
from hub.ids import derived
from hub.pipeline.requests import reevaluate
from hub.segments.rules import defined
from schemas.records import Inbound

PAGE: Final = 1_000
AGAIN_MS: Final = 10_000
"""Asked again after so long, if nothing has come of it: as when Kafka has lost the record with its disk."""

SENT: Final = Counter("hub_segments_due", "Profiles that were asked to look at their segments as their time had come.")
LATE_S: Final = Gauge(
    "hub_segments_due_late_seconds", "How long ago the time of the profile came that has waited longest, in seconds."
)


class Due(Protocol):
    """What is needed of `hub.store.port.Segments`."""

    def due(self, until_ms: int, limit: int, after: tuple[int, str] = (-1, "")) -> list[tuple[str, int]]:
        """See there."""
        ...


class Sending(Protocol):
    """What is needed of `hub.segments.sender.Sender`."""

    def send(self, records: Iterable[Inbound]) -> list[tuple[int, int]]:
        """See there."""
        ...


class DueSender:
    """
    Asks each profile once when its time has come; the owner then says when the next one is. For one thread.

    Any number of these may run: the records of two have the same ids, and a second look changes nothing.
    """

    def __init__(self, store: Due, sender: Sending, catalogue: Catalogue, now_ms: Callable[[], int]) -> None:
        """Args: now_ms: the clock, milliseconds since 1970."""
        self._store = store
        self._sender = sender
        self._catalogue = catalogue
        self._now_ms = now_ms
        self._asked: dict[tuple[str, int], int] = {}  # when, by profile and its time

    def tick(self) -> int:
        """Ask those whose time has come. Blocks. Returns how many. Raises Unavailable: call it again."""
        now_ms = self._now_ms()
        segments = self._catalogue.compiled("segment", defined).timed
        self._asked = {row: at for row, at in self._asked.items() if now_ms - at < AGAIN_MS}
        sent, after = 0, (-1, "")
        while True:
            rows = self._store.due(now_ms, PAGE, after)
            if after == (-1, ""):
                LATE_S.set((now_ms - rows[0][1]) / 1_000 if rows else 0)
            new = [row for row in rows if row not in self._asked]
            self._sender.send(self._request(*row, segments) for row in new)
            self._asked.update(dict.fromkeys(new, now_ms))
            SENT.inc(len(new))
            sent += len(new)
            if len(rows) < PAGE:
                return sent
            after = (rows[-1][1], rows[-1][0])

    def _request(self, profile_id: str, at_ms: int, segments: list[str]) -> Inbound:
        # as of now and not of its time: it may have come late, and what was due since is then in it
        return reevaluate(
            profile_id,
            segments or None,
            id=derived("segments-due", profile_id, str(at_ms)),
            at_ms=self._now_ms(),
            definitions_offset=self._catalogue.offset,
        )
