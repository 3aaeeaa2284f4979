"""The predecessor's definitions as ours: event sources, segments, consents, event types, mappings, links. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from pydantic import ValidationError

from hub.conditions import QueryError
from hub.definitions.event_types import built_in
from hub.definitions.kinds import KINDS
from hub.edge.admit import event_type
from hub.migration.flows import flow_draft
from hub.migration.made import MISSHAPEN, at, ref
from hub.migration.profiles import OLD_PII
from hub.pipeline.taken_over import OF_PROFILE
from hub.store.query.segment import segment_condition

Documents: TypeAlias = Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]]
"""By the predecessor's kind, each with its id."""

DOORS: Final[Mapping[str, str]] = {
    "rest": "rest",
    "webhook": "webhook",
    "redirect": "redirect",
    "queue": "bridge",
    "imap": "bridge",
    "mqtt": "bridge",
    "kafka": "bridge",
    "rabbitmq": "bridge",
    "pulsar": "bridge",
}
"""Types of event sources there, and the door that is theirs here."""
_OPERATIONS: Final[Mapping[Any, str]] = {
    0: "set",
    1: "set-if-empty",
    2: "append",
    "equals": "set",
    "equals_if_not_exists": "set-if-empty",
    "append": "append",
}
_EMAIL: Final = re.compile(r"data\.contact\.email\.|pii\.email")
_PHONE: Final = re.compile(r"data\.contact\.phone\.|pii\.telephone|data\.contact\.app\.whatsapp")
_SPAN: Final = re.compile(r"(\d+)\s*(s|m|h|d|w)[a-z]*\s*")
POINT: Final = "taken-over-profiles"
"""Id of the identification point by which profiles of the predecessor are known again."""


class Defined(NamedTuple):
    """
    What becomes of one.

    Attributes:
        origin: Where it comes from, such as `segment/gold`.
        kind, id, spec: Here; an empty kind: it is left.
        changed: What is another one here.
        left: Why it is left.
    """

    origin: str
    kind: str = ""
    id: str = ""
    spec: Mapping[str, Any] = {}
    changed: Sequence[str] = ()
    left: str = ""


class _Left(ValueError):
    """It cannot be taken; the message says why."""


def converted(documents: Documents, used_segments: Iterable[str] = ()) -> list[Defined]:
    """
    All of them, those first that others refer to.

    Args: used_segments: names in profiles' `segments`, also of such ones as no document defines.
    """
    made = [
        _one(kind, id, document, convert)
        for kind, convert in _CONVERTERS.items()
        for id, document in documents.get(kind, ())
    ]
    made += _undefined_segments(made, used_segments)
    made += _point_of_profiles(made)
    rules = [rule for _, rule in documents.get("rule", ())]
    flows = {id for id, _ in documents.get("flow", ())}
    made += [
        _flow(id, document, [rule for rule in rules if ref(rule, "flow") == id])
        for id, document in documents.get("flow", ())
    ]
    for rule in rules:
        there = ref(rule, "flow") in flows
        why = "" if there else "its flow is not there"
        made.append(Defined(f"rule/{rule.get('id', '')}", left=why or "it is a trigger of its flow here"))
    return made


def _one(kind: str, id: str, document: Mapping[str, Any], convert: Callable[..., Any]) -> Defined:
    name = f"{kind}/{document.get('id') or id}"
    changed: list[str] = []
    try:
        to_kind, to_id, spec = convert(document, changed)
    except _Left as exc:
        return Defined(name, left=str(exc))
    except MISSHAPEN as exc:
        return Defined(name, left=_misshapen(exc))
    text = {key: str(document[key])[:2_000] for key in ("name", "description") if document.get(key)}
    return _valid(Defined(name, to_kind, to_id, {**text, **spec}, changed))


def _flow(id: str, document: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]) -> Defined:
    name = f"flow/{id}"
    try:
        spec, changed, left = flow_draft(document, rules)
    except MISSHAPEN as exc:
        return Defined(name, left=_misshapen(exc))
    return Defined(name, left=left) if left else _valid(Defined(name, "flow-draft", _id(id), spec, changed))


def _misshapen(exc: Exception) -> str:
    return f"it is not shaped as such a definition is ({exc})"


def _valid(one: Defined) -> Defined:
    """As the definitions' models take it, or left."""
    try:
        KINDS[one.kind].model_validate(dict(one.spec))
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        return Defined(one.origin, left=f"it cannot be one here: {where}: {first['msg']}")
    return one


