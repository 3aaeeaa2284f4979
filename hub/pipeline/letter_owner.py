"""Whose is a dead letter? Its bytes are what could not be read, so this is found by looking for what names a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec

from hub.edge.identifiers import NotIdentifying, identifier_hash
from hub.model import Person
from schemas.codec import CodecError, decode_inbound
from schemas.records import TRACK

LEAST_CHARS: Final = 8
"""A shorter id says nothing where it stands by itself: `42` may be anything."""
_NOTHING: Final = b"{}"
_PLACES: Final = (("profile", "id"), ("session", "id"), ("profile",), ("session",))


class Looking(NamedTuple):
    """By what values are told. `identity_key`: as `identifiers` takes it; `regions`: of `Points`."""

    identity_key: bytes
    regions: Sequence[str] = ()


def is_about(person: Person, *, stage: str, key: bytes, body: bytes, by: Looking) -> bool:
    """
    Whether a letter names one of a person's profile ids, sessions or identifiers.

    It may: be a record of the hub's own for one of their profiles; have one of them as its key, as `profile.id` or
    `session.id`, or, from 8 characters on, anywhere; or hold one of their addresses. What is neither JSON nor a
    record of ours is looked through for ids of 8 characters and more.

    Args: stage, key, body: of the letter, as in `hub.model.DeadLetter`.
    """
    ids = {*person.ids, *person.sessions}
    if key.decode("utf-8", "replace") in ids:
        return True
    return _ours(person, body, ids, by) if stage == "collector" else _names(person, body, ids, by)


def _ours(person: Person, body: bytes, ids: set[str], by: Looking) -> bool:
    """Of a record of events.v1."""
    try:
        inbound = decode_inbound(body)
    except CodecError:
        return _holds(body, ids)
    if inbound["profile_id"] in person.ids or inbound.get("sent_as") in person.ids:
        return True
    if inbound["body"][0] != TRACK:
        return False
    track = inbound["body"][1]
    said = [text for one in (track, *track["events"]) for text in (one["properties"], one["context"])]
    return track["session_id"] in person.sessions or any(
        _names(person, text, ids, by) for text in (*said, track["request"]) if text != _NOTHING
    )


def _names(person: Person, text: bytes, ids: set[str], by: Looking) -> bool:
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _holds(text, ids)
    if isinstance(document, dict) and any(_at(document, place) in ids for place in _PLACES):
        return True
    labels = sorted({label for label, _ in person.identifiers.values()})
    return any(
        (len(value) >= LEAST_CHARS and value in ids) or _identifies(person, value, labels, by)
        for value in _texts(document)
    )


def _identifies(person: Person, value: str, labels: list[str], by: Looking) -> bool:
    for label in labels:
        kind, _, name = label.partition(":")
        if kind == "id" and len(value) < LEAST_CHARS:
            continue
        for region in ("", *by.regions) if kind == "phone" else ("",):
            with suppress(NotIdentifying):
                if identifier_hash(kind, name, region, value, by.identity_key) in person.identifiers:
                    return True
    return False


def _holds(body: bytes, ids: set[str]) -> bool:
    return any(len(id) >= LEAST_CHARS and id.encode() in body for id in ids)


def _at(document: Any, place: tuple[str, ...]) -> str:
    for key in place:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, str) else ""


def _texts(document: Any) -> Iterator[str]:
    """Every text in it, keys left out, and every whole number as a text."""
    left = [document]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += one.values()
        elif isinstance(one, list):
            left += one
        elif isinstance(one, str):
            yield one
        elif isinstance(one, int) and not isinstance(one, bool):
            yield str(one)
