"""Can lines of mappings and event types work, templates, rules, conditions? What their types alone do not tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hub.conditions import QueryError
from hub.definitions.fields import EACH, EVERY, FieldMapping
from hub.definitions.kinds import Definition, EventType, Mapping, Redirect, Rule, Segment
from hub.edge.redirects import compiled
from hub.edge.syntax import ExpressionError
from hub.pipeline.conditions import check
from hub.pipeline.derived import DERIVED
from hub.pipeline.rules.checks import check_rule
from hub.store.query.segment import segment_condition

_OURS: Final = {
    "stats.events": "the hub counts it",
    "stats.visits": "the hub counts it",
    **{".".join(path): "it follows from other fields" for path in DERIVED},
}


def check_lines(spec: Definition) -> None:
    """Raises ValueError: something is no expression, or a field is the hub's own. Other kinds have no lines."""
    if isinstance(spec, Mapping):
        _check_condition("when", spec.when)
        _check("fields", spec.fields)
    elif isinstance(spec, EventType):
        _check("profile", spec.profile)
    elif isinstance(spec, Segment):
        _check_segment(spec)
    elif isinstance(spec, Redirect):
        compiled(spec)
    elif isinstance(spec, Rule):
        _check_condition("when", spec.when)
        check_rule(spec)


def _check(name: str, lines: Iterable[FieldMapping]) -> None:
    for number, line in enumerate(lines):
        where = f"{name}[{number}]"
        _check_condition(f"{where}.when", line.when)
        if line.profile in _OURS:
            raise ValueError(f"{where}.profile: {line.profile} cannot be written, as {_OURS[line.profile]}")
        if line.profile in {f"stats.{EACH}", f"stats.{EVERY}"}:
            raise ValueError(f"{where}.profile: name the fields of stats one by one, as the hub counts some of them")


def _check_segment(spec: Segment) -> None:
    if spec.condition is None:
        return
    try:
        segment_condition(spec.condition)
    except QueryError as exc:
        raise ValueError(f"condition: {exc}") from exc


def _check_condition(where: str, text: str | None) -> None:
    if text is None:
        return
    try:
        check(text)
    except ExpressionError as exc:
        raise ValueError(f"{where}: {exc}, in the expression {text!r}") from exc
