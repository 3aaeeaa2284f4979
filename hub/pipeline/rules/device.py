"""What a context says itself of the device that an event came from, and of its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

TYPES: Final = frozenset({"desktop", "mobile", "tablet", "bot"})

_NAMES: Final = ("name", "brand", "model")
_PLACES: Final = ("county", "city", "postal")


def device_of(context: Mapping[str, Any]) -> dict[str, Any]:
    """`device` of an event, from `context.device`, `.screen` and `.location`; what they do not say is not in there."""
    device: dict[str, Any] = {}
    said = context.get("device")
    if type(said) is dict:
        device = {name: said[name] for name in _NAMES if _is_text(said.get(name))}
        # other clients have the system there
        if _is_text(said.get("type")) and said["type"].lower() in TYPES:
            device["type"] = said["type"].lower()
    screen = context.get("screen")
    if type(screen) is dict:
        device.update(_screen(screen))
    location = context.get("location")
    if type(location) is dict:
        geo = _geo(location)
        if geo:
            device["geo"] = geo
    return device


def _screen(screen: Mapping[str, Any]) -> dict[str, Any]:
    local = screen.get("local")
    said = local if type(local) is dict else screen
    found: dict[str, Any] = {}
    width, height = said.get("width"), said.get("height")
    if type(width) is int and type(height) is int:
        found["resolution"] = f"{width}x{height}"
    if type(said.get("colorDepth")) is int:
        found["color_depth"] = said["colorDepth"]
    if _is_text(said.get("orientation")):
        found["orientation"] = said["orientation"]
    return found


def _geo(location: Mapping[str, Any]) -> dict[str, Any]:
    geo: dict[str, Any] = {}
    country = location.get("country")
    if type(country) is str:
        country = {"name": country}
    if type(country) is dict:
        country = {name: country[name] for name in ("name", "code") if _is_text(country.get(name))}
        if country:
            geo["country"] = country
    geo.update({name: location[name] for name in _PLACES if _is_text(location.get(name))})
    latitude, longitude = location.get("latitude"), location.get("longitude")
    if _is_angle(latitude, 90) and _is_angle(longitude, 180):
        geo.update(latitude=latitude, longitude=longitude, location=[longitude, latitude])
    return geo


def _is_text(value: object) -> bool:
    return type(value) is str and value != ""


def _is_angle(value: Any, most: int) -> bool:
    return type(value) in (int, float) and -most <= value <= most
