"""The API's description: what FastAPI knows, the event route, the key; and a page that lists it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from hub.api.doors import Reply, Route
from hub.api.openapi_own import own_doors
from hub.api.openapi_problems import REFUSALS, add_failures, refusals
from hub.api.roles import ADMIN, OPEN, ROLES
from hub.api.vendors import CLOUDEVENTS, ROUTES
from hub.definitions.kinds import KINDS

_KEY: Final = "The admin key, or an API key with the role that an operation names, as `Authorization: Bearer KEY`."
_TEMPLATE: Final = "#/components/schemas/{model}"
_REF: Final = {"type": "object", "properties": {"id": {"type": ["string", "null"]}}}
_OBJECT: Final = {"type": ["object", "null"]}
_TIME: Final = {
    "type": ["string", "number", "null"],
    "description": "RFC 3339 (no zone: UTC), or seconds or milliseconds since 1970. Years 1 to 9998.",
}
_TIMES: Final = {"type": ["object", "null"], "properties": {"create": _TIME, "insert": _TIME}}
_EVENT: Final = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "description": "Kept in lower case, `-` for spaces."},
        "id": {"type": ["string", "null"], "description": "The same id is stored once."},
        "time": _TIMES,
        "metadata": {"type": ["object", "null"], "properties": {"time": _TIMES}},
        "properties": _OBJECT,
        "context": _OBJECT,
        "options": _OBJECT,
        "tags": {"type": ["array", "null"], "items": {"type": "string"}},
    },
}
_PAYLOAD: Final = {
    "type": "object",
    "required": ["source", "events"],
    "properties": {
        "source": {"oneOf": [{"type": "string"}, {**_REF, "required": ["id"]}]},
        "id": {"type": ["string", "null"], "description": "Payload id; `messageId` or Idempotency-Key do as well."},
        "session": _REF,
        "profile": _REF,
        "profile_less": {"type": "boolean", "default": False},
        "sentAt": {**_TIME, "description": "The sender's clock as it sends; `sent_at` does as well."},
        "context": _OBJECT,
        "properties": _OBJECT,
        "options": _OBJECT,
        "request": _OBJECT,
        "events": {"type": "array", "items": _EVENT},
    },
}
_ACCEPTED: Final = {
    "type": ["object", "null"],
    "description": "null for a payload without events.",
    "properties": {
        "task": {"type": "string", "description": "Payload id."},
        "profile": {**_REF, "description": "The id to keep and to send from now on."},
        "session": _REF,
        **{name: {"type": "array"} for name in ("ux", "events", "errors", "warnings")},
        "response": {"type": "object"},
        "pending": {
            "type": "boolean",
            "description": "Only to an event that waits for flows (`async: false`): whether some of them go on.",
        },
    },
}
_TAKEN: Final = {
    "type": "object",
    "properties": {
        "taken": {"enum": ["event", "dead_letter"]},
        "id": {"type": "string", "description": "Of the dead letter."},
        "reason": {"type": "string", "description": "Why no event could be made of it."},
        "detail": {"type": "string"},
    },
}
_JSON: Final[dict[str, Any]] = {"application/json": {"schema": {"type": "object"}}}
_CLOUDEVENT: Final = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        **{name: {"type": "string", "minLength": 1} for name in ("id", "source", "type", "subject")},
        "time": {"type": "string", "format": "date-time"},
        "data": {},
    },
}
_DOORS: Final = {path.replace("{}", "{key}"): route for path, route in ROUTES.items()}
_PROBLEM: Final = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "reason": {"type": "string", "description": "A code for programs."},
        "where": {"type": "string", "description": "The field, such as `events[3].type`."},
        "limit": {"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "integer"}}},
    },
}
_WEBHOOK_REFUSALS: Final = {
    "400": "The compressed body is damaged.",
    "401": "The signature is missing, wrong or too old.",
    "404": "There is no webhook here, or it is switched off.",
    "413": "Larger than the limit.",
    "503": "Kafka did not acknowledge in time, or the bridge cannot work now; send it again.",
}


_DOOR_REFUSALS: Final = {
    "400": "One of the messages is malformed, or the compressed body is damaged; the answer names it. None was taken.",
    "401": "No event source has this write key.",
    "403": "The event source is switched off, or pages of this origin may not send.",
    "413": "Larger than a limit, which the answer names.",
    "429": "The event source sends too many events; send it again after Retry-After seconds.",
    "503": "Kafka did not acknowledge in time; send it again after Retry-After seconds, with the same ids.",
}


def _track() -> dict[str, Any]:
    return {
        "summary": "Send events",
        "description": "Answers when Kafka has acknowledged every event of the payload.",
        "operationId": "track",
        "tags": ["events"],
        "security": [],
        "parameters": [
            {"name": "profile_less", "in": "query", "schema": {"type": "boolean"}},
            {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}},
            {"name": "Hub-Priority", "in": "header", "schema": {"enum": ["live", "bulk"], "default": "live"}},
            {"name": "Content-Encoding", "in": "header", "schema": {"enum": ["gzip", "deflate", "identity"]}},
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Payload"}}},
        },
        "responses": {
            "200": {
                "description": "Kafka has the events.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Accepted"}}},
            },
            **refusals(REFUSALS),
        },
    }


def _webhook() -> dict[str, Any]:
    return {
        "summary": "Send a signed message to a webhook bridge",
        "description": "Answers when Kafka has it: as an event, or as a dead letter if none can be made of it.",
        "operationId": "webhook",
        "tags": ["events"],
        "security": [],
        "parameters": [
            {"name": "bridge", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "Content-Encoding", "in": "header", "schema": {"enum": ["gzip", "deflate", "identity"]}},
        ],
        "requestBody": {"required": True, "content": {"*/*": {"schema": {}}}},
        "responses": {
            "200": {
                "description": "Kafka has the message.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Taken"}}},
            },
            **refusals(_WEBHOOK_REFUSALS),
        },
    }


def _door(path: str, route: Route | Reply) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": path.strip("/").replace("/", "-"),
        "tags": ["other vendors' clients"],
        "security": [],
    }
    if "{key}" in path:
        operation["parameters"] = [{"name": "key", "in": "path", "required": True, "schema": {"type": "string"}}]
    if isinstance(route, Reply):
        return {"get": {**operation, "responses": {"200": {"description": "Always the same.", "content": _JSON}}}}
    done: dict[str, Any] = {"200": {"description": "Kafka has the events.", "content": _JSON}}
    content = _JSON
    if route.door == CLOUDEVENTS:
        done = {"202": {"description": "Kafka has the events."}}
        content = {"application/cloudevents+json": {"schema": _CLOUDEVENT}, "*/*": {"schema": {}}}
    responses = {**done, **refusals(_DOOR_REFUSALS)}
    body = {"required": True, "content": content}
    return {"post": {**operation, "requestBody": body, "responses": responses}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if (role := ROLES[f"{method.upper()} {path}"]) != OPEN:
                    operation["security"] = [{"key": [role]}]
                add_failures(path, method, operation)
        document["paths"] = {
            "/track": {"post": _track(), "put": {**_track(), "operationId": "track-put"}},
            **own_doors(),
            "/webhooks/{bridge}": {"post": _webhook()},
            **{path: _door(path, route) for path, route in _DOORS.items()},
            **document["paths"],
        }
        _, definitions = models_json_schema([(model, "validation") for model in KINDS.values()], ref_template=_TEMPLATE)
        components = document.setdefault("components", {})
        schemas: dict[str, Any] = components.setdefault("schemas", {})
        for methods in document["paths"].values():
            for operation in methods.values():
                for content in operation.get("requestBody", {}).get("content", {}).values():
                    schemas.update(content.get("schema", {}).pop("$defs", {}))  # of `body_of`
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)  # the framework's, which no route answers with
        schemas.update(definitions["$defs"], Payload=_PAYLOAD, Accepted=_ACCEPTED, Taken=_TAKEN, Problem=_PROBLEM)
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": _KEY}}
        document["security"] = [{"key": [ADMIN]}]
        app.openapi_schema = document
    return app.openapi_schema


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
code {{ background: #eee; padding: .1rem .3rem }} dt {{ margin-top: 1rem }} dd {{ margin: .2rem 0 0 1rem; color: #444 }}
</style></head><body><h1>{title} {version}</h1><p>{description}</p>
<p>The whole description, for tools: <a href="openapi.json">openapi.json</a>. A word in brackets is the role
that a key needs, <code>Authorization: Bearer KEY</code>; the admin key has all.</p>
<dl>{routes}</dl></body></html>
"""


def page(document: Mapping[str, Any]) -> str:
    """The routes of an OpenAPI document as HTML that needs nothing from elsewhere."""
    info = document["info"]
    return _PAGE.format(
        title=escape(info["title"]),
        version=escape(info["version"]),
        description=escape(info.get("description", "")),
        routes="\n".join(_entries(document)),
    )


def _entries(document: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            mark = "".join(f" [{role}]" for needed in operation["security"] for role in needed["key"])
            words = " ".join(filter(None, (operation.get("summary"), operation.get("description"))))
            names = ", ".join(parameter["name"] for parameter in operation.get("parameters", ()))
            extra = f" Parameters: {escape(names)}." if names else ""
            yield f"<dt><code>{method.upper()} {escape(path)}</code>{mark}</dt><dd>{escape(words)}.{extra}</dd>"
