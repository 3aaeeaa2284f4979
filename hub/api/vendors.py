"""Which routes do other vendors' clients use, how is the body of each read, and what do they want to hear?"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from functools import partial
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from hub.api.asgi import JSON, Answer
from hub.api.body import unpack
from hub.api.call import Call
from hub.api.doors import Opened, Reply, Route
from hub.edge.vendors import cloudevents, posthog, segment
from hub.edge.vendors.wire import Converted, document
from hub.errors import InvalidPayload
from hub.settings import Limits

SEGMENT: Final = "segment"
POSTHOG: Final = "posthog"
CLOUDEVENTS: Final = "cloudevents"

_SHORT: Final = {"identify": "i", "track": "t", "page": "p", "screen": "s", "group": "g", "alias": "a"}
"""As Segment's client for browsers calls them."""
_BATCHES: Final = ("/v1/batch", "/v1/import", "/v1/b", "/beacon/v1/batch")
"""The last two are those of browsers: Segment's, and RudderStack's for pages that are left."""
_POSTHOG: Final = ("/batch", "/capture", "/e", "/i/v0/e", "/i/v0/ai/batch")
_POSTHOG_BY_EVENT: Final = "/i/v1/analytics/events"
_GZIP: Final = b"\x1f\x8b"
_BASE64: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \r\n")


def _open_segment(of: str, call: Call, limits: Limits) -> Opened:
    found = document(call.body, limits)
    return Opened(
        segment.write_key(found),
        lambda source_id, now_ms: segment.convert(found, of, source_id=source_id, now_ms=now_ms, limits=limits),
    )


def _open_posthog(by_event: bool, call: Call, limits: Limits) -> Opened:
    found = document(_posthog_json(call, limits), limits)
    sent_at = call.query_values().get("_") or call.header(b"posthog-request-timestamp")

    def convert(source_id: str, now_ms: int) -> Converted:
        return posthog.convert(
            found, sent_at=sent_at, by_event=by_event, source_id=source_id, now_ms=now_ms, limits=limits
        )

    return Opened(posthog.write_key(found), convert)


def _posthog_json(call: Call, limits: Limits) -> bytes:
    """
    The JSON in a body, which clients for browsers pack in ways of their own: zipped without saying so in a header, as
    the field `data` of a form, in base64.

    Raises: InvalidPayload: bad_encoding or body_too_large.
    """
    body = call.body
    if call.header(b"content-type").startswith("application/x-www-form-urlencoded") and body.startswith(b"data="):
        body = body.partition(b"&")[0].removeprefix(b"data=")
        body = unquote_to_bytes(body.replace(b"+", b"%20"))
    if body.startswith(_GZIP):
        body = unpack(body, b"gzip", limits.body_bytes)
    if body[:1] in (b"{", b"[") or not _BASE64.issuperset(body):
        return body
    try:
        unpacked = base64.b64decode(body.replace(b" ", b"+"))  # an unescaped + of a form
    except binascii.Error as exc:
        raise InvalidPayload("bad_encoding", "the body is neither JSON nor base64") from exc
    return unpack(unpacked, b"gzip", limits.body_bytes) if unpacked.startswith(_GZIP) else unpacked


def _open_cloudevents(call: Call, limits: Limits) -> Opened:
    return Opened(
        "",
        lambda source_id, _now_ms: cloudevents.convert(call.headers, call.body, source_id=source_id, limits=limits),
    )


def _json(value: Any, _call: Call, _converted: Converted | None = None) -> Answer:
    return Answer(200, msgspec.json.encode(value), (JSON,))


def _each(_call: Call, converted: Converted) -> Answer:
    """What became of each event, by the client's id of it."""
    results: dict[str, dict[str, str]] = {
        name: {"result": "drop", "details": f"{error.detail} ({error.where})"}
        for name, error in converted.refused.items()
    }
    results |= {name: {"result": "ok"} for payload in converted.payloads if (name := payload.events[0].client_id)}
    return Answer(200, msgspec.json.encode({"results": results}), (JSON,))


def _empty(_call: Call, _converted: Converted) -> Answer:
    return Answer(202, b"", ())


def _segment_settings(call: Call) -> Answer:
    """
    What Segment's client for browsers asks its CDN for before it sends: no destinations in the page, and that events
    come here. So a page needs the hub's address once.
    """
    key = call.path.split("/")[3]
    scheme = call.header(b"x-forwarded-proto")
    settings = {
        "integrations": {
            "Segment.io": {
                "apiKey": key,
                "apiHost": f"{call.header(b'host')}/v1",
                "protocol": scheme if scheme in ("http", "https") else call.scheme,
                "unbundledIntegrations": [],
                "addBundledMetadata": True,
                "maybeBundledConfigIds": {},
            }
        },
        "plan": {
            "track": {"__default": {"enabled": True, "integrations": {}}},
            "identify": {"__default": {"enabled": True}},
            "group": {"__default": {"enabled": True}},
        },
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        # its own figures about itself, which nobody here would read
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }
    return _json(settings, call)


_NO_FLAGS: Final = {
    "flags": {},
    "featureFlags": {},
    "featureFlagPayloads": {},
    "errorsWhileComputingFlags": False,
    "config": {"enable_collect_everything": False},
    "supportedCompression": ["gzip", "gzip-js", "base64"],
    "hasFeatureFlags": False,
    "sessionRecording": False,
    "surveys": False,
    "heatmaps": False,
    "capturePerformance": False,
    "autocapture_opt_out": False,
    "toolbarParams": {},
    "isAuthenticated": False,
    "siteApps": [],
}
"""No feature flags, no recordings, no surveys: the hub takes events only."""


def _routes() -> Iterator[tuple[str, Route | Reply]]:
    done = partial(_json, {"success": True})
    for call, short in _SHORT.items():
        route = Route(SEGMENT, f"Segment: {call}", partial(_open_segment, call), done)
        yield f"/v1/{call}", route
        yield f"/v1/{short}", route
    for path in _BATCHES:
        yield path, Route(SEGMENT, "Segment: many calls", partial(_open_segment, segment.BATCH), done)
    yield "/v1/projects/{}/settings", Reply("Segment: settings of a page", _segment_settings)
    for path in _POSTHOG:
        yield (
            path,
            Route(POSTHOG, "PostHog: events", partial(_open_posthog, False), partial(_json, {"status": 1})),
        )
    yield _POSTHOG_BY_EVENT, Route(POSTHOG, "PostHog: events, answered one by one", partial(_open_posthog, True), _each)
    for path in ("/flags", "/decide", "/array/{}/config"):
        yield path, Reply("PostHog: no feature flags", partial(_json, _NO_FLAGS))
    yield "/cloudevents", Route(CLOUDEVENTS, "CloudEvents 1.0", _open_cloudevents, _empty)


ROUTES: Final[dict[str, Route | Reply]] = dict(_routes())
"""By path, as `Doors` takes them."""
