"""An event of the predecessor's as one of this hub's, under its own id and with its own time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hub.edge.admit import event_type
from hub.edge.inbound import client_event_id
from hub.ids import is_uuid
from hub.migration.made import (
    PREDECESSOR,
    THEIR_SOURCE,
    Document,
    Left,
    Made,
    Takeover,
    at,
    document_id,
    event,
    object_at,
    pruned,
    ref,
    track,
    usable_id,
)
from hub.migration.times import time_ms

_KEPT: Final = ("traits", "data", "device", "os", "app", "hit", "utm", "journey", "aux", "trash", "entity")
"""What this hub makes itself of properties, context and request, or has no place for: it stays in the context."""
_ELSEWHERE: Final = frozenset({"time", "profile_less", "instance", "ip"})
_SECRET: Final = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"})


def convert(document: Document, takeover: Takeover, now_ms: int) -> Made:
    """
    Its record.

    Args: now_ms: the receive time, milliseconds since 1970. Raises: Left.
    """
    found, changed = document.source, []
    own_id = document_id(document)
    said = found.get("type")
    type = event_type(usable_id(said, "event type"))
    if type != said:
        changed.append("event type in lower case, with - for spaces")
    happened = time_ms(at(found, "metadata", "time", "create")) or time_ms(at(found, "metadata", "time", "insert"))
    if happened is None:
        raise Left("it has no time that can be read")
    source = ref(found, "source")
    if not source or source.startswith("@"):
        changed.append(f"event source {THEIR_SOURCE}: the predecessor made it itself, or it names none")
        source = THEIR_SOURCE
    id, client_id = _ids(own_id, source)
    if client_id is not None:
        changed.append("event id made from it, as it is no UUID")
    profile = ref(found, "profile")
    is_lost = not profile and at(found, "metadata", "profile_less") is not True
    if is_lost:
        changed.append("an event of nobody, as it names no profile")
    properties = found.get("properties")
    if not isinstance(properties, dict):
        properties = {} if properties is None else {"value": properties}
    context = object_at(found, "context")
    kept = _kept(found)
    if kept:
        context = {**context, PREDECESSOR: kept}
    made = event(id, type, happened, properties, context=context, tags=_tags(found))
    made["client_id"] = client_id
    record = track(
        takeover,
        document,
        made,
        source=source,
        profile_id=usable_id(profile, "profile id") if profile else "",
        session_id=usable_id(ref(found, "session"), "session id") if ref(found, "session") else "",
        now_ms=now_ms,
        request=_request(found),
        is_anew=takeover.is_anew,
    )
    return Made(id, happened, [record], changed)


def _ids(own_id: str, source: str) -> tuple[str, str | None]:
    """As the edge gives them."""
    return (own_id.lower(), None) if is_uuid(own_id) else (client_event_id(source, own_id), own_id)


def _tags(found: Mapping[str, Any]) -> list[str]:
    tags = found.get("tags")
    values = tags.get("values") if isinstance(tags, dict) else tags
    if isinstance(values, str):
        values = [values]
    return [tag for tag in values if isinstance(tag, str) and tag] if isinstance(values, list) else []


def _kept(found: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name in _KEPT if (value := pruned(found.get(name))) is not None}
    metadata = object_at(found, "metadata")
    rest = pruned({name: value for name, value in metadata.items() if name not in _ELSEWHERE})
    if rest:
        kept["metadata"] = rest
    return kept


def _request(found: Mapping[str, Any]) -> dict[str, Any]:
    request = found.get("request")
    made = dict(request) if isinstance(request, dict) else {}
    headers = made.get("headers")
    if isinstance(headers, dict):
        made["headers"] = {name: value for name, value in headers.items() if str(name).lower() not in _SECRET}
    ip = at(found, "metadata", "ip")
    if isinstance(ip, str) and ip:
        made.setdefault("ip", ip)
    return made
