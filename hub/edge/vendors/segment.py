"""
Segment's calls, as its clients and RudderStack's send them: identify, track, page, screen, group, alias.

What becomes of a call is what the ready-made mapping `segment` makes of it (hub/edge/mapping/ready).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hub.edge.clocks import corrected
from hub.edge.payload import Payload
from hub.edge.vendors.wire import Converted, clock, id_at, messages, object_at, payload, placed, time_at, type_at
from hub.errors import InvalidPayload
from hub.settings import Limits

CALLS: Final = frozenset({"identify", "track", "page", "screen", "group", "alias"})
BATCH: Final = "batch"

_USED: Final = frozenset(
    {
        "type",
        "event",
        "messageId",
        "userId",
        "anonymousId",
        "previousId",
        "groupId",
        "name",
        "category",
        "properties",
        "traits",
        "context",
        "timestamp",
        "originalTimestamp",
        "receivedAt",
        # of the sending: another one each time that a message is sent
        "sentAt",
        "writeKey",
        "_metadata",
    }
)
"""Members of a call that go elsewhere, or nowhere; all others, such as `integrations`, are its options."""


def write_key(found: Any) -> str:
    """The write key in a body; empty if there is none."""
    if type(found) is not dict:
        return ""
    key = found.get("writeKey")
    if type(key) is str:
        return key
    batch = found.get(BATCH)
    first = batch[0] if type(batch) is list and batch else None
    key = first.get("writeKey") if type(first) is dict else None
    return key if type(key) is str else ""


def convert(found: Any, call: str, *, source_id: str, now_ms: int, limits: Limits) -> Converted:
    """
    The payloads of a body.

    Args:
        found: The JSON value in it.
        call: What the route is for: one of CALLS, or BATCH.
        now_ms: Receive time, milliseconds since 1970.

    Raises:
        InvalidPayload: One of the messages cannot be taken; `where` names it.
    """
    if type(found) is not dict:
        raise InvalidPayload("not_json", "the body is JSON, but not an object")
    if call != BATCH:
        return Converted([_payload(found, found, call, source_id=source_id, now_ms=now_ms, limits=limits)], {})
    payloads = []
    for index, message in enumerate(messages(found.get(BATCH), BATCH, limits)):
        try:
            payloads.append(_payload(message, found, "", source_id=source_id, now_ms=now_ms, limits=limits))
        except InvalidPayload as exc:
            raise placed(exc, f"{BATCH}[{index}]") from exc
    return Converted(payloads, {})


def _payload(
    message: Mapping[str, Any], around: Mapping[str, Any], call: str, *, source_id: str, now_ms: int, limits: Limits
) -> Payload:
    kind = message.get("type") or call
    if type(kind) is not str or kind not in CALLS:
        raise InvalidPayload(
            "wrong_type" if kind else "missing_field", f"expected one of {', '.join(sorted(CALLS))}", "type"
        )
    user = id_at(message, "userId", limits)
    anonymous = id_at(message, "anonymousId", limits)
    name = id_at(message, "messageId", limits)
    context = {**object_at(around, "context"), **object_at(message, "context")}
    if user is not None:
        context["userId"] = user
    if anonymous is not None:
        context["anonymousId"] = anonymous
    options = {key: value for key, value in message.items() if key not in _USED}
    if message is not around and "integrations" in around:
        options.setdefault("integrations", around["integrations"])
    happened = time_at(message, "timestamp")
    if happened is None:
        happened = time_at(message, "originalTimestamp")
    sent = clock(message.get("sentAt") or around.get("sentAt"))
    return payload(
        source_id=source_id,
        payload_id=name,
        profile_id=user or anonymous,
        session_id=id_at(context, "sessionId", limits),
        event_id=name,
        type=type_at(message, "event", limits) if kind == "track" else kind,
        time_ms=corrected(happened, sent, now_ms),
        properties=_properties(kind, message, user),
        context=context,
        options=options,
        limits=limits,
    )


def _properties(kind: str, message: Mapping[str, Any], user: str | None) -> Mapping[str, Any]:
    if kind == "identify":
        # RudderStack's clients have them in the context only
        return object_at(message, "traits") or object_at(object_at(message, "context"), "traits")
    if kind == "alias":
        ids = {"previousId": message.get("previousId"), "userId": user}
        return {name: id for name, id in ids.items() if id}
    if kind == "group":
        traits = object_at(message, "traits")
        return {**traits, "groupId": message["groupId"]} if message.get("groupId") is not None else traits
    names = {key: message[key] for key in ("name", "category") if message.get(key)}
    return {**object_at(message, "properties"), **(names if kind != "track" else {})}
