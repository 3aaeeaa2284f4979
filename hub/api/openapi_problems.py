"""How what goes wrong stands in the API's description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

PROBLEM: Final = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
REFUSALS: Final = {
    "400": "The compressed body is damaged.",
    "401": "The event source is unknown, switched off, or not for this door.",
    "403": "The event source takes no events from pages of this origin.",
    "413": "Larger than a limit, which the answer names.",
    "422": "Malformed; the answer names the field.",
    "429": "The event source sends too many events; send it again after Retry-After seconds.",
    "503": "Kafka did not acknowledge in time; send it again after Retry-After seconds.",
}
"""Of the hub's own doors for events."""

_KEY: Final = {
    "401": "There is no key, or one that is not good.",
    "403": "The key has not the role that is needed; the answer names it.",
}
_ANY: Final = {"503": "Kafka, the store or a process that is needed does not answer now; the answer names it."}
_ASKED: Final = {"422": "A parameter or the body is malformed, or asks for what cannot be; the answer names it."}
_BODY: Final = {"400": "The body is not text in UTF-8, or its compression is damaged.", "413": "The body is too large."}
_CHANGE: Final = {"409": "Somebody else has changed it meanwhile, or it is in another state; the answer says which."}
_NO_CHANGE: Final = ("/test", "/try", "/replay", "/rewind")
"""Ends of paths to which is sent, but that leave definitions and profiles alone."""


def refusals(words: Mapping[str, str]) -> dict[str, Any]:
    """Responses. Args: words: by status."""
    return {status: {"description": text, "content": PROBLEM} for status, text in words.items()}


def add_failures(path: str, method: str, operation: dict[str, Any]) -> None:
    """Complete an operation as the framework describes it, which does not know our errors."""
    responses: dict[str, Any] = operation["responses"]
    responses.pop("422", None)
    for status, text in _failures(path, method, operation).items():
        responses.setdefault(status, {"description": text})
    for status, response in responses.items():
        if int(status) >= 400:
            response["content"] = PROBLEM


def _failures(path: str, method: str, operation: Mapping[str, Any]) -> dict[str, str]:
    if operation.get("security") == []:
        return {}
    words = _KEY | _ANY
    has_body = "requestBody" in operation
    if has_body:
        words |= _BODY
    if has_body or operation.get("parameters"):
        words |= _ASKED
    if "{" in path:
        words |= {"404": "There is none with this id."}
    if method != "get" and not path.endswith(_NO_CHANGE):
        words |= _CHANGE
    return words
