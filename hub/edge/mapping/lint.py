"""What is wrong with a mapping, all of it, and what is probably not meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from hub.edge.mapping.compiled import CompiledMapping, parsed
from hub.edge.mapping.problems import MappingError, Path, Problem
from hub.edge.mapping.spec import Document, EventMapping, MappingSpec
from hub.edge.syntax import parse

Level: TypeAlias = Literal["error", "warning"]

TYPE_FIELDS: Final = frozenset(
    {"type", "kind", "event", "name", "action", "topic", "op", "event_type", "eventType", "event_name", "eventName"}
)
"""Fields that messages have their type in: as an expression such a word is meant."""


class Finding(NamedTuple):
    """An `error` keeps the mapping from being used, a `warning` does not."""

    level: Level
    problem: Problem


def lint(document: Document) -> list[Finding]:
    """Everything that there is to say about a mapping; nothing when it is good."""
    try:
        spec = parsed(document)
        CompiledMapping(spec)
    except MappingError as exc:
        return [Finding("error", problem) for problem in exc.problems]
    return [Finding("warning", problem) for problem in _doubts(spec)]


def mapping_in(document: Any) -> tuple[Any, Path]:
    """
    The mapping of a document, and its path in there.

    A document is a mapping, or has one: a bridge's definition, as it is saved or as the API answers it.
    """
    if isinstance(document, Mapping):
        if isinstance(document.get("spec"), Mapping) and "mapping" in document["spec"]:
            return document["spec"]["mapping"], ("spec", "mapping")
        if "mapping" in document and "event" not in document and "events" not in document:
            return document["mapping"], ("mapping",)
    return document, ()


def _doubts(spec: MappingSpec) -> Iterator[Problem]:
    if spec.profile is None and spec.session is None:
        yield Problem((), "it has no `profile` and no `session`: each message makes a profile of its own")
    if spec.event is not None:
        yield from _doubts_of(spec, spec.event, ("event",))
    for place, event in enumerate(spec.events):
        yield from _doubts_of(spec, event, ("events", place))


def _doubts_of(spec: MappingSpec, event: EventMapping, path: Path) -> Iterator[Problem]:
    node = parse(event.type)
    if node["type"] == "field":
        word = node["value"]
        seen = any(isinstance(case.message, dict) and word in case.message for case in spec.tests)
        if word not in TYPE_FIELDS and word not in spec.columns and event.each is None and not seen:
            yield Problem(
                (*path, "type"),
                f"it is the message's field {word!r}; a fixed text has single quotes around it: '{word}'",
                1,
                event.type,
            )
    if node["type"] == "literal" and type(node["value"]) is not str:
        yield Problem((*path, "type"), "it is no text: every message will be refused", 1, event.type)
