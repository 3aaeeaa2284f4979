"""What does a flow name that is not there, or cannot do what the flow wants? Warnings: it may be defined later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias, cast

from pydantic import BaseModel

from hub.conditions.unkept import unkept
from hub.definitions.catalogue import Entry
from hub.definitions.flows import OnEntered, OnEvent, OnHeartbeat, OnLeft
from hub.definitions.heartbeats import built_in
from hub.definitions.kinds import Destination, Flow, Segment
from hub.edge.mapping.problems import Problem
from hub.flows.check import Part
from hub.flows.deciding import powerless
from hub.flows.fields import Query

Defined: TypeAlias = Callable[[str], Mapping[str, Entry]]
"""Definitions of a kind, by id: `Catalogue.entries`."""
_SENDS: Final = ("send", "send-mail")
_MAILS: Final = "smtp"


def unknown(flow: Flow, defined: Defined) -> Iterator[Problem]:
    """All of it, in the order of triggers and nodes."""
    yield from _of_triggers(flow, defined)
    segments = defined("segment")
    odd: dict[str, list[str]] = {}
    for id, why in powerless(flow, segments):
        odd.setdefault(id, []).append(why)
    for id, node in flow.nodes.items():
        yield from (Problem(("nodes", id), why) for why in odd.get(id, ()))
        if node.skip:
            continue
        if node.type == "has-segment":
            named = node.config.get("segments")
            for segment in named if isinstance(named, list) else ():
                if segment not in segments:
                    yield Problem(
                        ("nodes", id, "config", "segments"), f"there is no segment {segment!r}: nobody is in it"
                    )
        elif node.type in _SENDS and isinstance(node.config.get("destination"), str):
            why = _of_destination(node.config["destination"], node.type, defined("destination"))
            if why:
                yield Problem(("nodes", id, "config", "destination"), why)


def _of_triggers(flow: Flow, defined: Defined) -> Iterator[Problem]:
    segments = defined("segment")
    for place, trigger in enumerate(flow.triggers):
        if isinstance(trigger, OnEntered | OnLeft) and trigger.segment not in segments:
            words = f"there is no segment {trigger.segment!r}: nobody enters or leaves it"
            yield Problem(("triggers", place, "segment"), words)
        elif isinstance(trigger, OnEvent) and _is_strange(trigger.source, defined("source")):
            words = f"there is no event source {trigger.source!r}: nothing comes from it"
            yield Problem(("triggers", place, "source"), words)
        elif isinstance(trigger, OnHeartbeat) and trigger.heartbeat not in {**built_in(), **defined("heartbeat")}:
            yield Problem(
                ("triggers", place, "heartbeat"), f"there is no heartbeat {trigger.heartbeat!r}: it never beats"
            )


def _is_strange(source: str, sources: Mapping[str, Entry]) -> bool:
    return bool(source) and not source.startswith("@") and source not in sources  # @: the hub's own


def unkept_histories(flow: Flow, parts: Mapping[str, Part], defined: Defined) -> Iterator[Problem]:
    """Conditions on what profiles do not keep. Args: parts: of the flow, compiled."""
    segments = [cast("Segment", entry.spec).condition for entry in defined("segment").values()]
    kept = [condition for condition in segments if condition]
    for place, trigger in enumerate(flow.triggers):
        for why in unkept(getattr(trigger, "condition", ""), kept):
            yield Problem(("triggers", place, "condition"), why)
    for id, part in parts.items():
        if not part.skip:
            for query in _queries(part.config):
                yield from (Problem(("nodes", id, "config"), why) for why in unkept(query.source, kept))


def _queries(value: object) -> Iterator[Query]:
    if isinstance(value, Query):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _queries(getattr(value, name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _queries(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _queries(item)


def _of_destination(id: str, node: str, destinations: Mapping[str, Entry]) -> str:
    entry = destinations.get(id)
    if entry is None:
        return f"there is no destination {id!r}: what is sent waits for it, and becomes a dead letter after a while"
    spec = cast("Destination", entry.spec)
    if not spec.enabled:
        return f"the destination {id!r} is switched off: what is sent waits, and becomes a dead letter after a while"
    if node == "send-mail" and spec.type != _MAILS:
        return f"the destination {id!r} is of type {spec.type}: for a mail it takes one of type {_MAILS}"
    return ""
