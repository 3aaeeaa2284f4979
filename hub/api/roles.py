"""What may be done with which key: the role that each route needs, and where it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

import structlog
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from hub.api import metrics
from hub.api.asgi import Answer
from hub.api.problems import problem
from hub.api.responses import response
from hub.definitions.api_keys import KIND
from hub.definitions.kinds import ApiRole

log: Final = structlog.get_logger()

Role: TypeAlias = ApiRole | Literal["none"]
Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]

OPEN: Final[Role] = "none"
COLLECT: Final[Role] = "collect"
READ: Final[Role] = "read"
OPERATE: Final[Role] = "operate"
ADMIN: Final[Role] = "admin"

CALLER: Final = "hub.caller"
"""Where a request's scope has its `Caller`; not there on open paths."""

_INCLUDED: Final[Mapping[str, frozenset[str]]] = {
    "collect": frozenset({"collect"}),
    "read": frozenset({"read"}),
    "operate": frozenset({"operate", "read"}),
    "admin": frozenset({"admin", "operate", "read", "collect"}),
}

_BY_ROLE: Final[Mapping[Role, tuple[str, ...]]] = {
    OPEN: (
        "GET /live",
        "GET /ready",
        "GET /metrics",
    ),
    # looks at what there is; nothing is different afterwards, nor is anybody outside the hub asked
    READ: (
        "GET /balance",
        "GET /bridges",
        "GET /bridges/types",
        "GET /bridges/{id}",
        "GET /dead-letters",
        "GET /dead-letters/count",
        "GET /dead-letters/fields",
        "GET /dead-letters/histogram",
        "GET /dead-letters/values",
        "GET /dead-letters/{id}",
        "GET /dead-letters/{id}/body",
        "GET /definitions/{kind}",
        "GET /definitions/{kind}/{id}",
        "GET /definitions/{kind}/{id}/versions",
        "GET /definitions/{kind}/{id}/versions/{version}",
        "GET /destinations",
        "GET /destinations/types",
        "GET /destinations/{id}",
        "GET /erasures",
        "GET /erasures/{id}",
        "GET /events",
        "GET /events/count",
        "GET /events/fields",
        "GET /events/histogram",
        "GET /events/values",
        "GET /events/{id}",
        "GET /events/{id}/trace",
        "GET /flows",
        "GET /flows/nodes",
        "GET /flows/{id}",
        "GET /flows/{id}/runs",
        "GET /heartbeats",
        "GET /heartbeats/{id}",
        "GET /mappings",
        "GET /overview",
        "GET /profiles",
        "GET /profiles/count",
        "GET /profiles/fields",
        "GET /profiles/histogram",
        "GET /profiles/values",
        "GET /profiles/{id}",
        "GET /profiles/{id}/export",
        "GET /profiles/{id}/identity",
        "GET /runs",
        "GET /runs/{id}",
        "GET /segments",
        "GET /segments/{id}",
        "GET /segments/{id}/profiles",
        "GET /segments/{id}/sizes",
        "GET /sessions",
        "GET /sessions/count",
        "GET /sessions/fields",
        "GET /sessions/histogram",
        "GET /sessions/values",
        "GET /sessions/{id}",
        "GET /tail",
        "GET /tasks",
        "GET /tasks/{id}",
        "POST /conditions/explain",
        "POST /event/select",
        "POST /event/select/histogram",
        "POST /event/select/range",
        "POST /event/select/range/page/{page}",
        "POST /flows/check",
        "POST /flows/{id}/test",
        "POST /mappings/try",
        "POST /profile/select",
        "POST /profile/select/histogram",
        "POST /profile/select/range",
        "POST /profile/select/range/page/{page}",
        "POST /segments/preview",
        "POST /session/select",
        "POST /session/select/histogram",
        "POST /session/select/range",
        "POST /session/select/range/page/{page}",
    ),
    # keeps going what is defined; all of it can be undone, or done again
    OPERATE: (
        "POST /bridges/{id}/pause",
        "POST /bridges/{id}/resume",
        "POST /bridges/{id}/rewind",
        "POST /bridges/{id}/start",
        "POST /dead-letters/replay",
        "POST /dead-letters/{id}/replay",
        "POST /destinations/{id}/pause",
        "POST /destinations/{id}/resume",
        "POST /destinations/{id}/rewind",
        "POST /destinations/{id}/start",
        "POST /flows/{id}/run",
        "POST /heartbeats/{id}/pause",
        "POST /heartbeats/{id}/resume",
        "POST /heartbeats/{id}/run",
        "POST /merges/{id}/undo",
        "POST /profiles/{id}/merge",
        "POST /runs/{id}/cancel",
        "POST /segments/{id}/backfill",
        "POST /segments/{id}/profiles",
        "POST /tasks/{id}/cancel",
    ),
    # says what the hub does, to whom it talks and with which secrets, who may come in, who is forgotten
    ADMIN: (
        "DELETE /api-keys/{id}",
        "DELETE /definitions/{kind}/{id}",
        "DELETE /profiles/{id}/suppress",
        "GET /api-keys",
        "GET /audit",
        "POST /api-keys",
        "POST /api-keys/{id}/rotate",
        "POST /bridges/{id}/test",
        "POST /definitions/{kind}/{id}/rollback",
        "POST /destinations/{id}/test",
        "POST /flows/{id}/deploy",
        "POST /imports",
        "POST /imports/test",
        "POST /profiles/{id}/erase",
        "POST /profiles/{id}/suppress",
        "POST /tasks",
        "PUT /definitions/{kind}/{id}",
    ),
}
ROLES: Final[Mapping[str, Role]] = {route: role for role, routes in _BY_ROLE.items() for route in routes}
"""
By method and path: the role that a key needs there. Every route has its line; those of events are no part of it.

Definitions of the kind `api-key` need `admin`, to look at as well.
"""


