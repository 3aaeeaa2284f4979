"""Where IP addresses are, from a file in MaxMind's format."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import maxminddb

from hub.errors import Refused
from hub.pipeline.rules.enrichment import Places

REMEMBERED: Final = 16_384
"""Addresses whose place is kept in memory."""
LANGUAGE: Final = "en"
"""Of the names."""


def places(file: Path | None) -> Places | None:
    """
    A look-up in the file, which is read into memory; None without a file.

    Raises: Refused: it cannot be read.
    """
    if file is None:
        return None
    try:
        reader = maxminddb.open_database(file, maxminddb.MODE_MEMORY)
    except (OSError, maxminddb.InvalidDatabaseError) as exc:
        raise Refused("geo", f"HUB_GEO__FILE names {file}, which cannot be read as a MaxMind database: {exc}") from exc

    def place(ip: str) -> Mapping[str, Any] | None:
        try:
            found = reader.get(ip)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return None  # no address, or an IPv6 one where the file has only IPv4
        return geo_of(found) if isinstance(found, dict) else None

    return lru_cache(maxsize=REMEMBERED)(place)


def geo_of(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """An event's `device.geo` from a record of a city or country database; None when it says nothing."""
    country, location = record.get("country", {}), record.get("location", {})
    geo: dict[str, Any] = {
        "country": _known({"name": _name(country), "code": country.get("iso_code")}),
        "county": _name(next(iter(record.get("subdivisions", ())), {})),
        "city": _name(record.get("city", {})),
        "postal": record.get("postal", {}).get("code"),
        "latitude": location.get("latitude"),
        "longitude": location.get("longitude"),
    }
    if geo["latitude"] is not None and geo["longitude"] is not None:
        geo["location"] = [geo["longitude"], geo["latitude"]]
    return _known(geo) or None


def _name(place: Mapping[str, Any]) -> str | None:
    name = place.get("names", {}).get(LANGUAGE)
    return name if isinstance(name, str) else None


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, {})}