def _source(document: Mapping[str, Any], changed: list[str]) -> tuple[str, str, dict[str, Any]]:
    id = _named(document)
    if id.startswith("@"):
        raise _Left("the hub has event sources of its own")
    types = _texts(document.get("type"))
    doors = sorted({DOORS[one] for one in types if one in DOORS})
    enabled = document.get("enabled") is not False
    unknown = [one for one in types if one not in DOORS]
    if unknown or not doors:
        changed.append(f"switched off: nobody here knows the type {', '.join(unknown) or '(none)'}")
        doors, enabled = doors or ["rest"], False
    if "bridge" in doors and document.get("config"):
        changed.append("its connection is left: define a bridge (docs/bridges.md)")
    spec: dict[str, Any] = {"type": doors, "enabled": enabled, "tags": _texts(document.get("tags"))}
    for name in ("transitional", "permanent_profile_id"):
        if document.get(name) is True:
            spec[name] = True
    if document.get("channel"):
        spec["channel"] = str(document["channel"])
    return "source", id, spec


def _segment(document: Mapping[str, Any], changed: list[str]) -> tuple[str, str, dict[str, Any]]:
    id = str(document.get("machine_name") or _slug(str(document.get("name", ""))))
    if not id:
        raise _Left("it has no name")
    spec: dict[str, Any] = {"enabled": document.get("enabled") is not False}
    condition = str(document.get("condition") or "").strip()
    if condition:
        try:
            segment_condition(condition)
        except QueryError as exc:
            changed.append(f"without its condition, {condition!r}, which is none here ({exc}): who was in it is in it")
        else:
            spec["condition"] = condition
            changed.append("whoever does not meet the condition any more leaves it")
    if _texts(document.get("eventType")):
        changed.append("looked at with every change of a profile, not with some event types alone")
    return "segment", id, spec


def _consent(document: Mapping[str, Any], changed: list[str]) -> tuple[str, str, dict[str, Any]]:
    spec: dict[str, Any] = {
        "enabled": document.get("enabled") is not False,
        "required": document.get("required") is True,
        "default_value": "grant" if document.get("default_value") == "grant" else "deny",
        "tags": _texts(document.get("tags")),
    }
    lasts = str(document.get("auto_revoke") or "").strip().lower()
    if lasts:
        parts = _SPAN.findall(lasts)
        if "".join("".join(part) for part in parts) == "" or _SPAN.sub("", lasts):
            changed.append(f"it does not end by itself: {lasts!r} is no time here")
        else:
            spec |= {"auto_revoke": "".join(f"{number}{unit}" for number, unit in parts)}
            spec["revokable"] = document.get("revokable") is True
    return "consent-type", _named(document), spec


def _event_type(document: Mapping[str, Any], changed: list[str]) -> tuple[str, str, dict[str, Any]]:
    id = event_type(str(document.get("event_type") or document.get("id") or "").strip())
    if not id:
        raise _Left("it has no event type")
    if id in built_in():
        raise _Left(f"{id} comes with the hub (docs/event-types.md): define one of your own, if it shall do otherwise")
    schema = document.get("index_schema")
    copied = {}
    for source, target in schema.items() if isinstance(schema, dict) else ():
        place = str(target).rpartition("@")[2].removeprefix("traits.")
        if place:
            copied[f"traits.{place}"] = f"properties.{str(source).rpartition('@')[2].removeprefix('properties.')}"
    if copied:
        changed.append("properties that are traits stay properties as well")
    spec: dict[str, Any] = {
        "copy": copied,
        "tags": _texts(document.get("tags")),
        "enabled": document.get("enabled") is not False,
    }
    journey = document.get("journey")
    if isinstance(journey, str) and journey:
        spec["journey"] = journey
    return "event-type", id, spec


def _mapping(document: Mapping[str, Any], changed: list[str]) -> tuple[str, str, dict[str, Any]]:
    type = event_type(ref(document, "event_type"))
    lines: list[dict[str, Any]] = []
    for line in document.get("event_to_profile") or ():
        made = _line(line)
        if isinstance(made, str):
            changed.append(f"without one of its lines: {made}")
        else:
            lines.append(made)
    if not type or not lines:
        raise _Left("it has no event type" if not type else "none of its lines can be one here: " + "; ".join(changed))
    spec: dict[str, Any] = {"event_type": type, "fields": lines, "enabled": document.get("enabled") is True}
    condition = str(at(document, "config", "condition") or "").strip()
    if condition:
        spec["enabled"] = False
        changed.append(f"switched off: its condition, {condition!r}, is to be written in JMESPath as `when`")
    return "mapping", _named(document), spec


def _line(line: Mapping[str, Any]) -> dict[str, Any] | str:
    """A line, or why it is none."""
    said, target = line.get("event"), _path(at(line, "profile", "value"))
    op = line.get("op", 0)
    op = _OPERATIONS.get(op.lower() if isinstance(op, str) else op)
    if op is None:
        return f"the operation {line.get('op')!r} is not known"
    first = target.partition(".")[0]
    if first == "pii":
        place = OLD_PII.get(target.removeprefix("pii."))
        target = ".".join(("data", *place)) if place else f"aux.{target}"
    elif first in {"misc", "trash"}:
        target = f"aux.{target}"
    elif first not in {"traits", "data", "stats", "interests", "consents", "aux", "primary_id"}:
        return f"{target or '(nothing)'} is no field that a mapping may write"
    value = at(said, "value")
    if at(said, "ref") is False:
        return {"value": value, "profile": target, "op": op}
    source = _path(value)
    if source.partition(".")[0] not in {
        "properties",
        "context",
        "traits",
        "data",
        "hit",
        "device",
        "os",
        "app",
        "utm",
        "type",
        "id",
    }:
        return f"{source or '(nothing)'} is no place in an event"
    return {"event": source, "profile": target, "op": op}


