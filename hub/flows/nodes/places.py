"""Places on earth: how far, within what, in daylight."""

from __future__ import annotations

import math
from typing import Annotated, Final

from pydantic import Field

from hub.flows.fields import Template
from hub.flows.node import THEN, Call, Config, NodeFault, Outcome, Valued, node
from hub.flows.times import moment_ms

GROUP: Final = "Places"
EARTH_KM: Final = 6_371.0088
"""Mean radius. Source: IUGG."""
_J2000_MS: Final = 946_728_000_000
"""2000-01-01T12:00Z, from which positions of the sun are counted."""
_RISEN: Final = math.radians(-0.833)
"""Altitude of the sun's centre when its rim is at the horizon, as it looks through the air."""


class Distance(Valued):
    """Two places, in degrees."""

    latitude: Annotated[Template, Field(description="North of the equator, -90 to 90.")]
    longitude: Annotated[Template, Field(description="East of Greenwich, -180 to 180.")]
    to_latitude: Template
    to_longitude: Template


@node("distance", group=GROUP, gives="number")
def distance(config: Distance, call: Call) -> float:
    """How far two places are from each other, kilometres, as the crow flies."""
    return round(
        _distance_km(
            _degrees(call, config.latitude, 90),
            _degrees(call, config.longitude, 180),
            _degrees(call, config.to_latitude, 90),
            _degrees(call, config.to_longitude, 180),
        ),
        3,
    )


class Fence(Config):
    """A place, and a circle."""

    latitude: Annotated[Template, Field(description="North of the equator, -90 to 90.")]
    longitude: Annotated[Template, Field(description="East of Greenwich, -180 to 180.")]
    centre_latitude: Annotated[float, Field(ge=-90, le=90)]
    centre_longitude: Annotated[float, Field(ge=-180, le=180)]
    radius_km: Annotated[float, Field(gt=0, le=20_038)]


@node("is-within", group=GROUP, ports=THEN)
def is_within(config: Fence, call: Call) -> Outcome:
    """Whether a place is within a circle."""
    far = _distance_km(
        _degrees(call, config.latitude, 90),
        _degrees(call, config.longitude, 180),
        config.centre_latitude,
        config.centre_longitude,
    )
    return call.asked(far <= config.radius_km)


class Daylight(Config):
    """Where, and when."""

    latitude: Annotated[Template, Field(description="North of the equator, -90 to 90.")]
    longitude: Annotated[Template, Field(description="East of Greenwich, -180 to 180.")]
    time: Annotated[Template | None, Field(description="Unset: now.")] = None


@node("is-daytime", group=GROUP, ports=THEN)
def is_daytime(config: Daylight, call: Call) -> Outcome:
    """Whether the sun is up at a place, to some minutes."""
    at_ms = call.now_ms if config.time is None else moment_ms(config.time(call.scope), str(config.time))
    latitude, longitude = _degrees(call, config.latitude, 90), _degrees(call, config.longitude, 180)
    return call.asked(_altitude(latitude, longitude, at_ms) > _RISEN)


def _altitude(latitude: float, longitude: float, at_ms: int) -> float:
    """Of the sun's centre, radians. Source: The Astronomical Almanac, low precision formulas."""
    days = (at_ms - _J2000_MS) / 86_400_000
    anomaly = math.radians(357.528 + 0.9856003 * days)
    along = math.radians(280.460 + 0.9856474 * days + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    tilt = math.radians(23.439 - 0.0000004 * days)
    declination = math.asin(math.sin(tilt) * math.sin(along))
    ascension = math.atan2(math.cos(tilt) * math.sin(along), math.cos(along))
    sidereal = math.radians((18.697374558 + 24.06570982441908 * days) * 15 + longitude)
    north = math.radians(latitude)
    height = math.sin(north) * math.sin(declination)
    return math.asin(height + math.cos(north) * math.cos(declination) * math.cos(sidereal - ascension))


def _degrees(call: Call, template: Template, most: int) -> float:
    found = call.number(template)
    if not -most <= found <= most:
        raise NodeFault(f"{template}: {found} is outside {-most} to {most} degrees")
    return found


def _distance_km(latitude: float, longitude: float, other: float, other_longitude: float) -> float:
    """Along a great circle, by the haversine formula."""
    north, other_north = math.radians(latitude), math.radians(other)
    half_north = math.sin((other_north - north) / 2)
    half_east = math.sin(math.radians(other_longitude - longitude) / 2)
    part = half_north**2 + math.cos(north) * math.cos(other_north) * half_east**2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(part)))
