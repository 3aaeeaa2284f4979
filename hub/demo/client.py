"""The few calls of the hub's REST interface that the demo makes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import stamina

from hub.errors import Unavailable

PAGE: Final = 1_000
POLL_S: Final = 0.1
AWAY_S: Final = 60.0
"""How long one call is tried again while the API, or what is behind it, is being started again."""
STILL_S: Final = 60.0
"""What has not moved for so long is not on its way any more. Longer than Kafka and the collector take to come back."""
AGAIN: Final = frozenset({429, 502, 503, 504})


class Client:
    """Admin calls of one hub."""

    def __init__(self, url: str, admin_key: str) -> None:
        """Args: url: such as http://127.0.0.1:8686."""
        self.url = url
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {admin_key}"}, timeout=30)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a GET. Raises Unavailable with the answer of the hub."""
        return self._answer(lambda: self._http.get(path, params=query))

    def define(self, kind: str, id: str, spec: dict[str, Any]) -> None:
        """Set a definition; when this returns, it is in force in the API."""
        self._answer(lambda: self._http.put(f"/definitions/{kind}/{id}", json=spec))

    def everything(self, kind: str, query: str) -> Iterator[dict[str, Any]]:
        """All that matches, page by page."""
        cursor: str | None = None
        while True:
            asked = {"q": query, "size": PAGE} | ({"cursor": cursor} if cursor else {})
            page = self.get(f"/{kind}", **asked)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def settled(
        self, enough: Callable[[dict[str, Any]], bool], seen: Callable[[dict[str, int]], None]
    ) -> dict[str, Any]:
        """
        The balance sheet, once it shows enough, or when nothing has moved on it for a minute.

        Args: seen: gets the totals of each look, ten a second.
        """
        last: dict[str, int] = {}
        moved_at = time.monotonic()
        while True:
            sheet: dict[str, Any] = self.get("/balance")
            seen(sheet["totals"])
            if sheet["totals"] != last:
                last, moved_at = sheet["totals"], time.monotonic()
            if enough(sheet) or time.monotonic() - moved_at > STILL_S:
                return sheet
            time.sleep(POLL_S)

    def _answer(self, ask: Callable[[], httpx.Response]) -> Any:
        """Every call here may be made twice: each is a GET, or a PUT of a whole definition."""
        try:
            for attempt in stamina.retry_context(on=_may_pass, attempts=None, timeout=AWAY_S, wait_max=2.0):
                with attempt:
                    return ask().raise_for_status().json()
        except httpx.HTTPStatusError as exc:
            response = exc.response
            raise Unavailable(
                "api", f"{response.request.method} {response.url}: {response.status_code} {response.text}"
            ) from exc
        except httpx.HTTPError as exc:
            raise Unavailable("api", f"{self.url} does not answer: {exc}") from exc
        raise AssertionError("unreachable: attempts have no limit")


def _may_pass(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in AGAIN
    return isinstance(error, httpx.TransportError)
