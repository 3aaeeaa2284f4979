"""Errors as clients see them: problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from hub.api.asgi import Answer, Header
from hub.errors import REASONS, HubError, InvalidPayload, OverLimit, PortError, Unavailable
from hub.settings import Limits
from hub.store.query import QueryError

PROBLEM: Final[Header] = (b"content-type", b"application/problem+json")
RETRY_AFTER_S: Final = 2
"""A broker that is restarted is back in two seconds."""

_LIMITS: Final[Mapping[str, str]] = {
    "body_too_large": "body_bytes",
    "too_many_events": "events",
    "event_too_large": "event_bytes",
    "too_deep": "depth",
}
"""Reasons that are about one limit, and the limit's name in the settings."""


class NotFound(HubError):
    """There is no such thing. `more`: further members of the problem, such as where else to look."""

    def __init__(self, detail: str, **more: Any) -> None:
        """Args: detail: one or more sentences."""
        super().__init__(detail)
        self.more = more


class Conflict(HubError):
    """Somebody else has changed it since it was read."""


def problem(
    status: int, detail: str, *, title: str = "", reason: str = "", headers: tuple[Header, ...] = (), **more: Any
) -> Answer:
    """
    An error's answer.

    Args:
        title: What this kind of problem is; the status' own words if there are none.
        reason: A code for programs, which also makes the problem's type; empty if the status says it all.
        more: Further members; those that are empty texts are left out.
    """
    members = {
        "type": f"urn:thamesthrive-hub:problem:{reason}" if reason else "about:blank",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "reason": reason,
        **more,
    }
    body = msgspec.json.encode({name: value for name, value in members.items() if value != ""})
    return Answer(status, body, (PROBLEM, *headers))


def not_allowed(detail: str, methods: str) -> Answer:
    """The answer to another method than those. Args: methods: with commas between them."""
    return problem(405, detail, reason="method_not_allowed", headers=((b"allow", methods.encode()),))


def refusal(error: InvalidPayload, limits: Limits, *, status: int = 0, **more: Any) -> Answer:
    """
    The answer to a payload that cannot be taken; says which field, and which limit.

    Args:
        status: Instead of the reason's own.
        more: Further members.
    """
    own_status, title = REASONS[error.reason]
    limit = _LIMITS.get(error.reason)
    headers: tuple[Header, ...] = ()
    if isinstance(error, OverLimit):
        more["limit"] = {"name": f"source.{error.limit}", "value": error.value}
        if error.retry_after_s:
            headers = ((b"retry-after", b"%d" % error.retry_after_s),)
    elif limit:
        more["limit"] = {"name": limit, "value": getattr(limits, limit)}
    return problem(
        status or own_status,
        error.detail,
        title=title,
        reason=error.reason,
        headers=headers,
        where=error.where,
        **more,
    )


def hub_problem(error: HubError) -> Answer:
    """The answer to what the hub raises on purpose, payloads apart."""
    if isinstance(error, NotFound):
        return problem(404, str(error), reason="not_found", **error.more)
    if isinstance(error, Conflict):
        return problem(409, str(error), reason="conflict")
    if isinstance(error, QueryError):
        more: dict[str, Any] = (
            {"line": error.line, "column": error.column, "expected": list(error.expected)} if error.line else {}
        )
        more["excerpt"] = error.excerpt
        return problem(422, str(error), title="The query or cursor is not valid.", reason="bad_query", **more)
    if isinstance(error, Unavailable):
        return problem(
            503,
            error.detail,
            title=f"The hub's {error.port} does not answer now.",
            reason="unavailable",
            headers=((b"retry-after", b"%d" % RETRY_AFTER_S),),
            port=error.port,
        )
    if isinstance(error, PortError):
        return problem(500, error.detail, title=f"The hub's {error.port} refuses.", reason="refused", port=error.port)
    return problem(422, str(error), reason="invalid")


def failure(error_id: str) -> Answer:
    """The answer to what should not have happened. Args: error_id: under which the log says more."""
    detail = f"This is a fault of the hub's. Its log has more under error_id={error_id}."
    return problem(500, detail, reason="internal", error_id=error_id)
