"""Is the process alive, can it do its work, and what does it count?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from hub.api.problems import problem
from hub.api.responses import json_response, response
from hub.errors import HubError

CHECK_TIMEOUT_S: Final = 3.0

_TEXT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "In Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}

Check = Callable[[], None]
"""Blocks; raises a HubError when the part cannot do its work."""


def router(checks: Mapping[str, Check], refresh: Callable[[], Awaitable[None]]) -> APIRouter:
    """The routes. Args: checks: by the name of the part, as /ready shall name it. refresh: awaited before a scrape."""
    routes = APIRouter(tags=["operation"])

    @routes.get("/live", name="Alive", openapi_extra={"security": []})
    async def live() -> Response:
        return json_response({"live": True})

    @routes.get(
        "/ready",
        name="Ready",
        openapi_extra={"security": []},
        responses={503: {"description": "A part that is needed does not work; the answer names it."}},
    )
    async def ready() -> Response:
        outcomes = await asyncio.gather(*[_outcome(check) for check in checks.values()])
        failed = {name: why.removeprefix(f"{name}: ") for name, why in zip(checks, outcomes, strict=True) if why}
        if failed:
            detail = "; ".join(f"{name}: {why}" for name, why in failed.items())
            return response(problem(503, detail, title="Not ready.", reason="not_ready", ready=False, failed=failed))
        return json_response({"ready": True, "checks": list(checks)})

    @routes.get(
        "/metrics", name="Prometheus metrics", openapi_extra={"security": []}, response_class=Response, responses=_TEXT
    )
    async def metrics() -> Response:
        await refresh()
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return routes


async def _outcome(check: Check) -> str:
    try:
        await asyncio.wait_for(asyncio.to_thread(check), CHECK_TIMEOUT_S)
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT_S:g} s"
    except HubError as exc:
        return str(exc)
    return ""
