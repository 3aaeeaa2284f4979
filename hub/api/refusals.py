"""How many payloads did this process refuse, by source, reason and minute? For the balance sheet."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from hub.api.minutes import minute_text

KEPT_MINUTES: Final = 24 * 60
MINUTE_MS: Final = 60_000


class Refusals:
    """Counts since the process began; single minutes of the last day. For one thread."""

    def __init__(self, since_ms: int) -> None:
        """Args: since_ms: now, milliseconds since 1970."""
        self._since_ms = since_ms
        self._by_reason: Counter[str] = Counter()
        self._minutes: dict[int, Counter[tuple[str, str]]] = {}

    def add(self, source: str, reason: str, now_ms: int) -> None:
        """Args: source: id of an event source that exists; empty for any other, or a sender could fill the memory."""
        minute = now_ms // MINUTE_MS
        self._by_reason[reason] += 1
        if minute not in self._minutes:
            self._minutes[minute] = Counter()
            for old in [known for known in self._minutes if known <= minute - KEPT_MINUTES]:
                del self._minutes[old]
        self._minutes[minute][source, reason] += 1

    def report(self) -> dict[str, Any]:
        """A JSON object: since when, how many, by reason, and rows of the last day."""
        return {
            "since": minute_text(self._since_ms // MINUTE_MS),
            "total": self._by_reason.total(),
            "by_reason": dict(self._by_reason),
            "rows": [
                {"source": source, "minute": minute_text(minute), "reason": reason, "payloads": count}
                for minute, counts in list(self._minutes.items())
                for (source, reason), count in list(counts.items())
            ],
        }
