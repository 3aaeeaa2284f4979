"""What an event's request and context tell of it: device, program, page, campaign, language, place, time of day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from hub.pipeline.rules.agent import NO_AGENT, agent_of
from hub.pipeline.rules.client import MOST_BYTES, agent_text, client_of, ip_of
from hub.pipeline.rules.clock import hour_of
from hub.pipeline.rules.language import language_of
from hub.pipeline.rules.page import campaign_of, page_of

Places: TypeAlias = Callable[[str], Mapping[str, Any] | None]
"""IP address → `device.geo`, None for an address that is nowhere."""
FIELDS: Final = ("device", "os", "app", "hit", "utm")
"""Objects of an event's document that come from here."""


class Enriched(NamedTuple):
    """`fields`: by name, of FIELDS. `zone`, `hour`: of the customer's clock; the hour is None if it is not known."""

    fields: Mapping[str, Any]
    zone: str = ""
    hour: int | None = None


NOTHING: Final = Enriched({})
_EMPTY: Final = b"{}"


def enriched(request: bytes, context: Mapping[str, Any], time_ms: int, places: Places | None) -> Enriched:
    """
    What can be told of an event. Nothing of it is sure: all of it was said by the client.

    Args:
        request: As in `client_of`.
        time_ms: When it happened, milliseconds since 1970.
    """
    if context or places is not None or len(request) > MOST_BYTES:
        return _enriched(request, context, time_ms, places)
    # devices repeat their requests
    return NOTHING if request == _EMPTY else _by_request(request)


def _enriched(request: bytes, context: Mapping[str, Any], time_ms: int, places: Places | None) -> Enriched:
    """As `enriched`."""
    client = client_of(request)
    fields: dict[str, Any] = {}
    text = agent_text(client, context)
    agent = agent_of(text) if text else NO_AGENT
    ip = "" if places is None else ip_of(client, context)
    geo = places(ip) if places is not None and ip else None
    if agent.device or geo:
        fields["device"] = {**agent.device, "geo": geo} if geo else agent.device
    if agent.os:
        fields["os"] = agent.os
    language = _language(context, client.languages)
    if agent.app or language:
        fields["app"] = {**agent.app, "language": language} if language else agent.app
    if not context:
        return Enriched(fields)
    page = context.get("page")
    hit, utm = page_of(page) if type(page) is dict else ({}, {})
    if hit:
        fields["hit"] = hit
    utm = campaign_of(context) or utm
    if utm:
        fields["utm"] = utm
    zone = _zone(context)
    hour = hour_of(time_ms, zone) if zone else None
    return Enriched(fields) if hour is None else Enriched(fields, zone, hour)


@lru_cache(maxsize=4_096)
def _by_request(request: bytes) -> Enriched:
    """What a request alone tells. It is shared, so nobody may change it."""
    return _enriched(request, {}, 0, None)


def _language(context: Mapping[str, Any], accepted: str) -> str:
    locale = context.get("locale")
    said = locale if type(locale) is str and locale else accepted
    return language_of(said) if said else ""


def _zone(context: Mapping[str, Any]) -> str:
    zone = context.get("timezone")
    if zone is None:
        time = context.get("time")
        zone = time.get("tz") if type(time) is dict else None
    return zone if type(zone) is str else ""


def joined(under: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    """Both, objects at any depth; where both have a value, that of `over`. Neither is changed."""
    if not under or not over:
        return over or under
    made = dict(under)
    for key, value in over.items():
        below = made.get(key)
        made[key] = joined(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return made
