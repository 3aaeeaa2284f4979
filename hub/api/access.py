"""Who may do what: the admin key, in front of everything that is not open to all."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

from hub.api.asgi import App, Receive, Scope, Send, respond
from hub.api.doors import Doors
from hub.api.problems import problem

TRACK: Final = "/track"
WEBHOOKS: Final = "/webhooks/"
OPEN: Final = frozenset({"/live", "/ready", "/metrics", "/docs", "/openapi.json"})
"""Paths that need no key. All others do, also those that nobody has thought of yet."""

NONE: Final[Mapping[str, App]] = {}

_SCHEME: Final = b"bearer "


class Front:
    """The ASGI app that a server runs: events past the framework, all else to it, if the key is right."""

    def __init__(
        self,
        track: App,
        admin: App,
        admin_key: str,
        webhooks: App | None = None,
        doors: Doors | None = None,
        *,
        others: Mapping[str, App] = NONE,
    ) -> None:
        """
        Args:
            track: Behind /track.
            admin: Everything else.
            admin_key: Not empty.
            webhooks: Behind /webhooks/.
            doors: Behind the routes of other vendors' clients.
            others: Further doors for events, by path; one that ends with a slash is all that is below it.
        """
        if not admin_key:
            raise ValueError("an empty admin key would open the API to everyone")
        self._track = track
        self._admin = admin
        self._webhooks = webhooks
        self._doors = doors
        self._others = others
        self._key = admin_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401."""
        if scope["type"] != "http":
            await self._admin(scope, receive, send)
        elif scope["path"] == TRACK:
            await self._track(scope, receive, send)
        elif self._webhooks is not None and scope["path"].startswith(WEBHOOKS):
            await self._webhooks(scope, receive, send)
        elif self._doors is not None and self._doors.takes(scope["path"]):
            await self._doors(scope, receive, send)
        elif (other := self._other(scope["path"])) is not None:
            await other(scope, receive, send)
        elif scope["path"] in OPEN or self._has_key(scope):
            await self._admin(scope, receive, send)
        else:
            await respond(
                send,
                problem(
                    401,
                    "send the admin key as Authorization: Bearer KEY",
                    reason="unauthorized",
                    headers=((b"www-authenticate", b'Bearer realm="hub"'),),
                ),
            )

    def _other(self, path: str) -> App | None:
        for begin, app in self._others.items():
            if path == begin or (begin.endswith("/") and path.startswith(begin)):
                return app
        return None

    def _has_key(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name == b"authorization" and value[: len(_SCHEME)].lower() == _SCHEME:
                # takes as long for a key that is nearly right as for any other
                return hmac.compare_digest(value[len(_SCHEME) :].strip(), self._key)
        return False
