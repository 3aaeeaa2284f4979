"""/collect, /redirect, /customer/consent, /tracker and /console/session as OpenAPI describes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from hub.api.openapi_problems import PROBLEM, REFUSALS, refusals

_TEXT: Final = {"type": "string"}
_ACCEPTED: Final = {"application/json": {"schema": {"$ref": "#/components/schemas/Accepted"}}}
_PARAMETERS: Final = {
    "type": "Event type.",
    "source": "Event source id, of the type webhook.",
    "session": "Session id.",
    "redirect": "Id of the redirect.",
}
_ID: Final = {"oneOf": [_TEXT, {"type": "object", "required": ["id"], "properties": {"id": _TEXT}}]}
_CONSENT: Final = {
    "type": "object",
    "required": ["source", "session", "profile"],
    "properties": {
        "source": _ID,
        "session": _ID,
        "profile": _ID,
        "consents": {
            "type": "object",
            "additionalProperties": {"type": "boolean"},
            "description": "By consent type. Not needed with ?all=true.",
        },
    },
}
_SESSION: Final = {
    "type": "object",
    "required": ["key", "name", "roles", "namespace", "version"],
    "properties": {
        "key": {"type": "string", "description": "Id of the API key; `@admin` for the admin key."},
        "name": _TEXT,
        "roles": {"type": "array", "items": _TEXT},
        "namespace": _TEXT,
        "version": {"type": "string", "description": "Of the hub."},
    },
}
_LOGIN: Final = {
    "type": "object",
    "required": ["key"],
    "additionalProperties": False,
    "properties": {"key": {"type": "string", "description": "The admin key, or an API key of any role."}},
}


def own_doors() -> dict[str, dict[str, Any]]:
    """By path, the operations."""
    session = "/collect/{type}/{source}/{session}"
    return {
        "/collect/{type}/{source}": {
            "post": _collect(
                "/collect/{type}/{source}", "Send one event of nobody: the body is its properties", body=True
            ),
            "get": _collect("/collect/{type}/{source}", "Send one event of nobody: the query is its properties"),
        },
        session: {
            "post": _collect(session, "Send one event of a session: the body is its properties", body=True),
            "get": _collect(session, "Send one event of a session: the query is its properties"),
        },
        **{path: dict(_redirect(path)) for path in ("/redirect/{redirect}", "/redirect/{redirect}/{session}")},
        "/customer/consent": {"post": _consent()},
        "/tracker/tracker.js": {"get": _tracker("/tracker/tracker.js", "The tracker for pages")},
        "/tracker/liliput.min.js": {
            "get": _tracker(
                "/tracker/liliput.min.js", "The tracker, under the name that the predecessor's snippet loads"
            )
        },
        "/console/session": dict(_session()),
    }


def _operation(path: str, summary: str, method: str) -> dict[str, Any]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return {
        "summary": summary,
        "operationId": f"{method}-{path.strip('/').replace('/', '-').replace('{', '').replace('}', '')}",
        "tags": ["events"],
        "security": [],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": _TEXT, "description": _PARAMETERS[name]}
            for name in names
        ],
    }


def _collect(path: str, summary: str, *, body: bool = False) -> dict[str, Any]:
    operation = _operation(path, summary, "post" if body else "get")
    content = dict(_ACCEPTED)
    if body:
        kinds = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
        operation["requestBody"] = {"content": {kind: {"schema": {}} for kind in kinds}}
    else:
        content["image/gif"] = {"schema": {"type": "string", "format": "binary"}}
    operation["responses"] = {
        "200": {"description": "Kafka has the event.", "content": content},
        "404": {"description": "The path has not two or three parts.", "content": PROBLEM},
        **refusals(REFUSALS),
    }
    return operation


def _redirect(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    words = "of the session in the path" if "{session}" in path else "of the session in the cookie"
    for method, status in (("get", "307"), ("post", "303"), ("put", "303"), ("delete", "303")):
        operation = _operation(path, f"Follow a link, which sends an event {words}", method)
        operation["responses"] = {
            status: {"description": "To the page, whatever became of the event."},
            "404": {"description": "There is no such link, or it is switched off.", "content": PROBLEM},
        }
        yield method, operation


def _tracker(path: str, summary: str) -> dict[str, Any]:
    operation = _operation(path, summary, "get")
    operation["responses"] = {
        "200": {"description": "The script.", "content": {"text/javascript": {"schema": _TEXT}}},
        "304": {"description": "The one that the browser has."},
    }
    return operation


def _consent() -> dict[str, Any]:
    operation = _operation("/customer/consent", "Give or take back consents of a profile", "post")
    operation["parameters"] = [
        {
            "name": "all",
            "in": "query",
            "schema": {"type": "boolean", "default": False},
            "description": "Gives every consent that is in force.",
        }
    ]
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _CONSENT}}}
    operation["responses"] = {
        "200": {"description": "Kafka has the event.", "content": _ACCEPTED},
        **refusals(REFUSALS),
        "403": {
            "description": "The session is not one of the profile, or pages of this origin may not send.",
            "content": PROBLEM,
        },
    }
    return operation


def _session() -> Iterator[tuple[str, dict[str, Any]]]:
    kept = {"content": {"application/json": {"schema": _SESSION}}}
    wrong = {"401": "The key is not good, or is not any longer."}
    bad = {
        "400": "The compressed body is damaged.",
        "413": "The body is too large.",
        "422": "The body is not a key as JSON.",
    }
    for method, summary, responses in (
        (
            "get",
            "Who is logged in to the console",
            {
                "200": {"description": "Whose session the cookie is.", **kept},
                "204": {"description": "Nobody is."},
                **refusals(wrong),
            },
        ),
        (
            "post",
            "Log in to the console: the key comes back in a cookie",
            {"200": {"description": "Whose key it is.", **kept}, **refusals(wrong | bad)},
        ),
        (
            "delete",
            "Log out of the console",
            {"204": {"description": "The cookie is taken back."}},
        ),
    ):
        operation = _operation("/console/session", summary, method) | {"tags": ["console"]}
        operation["parameters"] = [
            {
                "name": "Hub-Console",
                "in": "header",
                "required": True,
                "schema": {"type": "string", "enum": ["1"]},
                "description": "Which pages of other sites cannot send.",
            }
        ]
        if method == "post":
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _LOGIN}}}
        operation["responses"] = {**responses, **refusals({"403": "The header Hub-Console is not there."})}
        yield method, operation
