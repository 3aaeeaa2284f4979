"""POST /customer/consent as an event: what somebody has agreed to, and until when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import msgspec

from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import ConsentType
from hub.edge.admit import clean_id
from hub.edge.payload import Payload
from hub.edge.properties import of_body
from hub.edge.vendors import wire
from hub.errors import InvalidPayload
from hub.settings import Limits

EVENT_TYPE: Final = "consent-update"
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PART: Final = re.compile(r"(\d+)([smhdw])")
_LONGEST_MS: Final = 100 * 366 * 86_400_000
"""A hundred years: as good as for ever, and a time that can be written."""


class Asked(msgspec.Struct, frozen=True):
    """Who says what about which consents: `answers` by the consent type's id; None for all that are in force."""

    source_id: str
    session_id: str
    profile_id: str
    answers: Mapping[str, bool] | None


def read(body: bytes, *, all: bool, limits: Limits) -> Asked:
    """
    The request in a body: `source`, `session`, `profile` with an id each, and `consents`.

    Args:
        all: Whether every consent is given, whatever the body says about single ones.

    Raises:
        InvalidPayload: With the source as far as it was readable.
    """
    document = of_body(body, "application/json", limits)
    source_id = ""
    try:
        source_id = _id(document, "source", limits)
        session_id, profile_id = _id(document, "session", limits), _id(document, "profile", limits)
        answers = None if all else _answers(document.get("consents"))
    except InvalidPayload as exc:
        exc.source = source_id
        raise
    return Asked(source_id, session_id, profile_id, answers)


def payload(asked: Asked, catalogue: Catalogue, limits: Limits, now_ms: int) -> Payload:
    """
    The event that says it, of the type `consent-update`.

    Args:
        now_ms: Milliseconds since 1970; a consent that ends by itself ends so much later.

    Raises:
        InvalidPayload: unknown_consent or event_too_large.
    """
    types = {
        id: spec
        for id, entry in catalogue.entries("consent-type").items()
        if (spec := cast("ConsentType", entry.spec)).enabled
    }
    answers = dict.fromkeys(sorted(types), True) if asked.answers is None else asked.answers
    said: dict[str, Any] = {}
    for id, granted in answers.items():
        if id not in types:
            raise InvalidPayload("unknown_consent", "there is no such consent type", f"consents.{id}", asked.source_id)
        said[id] = {"granted": granted, "revoke": _end(types[id], now_ms) if granted else None}
    return wire.payload(
        source_id=asked.source_id,
        payload_id=None,
        profile_id=asked.profile_id,
        session_id=asked.session_id,
        event_id=None,
        type=EVENT_TYPE,
        time_ms=None,
        properties={"consents": said},
        context={},
        options={},
        limits=limits,
    )


def _id(document: Mapping[str, Any], name: str, limits: Limits) -> str:
    found = document.get(name)
    if type(found) is dict:
        found = found.get("id")
    if found is None:
        raise InvalidPayload("missing_field", f"the field {name}.id is missing", f"{name}.id")
    if type(found) is not str:
        raise InvalidPayload("wrong_type", "expected text", f"{name}.id")
    return clean_id(found, f"{name}.id", limits.id_chars)


def _answers(found: Any) -> Mapping[str, bool]:
    if found is None:
        raise InvalidPayload("missing_field", "the field consents is missing", "consents")
    if type(found) is not dict:
        raise InvalidPayload("wrong_type", "expected an object", "consents")
    for id, granted in found.items():
        if type(granted) is not bool:
            raise InvalidPayload("wrong_type", "expected true or false", f"consents.{id}")
    return found


def _end(spec: ConsentType, now_ms: int) -> str | None:
    """When a consent that is given now ends by itself; RFC 3339."""
    if not spec.revokable:
        return None
    lasts_ms = sum(int(number) * _UNITS_MS[unit] for number, unit in _PART.findall(spec.auto_revoke))
    ends = _EPOCH + timedelta(milliseconds=now_ms + min(lasts_ms, _LONGEST_MS))
    return ends.isoformat(timespec="milliseconds").replace("+00:00", "Z")
