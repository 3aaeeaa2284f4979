"""Reads what the hub has through its public REST interface."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import httpx

from hub.chaos.checker import flows as acting
from hub.chaos.checker.flows import SOURCE, Flows
from hub.chaos.checker.model import Found
from hub.chaos.checker.segments import Seen, Segments

PAGE: Final = 1_000
AWAY_S: Final = 60.0
AGAIN_S: Final = 0.2
MARK: Final = re.compile(rb"chaos-bad-[0-9a-z-]+")
"""What each faulty message has in it, so that its dead letter can be told from others."""


class Reader:
    """Asks one hub. A part that is away is asked again for a minute."""

    def __init__(self, url: str, key: str) -> None:
        """Args: key: the admin key."""
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=40)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **query: Any) -> httpx.Response:
        """GET. Raises httpx.HTTPError when there is no answer for a minute, or a refusal."""
        return self._ask("GET", path, query)

    def post(self, path: str) -> httpx.Response:
        """POST; for what may be done twice. Raises httpx.HTTPError, as `get`."""
        return self._ask("POST", path, {})

    def _ask(self, method: str, path: str, query: Mapping[str, Any]) -> httpx.Response:
        deadline = time.monotonic() + AWAY_S
        while True:
            try:
                answer = self._http.request(method, path, params=query)
                if answer.status_code < 500 or time.monotonic() > deadline:
                    return answer.raise_for_status()
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(AGAIN_S)

    def everything(self, kind: str, query: str) -> Iterator[dict[str, Any]]:
        """All documents that match."""
        yield from self._pages(f"/{kind}", q=query)

    def _pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            asked = {"size": PAGE, **query} | ({"cursor": cursor} if cursor else {})
            page = self.get(path, **asked).json()
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def count(self, kind: str, query: str) -> int:
        """How many match."""
        number: int = self.get(f"/{kind}/count", q=query).json()["count"]
        return number

    def left(self, profiles: Iterable[str]) -> list[str]:
        """The ids that have a document of their own, as those that were merged have not: `id = …` finds no others."""
        return [id for id in profiles if self.count("profiles", f'id = "{id}"')]

    def find(self, sources: Sequence[str], profiles: Sequence[str]) -> Found:
        """Everything that the checker compares. Ask when the hub has come to rest. Args: profiles: every id sent."""
        events: list[dict[str, Any]] = []
        letters: Counter[str] = Counter()
        for source in sources:
            events += self.everything("events", f'source = "{source}"')
            # the hub's own records of our profiles, too: whose they are is not known of what cannot be read
            for letter in self.everything("dead-letters", f'source = "{source}" OR key STARTS WITH "{source}-"'):
                body = self.get(f"/dead-letters/{letter['id']}/body").content
                mark = MARK.search(body)
                letters[mark[0].decode() if mark else ""] += 1
        found, balance = self.profiles(profiles), self.get("/balance", verify="true").json()
        return Found(events, found, self.left(profiles), letters, balance, sources)

    def profiles(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Documents by the id that was asked for; those that there are."""
        found = {}
        for id in ids:
            try:
                found[id] = self.get(f"/profiles/{id}").json()
            except httpx.HTTPStatusError as exc:
                if exc.response.status_code != 404:
                    raise
        return found

    def segments(self, segments: Segments) -> Seen:
        """Who is in them, by their lists, and what was told of that."""
        at_ms = time.time_ns() // 1_000_000
        members = {id: {one["id"] for one in self._pages(f"/segments/{id}/profiles")} for id in segments.ids}
        ids = ", ".join(f'"{id}"' for id in segments.ids)
        crossings = self.everything("events", f'source = "@segments" AND properties.segment IN [{ids}]')
        return Seen(members, list(crossings), at_ms)

    def flows(self, flows: Flows) -> acting.Seen:
        """Their runs, and what they have done."""
        runs = {id: list(self._pages(f"/flows/{id}/runs")) for id in flows.rules}
        changes, told = ([*self.everything("events", query)] for query in _of(flows))
        return acting.Seen(runs, changes, told)

    def acted(self, flows: Flows) -> int:
        """How many events flows have sent."""
        return sum(self.count("events", query) for query in _of(flows))

    def are_over(self, flows: Flows) -> bool:
        """Whether no run has anything left to do."""
        return not any(
            self.get(f"/flows/{id}/runs", state=state, size=1).json()["items"]
            for id in flows.rules
            for state in ("waiting", "paused")
        )


def _of(flows: Flows) -> tuple[str, str]:
    """Questions: for what changes profiles, for what was raised."""
    ids = ", ".join(f'"{id}"' for id in flows.rules)
    return (
        f'source = "{SOURCE}" AND properties.flow IN [{ids}]',
        f'source = "{SOURCE}" AND type = "{flows.told_type}"',
    )
