"""What an event's request and context tell of it: device, program, page, campaign, language, place, time of day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from hub.pipeline.rules.agent import NO_AGENT, agent_of
from hub.pipeline.rules.around import NOTHING as NOTHING_AROUND
from hub.pipeline.rules.around import whole
from hub.pipeline.rules.client import MOST_BYTES, agent_text, browser_of, client_of, ip_of
from hub.pipeline.rules.clock import hour_of
from hub.pipeline.rules.device import device_of
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


def enriched(
    request: bytes,
    context: Mapping[str, Any],
    time_ms: int,
    places: Places | None,
    around: Mapping[str, Any] = NOTHING_AROUND,
) -> Enriched:
    """
    What can be told of an event. Nothing of it is sure: all of it was said by the client.

    Args:
        request: As in `client_of`.
        time_ms: When it happened, milliseconds since 1970.
        around: What its payload says around it.
    """
    if context or around or places is not None or len(request) > MOST_BYTES:
        return _enriched(request, context, time_ms, places, around)
    # devices repeat their requests
    return NOTHING if request == _EMPTY else _by_request(request)


def _enriched(
    request: bytes,
    context: Mapping[str, Any],
    time_ms: int,
    places: Places | None,
    around: Mapping[str, Any] = NOTHING_AROUND,
) -> Enriched:
    """As `enriched`."""
    client, said = client_of(request), whole(context, around)
    fields: dict[str, Any] = {}
    text = agent_text(client, said)
    agent = agent_of(text) if text else NO_AGENT
    device = device_of(said) if said else {}
    if places is not None and "geo" not in device:
        ip = ip_of(client, said)
        geo = places(ip) if ip else None
        device = {**device, "geo": geo} if geo else device
    if agent.device or device:
        fields["device"] = {**agent.device, **device} if device else agent.device
    if agent.os:
        fields["os"] = agent.os
    language = _language(said, client.languages)
    if agent.app or language:
        fields["app"] = {**agent.app, "language": language} if language else agent.app
    if not said:
        return Enriched(fields)
    page = said.get("page")
    hit, utm = page_of(page) if type(page) is dict else ({}, {})
    if hit:
        fields["hit"] = hit
    # the page is the event's; a payload may be sent from the next one
    utm = campaign_of(context) or utm or campaign_of(around)
    if utm:
        fields["utm"] = utm
    zone = _zone(context) or _zone(around)
    hour = hour_of(time_ms, zone) if zone else None
    return Enriched(fields) if hour is None else Enriched(fields, zone, hour)


@lru_cache(maxsize=4_096)
def _by_request(request: bytes) -> Enriched:
    """What a request alone tells. It is shared, so nobody may change it."""
    return _enriched(request, {}, 0, None)


def _language(context: Mapping[str, Any], accepted: str) -> str:
    locale = context.get("locale") or browser_of(context).get("language")
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