class Caller(NamedTuple):
    """Who asks. `id`: of their key; `name`: what people call it."""

    id: str
    name: str
    roles: frozenset[str]

    def may(self, role: Role) -> bool:
        """Whether one of their roles is this one or includes it."""
        return any(role in _INCLUDED[own] for own in self.roles)


MASTER: Final = Caller("@admin", "the admin key", frozenset({"admin"}))
"""Whoever has HUB_ADMIN_KEY. No key that is defined can have this id."""


class Kept(Protocol):
    """See hub.api.audit.Audit."""

    async def kept(self, route: str, caller: Caller, request: Request, handler: Handler) -> Response:
        """Do what a request asks for, and keep that it was asked for."""
        ...


def guard(router: APIRouter, audit: Kept) -> APIRouter:
    """
    Let each of its routes ask for its role, before anything of the request is read; what may change something is kept.

    Raises: KeyError: a route is not in ROLES.
    """
    for route in router.routes:
        if isinstance(route, APIRoute):
            (method,) = sorted(route.methods or ())
            name = f"{method} {route.path_format}"
            # the framework's way of putting something around a route's handler, for routes that are there already
            route.get_route_handler = _guarded(route.get_route_handler, name, audit)  # type: ignore[method-assign]
    return router


def forbidden(caller: Caller, role: Role) -> Answer:
    """The answer to a key that may not do this."""
    metrics.DENIED.labels("403").inc()
    log.info("access.forbidden", key=caller.id, needed=role)
    detail = f"this needs a key with the role {role}; {caller.id} has {', '.join(sorted(caller.roles))}"
    return problem(403, detail, reason="forbidden", role=role)


def is_change(route: str) -> bool:
    """Whether a request there may change something, or asks somebody outside the hub. Args: route: a key of ROLES."""
    return ROLES[route] in (OPERATE, ADMIN) and not route.startswith("GET ")


def _guarded(handler_of: Callable[[], Handler], route: str, audit: Kept) -> Callable[[], Handler]:
    role = ROLES[route]

    def made() -> Handler:
        handler = handler_of()
        if role == OPEN:
            return handler

        async def asked(request: Request) -> Response:
            caller: Caller = request.scope[CALLER]
            needed = ADMIN if request.path_params.get("kind") == KIND else role
            if not caller.may(needed):
                return response(forbidden(caller, needed))
            if is_change(route):
                return await audit.kept(route, caller, request, handler)
            return await handler(request)

        return asked

    return made