def _point(document: Mapping[str, Any], changed: list[str]) -> tuple[str, str, dict[str, Any]]:
    type = event_type(ref(document, "event_type"))
    identifiers = []
    for field in document.get("fields") or ():
        trait = _path(at(field, "profile_trait", "value"))
        found = _path(at(field, "event_property", "value"))
        if trait and found:
            place = found if found.startswith(("properties.", "context.")) else f"properties.{found}"
            identifiers.append({"event": place, **_kind(trait)})
    if not type or not identifiers:
        raise _Left("it has no event type, or no field")
    if len(identifiers) > 1:
        changed.append("one of its fields is enough, where all of them were needed")
    spec = {
        "event_type": type,
        "source": ref(document, "source"),
        "identifiers": identifiers,
        "enabled": document.get("enabled") is not False,
    }
    return "identification-point", _named(document), spec


def _kind(trait: str) -> dict[str, str]:
    """How an identifier is normalised, by the profile's field that it was compared with."""
    if _EMAIL.match(trait):
        return {"kind": "email"}
    if _PHONE.match(trait):
        return {"kind": "phone"}
    return {"kind": "id", "name": re.sub(r"[^a-z0-9_.-]", "-", trait.lower())[-64:]}


def _redirect(document: Mapping[str, Any], changed: list[str]) -> tuple[str, str, dict[str, Any]]:
    properties: dict[str, str] = {}
    props = document.get("props")
    for name, value in props.items() if isinstance(props, dict) else ():
        text = str(value)
        if text.startswith(("payload@params.", "payload@body.")):
            properties[name] = text.removeprefix("payload@")
        elif isinstance(value, str) and "@" not in value:
            properties[name] = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        else:
            changed.append(f"without the property {name}, {text!r}")
    spec = {
        "url": document.get("url"),
        "source": ref(document, "source"),
        "event_type": event_type(str(document.get("event_type") or "")),
        "properties": properties,
    }
    return "redirect", _named(document), spec


_CONVERTERS: Final[Mapping[str, Callable[..., tuple[str, str, dict[str, Any]]]]] = {
    "event-source": _source,
    "consent-type": _consent,
    "event-management": _event_type,
    "segment": _segment,
    "event-to-profile": _mapping,
    "identification-point": _point,
    "event-redirect": _redirect,
}


def _undefined_segments(made: Iterable[Defined], used: Iterable[str]) -> Iterator[Defined]:
    """Those that flows have let profiles into."""
    there = {one.id for one in made if one.kind == "segment"}
    for id in dict.fromkeys(used):
        if id and id not in there:
            yield Defined(
                f"profile segments/{id}", "segment", id, {"name": id}, ["without a condition: flows let into it"]
            )


def _point_of_profiles(made: Iterable[Defined]) -> Iterator[Defined]:
    """The profiles themselves come with what identifies their people, so that later events find them."""
    traits = {
        (one["kind"], one.get("name", ""))
        for defined in made
        if defined.kind == "identification-point"
        for one in defined.spec["identifiers"]
    }
    identifiers = [
        {"event": f"properties.data.contact.email.{way}", "kind": "email"} for way in ("main", "private", "business")
    ]
    phones = [
        {"event": f"properties.data.contact.phone.{way}", "kind": "phone"}
        for way in ("main", "mobile", "business", "whatsapp")
    ]
    wanted: list[dict[str, str]] = [
        *(identifiers if ("email", "") in traits else ()),
        *(phones if ("phone", "") in traits else ()),
    ]
    wanted += (
        {"event": f"properties.{name}", "kind": "id", "name": name}
        for kind, name in sorted(traits)
        if kind == "id" and name.startswith(("data.", "traits."))
    )
    if wanted:
        spec = {"name": "Profiles taken over", "event_type": OF_PROFILE, "source": "", "identifiers": wanted}
        yield Defined("identification points", "identification-point", POINT, spec)


def _named(document: Mapping[str, Any]) -> str:
    id = document.get("id")
    if not isinstance(id, str) or not id.strip():
        raise _Left("it has no id")
    return _id(id)


def _id(text: str) -> str:
    return text.strip()


def _path(value: Any) -> str:
    """Without the name of the object in front, such as `event@`."""
    return str(value or "").rpartition("@")[2].strip()


def _slug(text: str) -> str:
    return text.strip().lower().replace(" ", "-")


def _texts(value: Any) -> list[str]:
    """Of a list, or of a text with commas, as MySQL has it."""
    if isinstance(value, str):
        value = value.split(",")
    return [text.strip() for text in value if isinstance(text, str) and text.strip()] if isinstance(value, list) else []
