"""From our answers to the framework's."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from hub.api.asgi import Answer


def response(answer: Answer) -> Response:
    """The same answer, as FastAPI wants it."""
    made = Response(answer.body, answer.status)
    made.raw_headers += answer.headers
    return made


def json_response(value: Any, status: int = 200, **headers: str) -> Response:
    """A JSON answer; msgspec writes documents five times as fast as FastAPI's own encoder."""
    return Response(msgspec.json.encode(value), status, headers or None, "application/json")
