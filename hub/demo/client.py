"""The few calls of the hub's REST interface that the demo makes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx

from hub.errors import Unavailable

PAGE: Final = 1_000
POLL_S: Final = 0.1


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
        self, enough: Callable[[dict[str, int]], bool], seen: Callable[[dict[str, int]], None]
    ) -> dict[str, int]:
        """The balance's totals, once there are enough. Args: seen: gets the totals of each look, ten a second."""
        while True:
            totals: dict[str, int] = self.get("/balance")["totals"]
            seen(totals)
            if enough(totals):
                return totals
            time.sleep(POLL_S)

    def _answer(self, ask: Callable[[], httpx.Response]) -> Any:
        try:
            response = ask()
        except httpx.HTTPError as exc:
            raise Unavailable("api", f"{self.url} does not answer: {exc}") from exc
        if response.is_error:
            raise Unavailable(
                "api", f"{response.request.method} {response.url}: {response.status_code} {response.text}"
            )
        return response.json()
