"""The condition of a segment: one on profiles, that can be judged whenever something about one of them changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hub.conditions import QueryError, parse
from hub.conditions.ast import Condition, Field, History
from hub.conditions.python import judge
from hub.conditions.walk import field_of, fields, histories
from hub.edge.admit import event_type
from hub.pipeline.documents import new_profile
from hub.pipeline.draft import Draft
from hub.pipeline.histories import begin
from hub.pipeline.segment_events import EVERY
from hub.store.query.fields import for_kind

EVENT_FIELDS: Final = (
    "type",
    "properties",
    "context",
    "source.id",
    "session.id",
    "data",
    "traits",
    "hit",
    "device",
    "os",
    "app",
    "utm",
)
"""What a history may ask of an event: what is known of it as it is applied, and is in its document for good."""
_OWN: Final = (("segments",), ("metadata", "segments"), ("metadata", "judged"), ("metadata", "due"))


def segment_condition(text: str) -> Condition:
    """
    The condition as every compiler takes it, `now` still open.

    Raises: QueryError, with line and column: it cannot be read, or asks for what a segment cannot know.
    """
    parsed = parse(text)
    try:
        condition = for_kind(parsed, "profiles")
        for field in fields(condition):
            _check(field)
        for history in histories(condition):
            _check_history(history)
    except QueryError as exc:
        exc.show(text)
        raise
    return condition


def warnings(text: str) -> list[str]:
    """What is odd about a condition, though a definition may have it."""
    try:
        condition = segment_condition(text)
    except QueryError as exc:
        return [f"this version of the hub cannot read the condition, so nobody enters or leaves: {exc}"]
    if not any(True for _ in fields(condition)):
        return ["the condition asks for no field, so that it holds for every profile, or for none"]
    nobody = Draft(new_profile("", "1970-01-01T00:00:00.000Z"))
    begin(nobody, _keys(condition))
    if judge(condition, lambda: 0)(nobody.doc) is True:
        return [
            "the condition holds for a profile of which nothing is known, so nearly everybody may be in the segment"
        ]
    return []


def _keys(condition: Condition) -> Iterator[str]:
    return (field_of(history).path[-1] for history in histories(condition))


def _check(field: Field) -> None:
    if any(field.path[: len(own)] == own for own in _OWN):
        raise QueryError(
            f"a segment cannot ask for {'.'.join(field.path)}, which segments change: write the other's condition here",
            field.line,
            field.column,
        )


def _check_history(history: History) -> None:
    if history.event_type in EVERY:
        raise QueryError(f"{history.event_type} goes into no history", history.line, history.column)
    if history.event_type != event_type(history.event_type):
        raise QueryError(
            f"no event is of the type {history.event_type!r}: it would be {event_type(history.event_type)!r}",
            history.line,
            history.column,
        )
    asked = [] if history.where is None else list(fields(history.where))
    for field in (*asked, *(() if history.field is None else (history.field,))):
        name = ".".join(field.path)
        if not any(name == known or name.startswith(f"{known}.") for known in EVENT_FIELDS):
            known = ", ".join(EVENT_FIELDS)
            raise QueryError(f"a history cannot ask for {name} of an event; it knows {known}", field.line, field.column)
