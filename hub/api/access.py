"""Who asks: the key of a request, in front of everything that is not open to all."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import structlog

from hub.api import metrics
from hub.api.asgi import Answer, App, Header, Receive, Scope, Send, respond
from hub.api.call import call_of
from hub.api.doors import Doors
from hub.api.problems import problem
from hub.api.roles import CALLER, COLLECT, MASTER, Caller, Role, forbidden
from hub.api.sessions import Sessions
from hub.definitions.api_keys import holder
from hub.definitions.catalogue import Catalogue

log: Final = structlog.get_logger()

TRACK: Final = "/track"
WEBHOOKS: Final = "/webhooks/"
OPEN: Final = frozenset({"/live", "/ready", "/metrics", "/docs", "/openapi.json"})
"""Paths that need no key. All others do, also those that nobody has thought of yet."""

AT_ROOT: Final = Answer(307, b"", ((b"location", b"console"),))
"""`/`, the address that `hub up` says, leads to the console; relative, for proxies that put us below a path."""
NONE: Final[Mapping[str, App]] = {}
_SCHEME: Final = b"bearer "


class Keys(NamedTuple):
    """
    What opens the API: the admin key, and the API keys that are defined.

    `admin_key`: not empty. `now_ms`: the clock, milliseconds since 1970. `sessions`: of the console.
    """

    admin_key: str
    namespace: str
    catalogue: Catalogue
    now_ms: Callable[[], int]
    sessions: Sessions

    def asker(self, scope: Scope) -> Caller | Answer:
        """Whose key a request has, in its header or as a session of the console."""
        if any(name == b"authorization" for name, _ in scope["headers"]):
            return self.caller(scope["headers"])
        return self.holder(self.sessions.key_of(call_of(scope), self.now_ms()))

    def caller(self, headers: Iterable[Header]) -> Caller | Answer:
        """Whose key a request has in its header, or the answer to one without a key that is good."""
        return self.holder(
            next((value[len(_SCHEME) :].strip() for name, value in headers if _is_bearer(name, value)), b"")
        )

    def holder(self, key: bytes) -> Caller | Answer:
        """Whose key this is, or the answer to one that is not good."""
        # takes as long for a key that is nearly right as for any other
        if hmac.compare_digest(key, self.admin_key.encode()):
            return MASTER
        found = holder(key, self.namespace, self.catalogue, self.now_ms()) if key else None
        if found is not None and not found.is_over:
            return Caller(found.id, found.spec.name, frozenset(found.spec.roles))
        metrics.DENIED.labels("401").inc()
        if found is not None:
            log.info("access.key_is_over", key=found.id)
            return _unauthorized("this key has expired, was replaced by another one, or is switched off", "key_is_over")
        return _unauthorized("send an API key, or the admin key, as Authorization: Bearer KEY", "unauthorized")

    def still(self, scope: Scope, role: Role) -> bool:
        """Whether what a request came with holds by now, for that role."""
        caller = self.asker(scope)
        return isinstance(caller, Caller) and caller.may(role)


class Front:
    """The ASGI app that a server runs: events past the framework, all else to it, with who asks."""

    def __init__(
        self,
        track: App,
        admin: App,
        keys: Keys,
        webhooks: App | None = None,
        doors: Doors | None = None,
        *,
        others: Mapping[str, App] = NONE,
        with_key: frozenset[str] = frozenset(),
    ) -> None:
        """
        Args:
            track: Behind /track.
            admin: Everything else.
            webhooks: Behind /webhooks/.
            doors: Behind the routes of other vendors' clients.
            others: Further doors for events, by path; one that ends with a slash is all that is below it.
            with_key: Those of them, and /track, that ask for a key with the role `collect`.
        """
        if not keys.admin_key:
            raise ValueError("an empty admin key would open the API to everyone")
        self._track = self._guarded(track) if TRACK in with_key else track
        self._admin = admin
        self._webhooks = webhooks
        self._doors = doors
        self._others = {path: self._guarded(app) if path in with_key else app for path, app in others.items()}
        self._keys = keys

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
        elif scope["path"] == "/" and scope["method"] in ("GET", "HEAD"):
            await respond(send, AT_ROOT)
        elif scope["path"] in OPEN:
            await self._admin(scope, receive, send)
        elif isinstance(caller := self._keys.asker(scope), Caller):
            scope[CALLER] = caller  # what they may do is for the route to say
            await self._admin(scope, receive, send)
        else:
            await respond(send, caller)

    def _other(self, path: str) -> App | None:
        for begin, app in self._others.items():
            if path == begin or (begin.endswith("/") and path.startswith(begin)):
                return app
        return None

    def _guarded(self, door: App) -> App:
        """A door for events that asks for a key; browsers ask without one whether they may send."""

        async def asked(scope: Scope, receive: Receive, send: Send) -> None:
            caller = None if scope["method"] == "OPTIONS" else self._keys.caller(scope["headers"])
            if isinstance(caller, Answer):
                await respond(send, caller)
            elif caller is not None and not caller.may(COLLECT):
                await respond(send, forbidden(caller, COLLECT))
            else:
                await door(scope, receive, send)

        return asked


def _is_bearer(name: bytes, value: bytes) -> bool:
    return name == b"authorization" and value[: len(_SCHEME)].lower() == _SCHEME


def _unauthorized(detail: str, reason: str) -> Answer:
    return problem(401, detail, reason=reason, headers=((b"www-authenticate", b'Bearer realm="hub"'),))
