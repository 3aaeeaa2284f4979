"""The page that an event happened on, and the campaign that led there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_plus, urlsplit

MOST_CHARS: Final = 2_048
"""A place that is longer is not remembered."""

_UTM: Final = "utm_"
_CAMPAIGN: Final = ("source", "medium", "campaign", "term", "content")


def page_of(page: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """(`hit`, `utm`) of an event's `context.page`; what it does not say is not in there."""
    hit: dict[str, Any] = {}
    utm: dict[str, str] = {}
    url = page.get("url")
    if type(url) is str and url:
        hit["url"] = url
        # pages are few, and what stands behind the question mark is different each time
        place, _, query = url.partition("#")[0].partition("?")
        host, path = _place(place) if len(place) <= MOST_CHARS else _split(place)
        if host:
            hit["host"] = host
        if path:
            hit["path"] = path
        if query:
            hit["query"] = query
            utm = _utm(query) if _UTM in query else utm
    title, referer = page.get("title"), page.get("referrer") or page.get("referer")
    if type(title) is str and title:
        hit["name"] = title
    if type(referer) is dict:
        referer = referer.get("host")
    if type(referer) is str and referer:
        hit["referer"] = referer
    return hit, utm


def campaign_of(context: Mapping[str, Any]) -> dict[str, str]:
    """The campaign that the context names itself: `utm` as browsers' clients send it, else Segment's `campaign`."""
    said = context.get("utm")
    if type(said) is not dict:
        said = context.get("campaign")
        if type(said) is not dict:
            return {}
        said = {**said, "campaign": said.get("name")}
    return {name: said[name] for name in _CAMPAIGN if type(said.get(name)) is str and said[name]}


def _utm(query: str) -> dict[str, str]:
    utm = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if value and name.startswith(_UTM) and name[len(_UTM) :] in _CAMPAIGN:
            # U+0000 is refused at the edge, and does not come in this way either
            utm[name[len(_UTM) :]] = unquote_plus(value).replace("\x00", "")
    return utm


def _split(place: str) -> tuple[str, str]:
    try:
        found = urlsplit(place)
        return found.hostname or "", found.path
    except ValueError:  # such as an IPv6 address without its bracket
        return "", ""


_place: Final = lru_cache(maxsize=8_192)(_split)
