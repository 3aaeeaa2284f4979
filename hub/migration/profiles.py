"""A profile of the predecessor's, as an event that says what it had, and as orders to be one with its other ids."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from hub.ids import derived
from hub.migration.made import (
    EMPTY,
    OWN_SOURCE,
    Document,
    Left,
    Made,
    Takeover,
    at,
    document_event,
    document_id,
    object_at,
    origin,
    plain_keys,
    pruned,
    track,
)
from hub.migration.times import time_ms, told
from hub.pipeline.documents import iso
from hub.pipeline.identity import SOURCE as IDENTITY
from hub.pipeline.identity import Reason
from hub.pipeline.taken_over import OF_PROFILE, VISITS
from schemas.records import MERGE, Inbound, Merge

HASHED: Final = re.compile(r"(emm|emb|emp|phm|phb|pho|phw|pwa|iid|ipk)-.+")
"""Ids that the predecessor made from an e-mail address, a number or an id: this hub has hashes of its own."""
OLD_PII: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("pii", "firstname"),
    "firstname": ("pii", "firstname"),
    "surname": ("pii", "lastname"),
    "last_name": ("pii", "lastname"),
    "lastname": ("pii", "lastname"),
    "birthday": ("pii", "birthday"),
    "birth_date": ("pii", "birthday"),
    "birthDate": ("pii", "birthday"),
    "gender": ("pii", "gender"),
    "email": ("contact", "email", "main"),
    "telephone": ("contact", "phone", "main"),
    "whatsapp": ("contact", "app", "whatsapp"),
    "twitter": ("media", "social", "twitter"),
    "facebook": ("media", "social", "facebook"),
}
"""Members of `pii` before 0.8.2, and their place below `data`."""
_NUMBERS: Final = ("ltv", "ltcosc", "ltcocc", "ltcosv", "ltcocv")
"""Below data.metrics: what is counted."""


def convert(document: Document, takeover: Takeover, now_ms: int) -> Made:
    """Its records. Args: now_ms: the receive time, milliseconds since 1970. Raises: Left."""
    return _Profile(document, takeover, now_ms).made()


def newest_ms(source: Mapping[str, Any]) -> int:
    """When a document was changed last, milliseconds since 1970; 0: it does not say it."""
    time = at(source, "metadata", "time") or {}
    return time_ms(at(time, "update")) or time_ms(at(time, "insert")) or 0


class _Profile:
    """One call of `convert`."""

    def __init__(self, document: Document, takeover: Takeover, now_ms: int) -> None:
        self._document = document
        self._takeover = takeover
        self._now_ms = now_ms
        self._found = document.source
        self._id = document_id(document)
        self._changed: dict[str, None] = {}
        self._more: dict[str, Any] = {}

    def made(self) -> Made:
        at_ms = newest_ms(self._found)
        if not at_ms:
            raise Left("it has no time that can be read")
        said = self._said()
        event = document_event(self._takeover, self._document, OF_PROFILE, at_ms, said)
        key, record = track(
            self._takeover,
            self._document,
            event,
            source=OWN_SOURCE,
            profile_id=self._id,
            session_id="",
            now_ms=self._now_ms,
        )
        records = [(key, record), *(self._one_with(other, at_ms) for other in self._other_ids())]
        return Made(event["id"], at_ms, records, list(self._changed))

    def _said(self) -> dict[str, Any]:
        found = self._found
        said: dict[str, Any] = {"of": self._id.replace(".", "_"), "traits": self._traits(), "data": self._data()}
        aux = {name: found.get(name) for name in ("misc", "trash") if found.get(name)}
        if aux:
            self._change("misc and trash are in aux")
        said["aux"] = {**aux, **self._more, **object_at(found, "aux")}
        if found.get("active") is False:
            said["aux"]["active"] = False
            self._change("active is in aux.active")
        if isinstance(found.get("primary_id"), str):
            said["primary_id"] = found["primary_id"]
        segments = found.get("segments")
        if isinstance(segments, list):
            said["segments"] = [one for one in dict.fromkeys(segments) if isinstance(one, str) and one]
        said["since"] = told(at(found, "metadata", "time", "insert"))
        if not self._takeover.is_anew:
            said.update(self._counted())
        if pruned(at(found, "metadata", "fields")) is not None:
            self._change("when which field was set (metadata.fields) is the time of the profile's last change")
        plain = {name: value for name, value in pruned(said).items() if name != "counters"}
        if consents := self._consents():
            plain["consents"] = consents
        made, is_changed = plain_keys(plain)
        if is_changed:
            self._change("keys without dots, and none longer than 256 characters")
        # their names are paths
        return {**made, "counters": said["counters"]} if said.get("counters") else made

    def _traits(self) -> dict[str, Any]:
        traits = self._found.get("traits")
        if not isinstance(traits, dict):
            return {}
        if traits and traits.keys() <= {"public", "private"} and all(isinstance(one, dict) for one in traits.values()):
            self._change("traits.public and traits.private are traits")
            return {**traits.get("private", {}), **traits.get("public", {})}
        return traits

    def _data(self) -> dict[str, Any]:
        found = self._found.get("data")
        data: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found)) if isinstance(found, dict) else {}
        data.pop("anonymous", None)
        metrics = data.get("metrics")
        if isinstance(metrics, dict):
            # the share of completed checkouts follows from these here
            for name in ("ltcop", *_NUMBERS):
                metrics.pop(name, None)
        pii = self._found.get("pii")
        if isinstance(pii, dict) and pruned(pii):
            self._change("pii is below data, by the names that fields have there")
            for name, value in pii.items():
                path = OLD_PII.get(name)
                if path is None:
                    self._more[f"pii_{name}"] = value
                elif value is not None:
                    _put(data, path, value)
        return data

    def _consents(self) -> dict[str, Any]:
        consents = self._found.get("consents")
        made = {}
        for id, one in consents.items() if isinstance(consents, dict) else ():
            revoke = told(one.get("revoke")) if isinstance(one, dict) else None
            made[id] = {"granted": one is not False, "revoke": revoke}
        return made

    def _counted(self) -> dict[str, Any]:
        """What this hub adds to what it counts itself."""
        found = self._found
        stats = object_at(found, "stats")
        counters: dict[str, Any] = {
            name: number for name, number in _leaves(stats, "stats") if name not in {"stats.visits", "stats.events"}
        }
        for name in _NUMBERS:
            number = at(found, "data", "metrics", name)
            if _is_number(number) and number:
                counters[f"data.metrics.{name}"] = number
        interests = found.get("interests")
        if isinstance(interests, list):
            interests = {one: 1 for one in interests if isinstance(one, str)}
            self._change("each interest of a list counts 1")
        for name, number in interests.items() if isinstance(interests, dict) else ():
            if _is_number(number) and number:
                counters[f"interests.{_key(name)}"] = number
        visit = at(found, "metadata", "time", "visit")
        visits = self._visits(visit if isinstance(visit, dict) else {}, stats.get("visits"))
        if visits:
            counters[VISITS] = visits["count"]
        return {"counters": counters, VISITS: visits}

    def _visits(self, visit: Mapping[str, Any], also: Any) -> dict[str, Any] | None:
        numbers = [number for number in (visit.get("count"), also) if type(number) is int and number > 0]
        if not numbers:
            return None
        if len(set(numbers)) > 1:
            self._change("of two numbers of visits, stats.visits and metadata.time.visit.count, the larger one")
        times = {name: told(visit.get(name)) for name in ("last", "current")}
        made: dict[str, Any] = {"count": max(numbers), **times}
        if isinstance(visit.get("tz"), str) and visit["tz"]:
            made["tz"] = visit["tz"]
        return made

    def _other_ids(self) -> list[str]:
        ids = self._found.get("ids")
        others = [one.strip() for one in ids if isinstance(one, str)] if isinstance(ids, list) else []
        if any(HASHED.fullmatch(one) for one in others):
            self._change("ids that are hashes (emm-… and the like) are left: this hub makes its own")
        return [
            one
            for one in dict.fromkeys(others)
            if one and one != self._id and len(one) <= 256 and one.isprintable() and not HASHED.fullmatch(one)
        ]

    def _one_with(self, other: str, at_ms: int) -> tuple[str, Inbound]:
        """As somebody asks for it over the API: the larger id becomes part of the smaller one, and leads there."""
        loser, survivor = max(self._id, other), min(self._id, other)
        reason = Reason("request", self._id, other, iso(at_ms), label=OF_PROFILE)
        body: Merge = {
            "loser_id": survivor,
            "loser_version": 0,
            "snapshot": EMPTY,
            "step": "ask",
            "reason": msgspec.json.encode(reason),
        }
        record: Inbound = {
            "id": derived("takeover-ask", self._takeover.installation, self._id, other),
            "source": IDENTITY,
            "profile_id": loser,
            "received_at_ms": self._now_ms,
            "definitions_offset": self._takeover.definitions_offset,
            "origin": origin(self._takeover, self._document, is_anew=False),
            "body": (MERGE, body),
        }
        return loser, record

    def _change(self, what: str) -> None:
        self._changed[what] = None


def _put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *above, last = path
    for key in above:
        below = data.get(key)
        if not isinstance(below, dict):
            below = data[key] = {}
        data = below
    if data.get(last) is None:
        data[last] = value


def _leaves(value: Mapping[str, Any], path: str) -> list[tuple[str, Any]]:
    found = []
    for key, item in value.items():
        name = f"{path}.{_key(key)}"
        if isinstance(item, dict):
            found += _leaves(item, name)
        elif _is_number(item) and item:
            found.append((name, item))
    return found


def _key(text: str) -> str:
    return str(text).replace(".", "_")[:200] or "_"


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
