"""A trial of a bridge's definition: connect, look at some messages, say what would become of each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bridges.base import Bridge, Context, Delivery
from bridges.convert import Converter
from bridges.network import permit
from bridges.registry import BridgeError, spec_of, validate
from hub.definitions import kinds
from hub.definitions.catalogue import Catalogue
from hub.definitions.secrets import scrubbed, secrets_of
from hub.edge.mapping import compile_mapping
from hub.edge.times import END_MS, FIRST_MS
from hub.errors import HubError, Refused, Unavailable
from hub.pipeline.documents import iso
from hub.settings import Egress, Limits

CONNECT_S: Final = 15.0
SHOWN_BYTES: Final = 4_000
"""Of a body: what a person can read."""
MEND: Final = {
    "definition": "correct the definition: the text before the colon says where",
    "refused": "change the settings, or what the broker allows: it will say no again",
    "unavailable": "see that the broker runs and can be reached from the bridge process; then try again",
    "fault": "this is a fault of the bridge: its log has more",
}
"""What to do about an error, by whose fault it is."""


async def build(
    id: str, definition: kinds.Bridge, namespace: str, environ: Mapping[str, str], egress: Egress
) -> Bridge:
    """A bridge that is not connected yet, and may connect. Raises BridgeError, Refused."""
    validate(definition, tests=False)
    spec = spec_of(definition.type)
    settings = spec.settings.model_validate(definition.settings)
    await permit(settings, egress)
    return spec.build(settings, Context(id, namespace, environ, egress))


def converter(id: str, definition: kinds.Bridge, catalogue: Catalogue, limits: Limits) -> Converter:
    """The way of its messages. Raises ValueError: the mapping cannot be used."""
    return Converter(
        bridge=id,
        kind=definition.type,
        source=definition.source,
        mapping=None if definition.mapping is None else compile_mapping(definition.mapping),
        catalogue=catalogue,
        limits=limits,
    )


def secrets(definition: kinds.Bridge, environ: Mapping[str, str]) -> list[str]:
    """What no text for people may have in it."""
    try:
        return secrets_of(spec_of(definition.type).settings, definition.settings, environ)
    except BridgeError:
        return []


async def trial(
    id: str,
    definition: kinds.Bridge,
    messages: int,
    *,
    namespace: str,
    environ: Mapping[str, str],
    catalogue: Catalogue,
    limits: Limits,
    egress: Egress,
    now_ms: int,
) -> dict[str, Any]:
    """
    `{"ok": true, "messages": […]}`, or `{"ok": false, "error": {"state", "cause", "mend"}, "messages": []}`.

    Nothing is consumed. A message has position, time, body (text, cut off), and payload or refused; dropped as well
    when the payload has no event.
    """
    try:
        bridge = await build(id, definition, namespace, environ, egress)
        convert = converter(id, definition, catalogue, limits)
        async with asyncio.timeout(CONNECT_S):
            deliveries = await bridge.sample(messages)
    except (BridgeError, ValueError) as exc:
        return _failed(str(exc), "definition", definition, environ)
    except Refused as exc:
        return _failed(exc.detail, "refused", definition, environ)
    except Unavailable as exc:
        return _failed(exc.detail, "unavailable", definition, environ)
    except TimeoutError:
        return _failed(f"nothing came of it within {CONNECT_S:g} s", "unavailable", definition, environ)
    except HubError as exc:
        return _failed(str(exc), "refused", definition, environ)
    return {"ok": True, "messages": [_shown(delivery, convert, now_ms) for delivery in deliveries]}


def _failed(cause: str, whose: str, definition: kinds.Bridge, environ: Mapping[str, str]) -> dict[str, Any]:
    error = {"state": "failed", "cause": scrubbed(cause, secrets(definition, environ)), "mend": MEND[whose]}
    return {"ok": False, "error": error, "messages": []}


def _shown(delivery: Delivery, convert: Converter, now_ms: int) -> dict[str, Any]:
    body = delivery.body[:SHOWN_BYTES].decode(errors="replace")
    shown: dict[str, Any] = {
        "position": delivery.position,
        "time": _time(delivery.time_ms),
        "bytes": len(delivery.body),
        "body": body if len(delivery.body) <= SHOWN_BYTES else f"{body}…",
        "meta": msgspec.to_builtins(delivery.meta(), enc_hook=str),
    }
    if delivery.json is not None:
        shown["decoded"] = delivery.json[:SHOWN_BYTES].decode(errors="replace")
    preview = convert.preview(delivery, now_ms)
    if preview.refused is not None:
        shown["refused"] = {
            "reason": preview.refused.reason,
            "detail": preview.refused.detail,
            "where": preview.refused.where,
        }
    elif preview.dropped:
        shown["dropped"] = True
    if preview.payload is not None:
        shown["payload"] = preview.payload
    return shown


def _time(time_ms: int | None) -> str | None:
    return iso(time_ms) if time_ms is not None and FIRST_MS <= time_ms < END_MS else None
