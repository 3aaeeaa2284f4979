"""What a run of a flow changes in its profile: an event of the hub's own, whose properties are lines of a mapping."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from hub.definitions.shape import ANY, PROFILE, shape_at
from hub.pipeline.derived import DERIVED
from hub.pipeline.mapping import LONGEST_KEY, STRATEGIES, Field, Problem
from hub.pipeline.segments import NO_SEGMENTS, Segments
from hub.pipeline.touched import Touched
from schemas.records import TRACK, Inbound

SOURCE: Final = "@flow"
"""Event source of what flows do. Nobody can send as it, so an event of TYPE is believed only of it."""
TYPE: Final = "flow-change"
MAPPING: Final = "flow/"
"""In front of the flow's id, where the id of a mapping would stand."""
RAISED_BY: Final = "raised_by"
"""In the context of an event of SOURCE: the flow, its version, its run, and the how many-th event it is."""

_FIELD: Final = re.compile(r"primary_id|(traits|data|stats|interests|consents|aux)(\.[^.{}]+)+")
_OURS: Final = frozenset({"stats.events", "stats.visits", *(".".join(path) for path in DERIVED)})
_KINDS: Final = frozenset(strategy for strategy in STRATEGIES.values() if strategy is not None)
_EMPTY: Final = b"{}"


class FieldChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    An operation on a field of the profile, as a line of a mapping that has only a constant.

    `merge`: how the field is merged when two profiles become one; None: as its operation says. `node`: that wants it.
    """

    op: str
    field: str
    value: Any = None
    merge: str | None = None
    node: str = ""


class FlowChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    The properties of an event of TYPE: all that one leg of a run changes in the profile, in order.

    `enter`, `leave`: segments without a condition, none of them in both. `session`: that the run is about, if any; the
    event is in none, as a run may go on long after its session.
    """

    flow: str
    version: int
    run: str
    changes: list[FieldChange] = []
    enter: list[str] = []
    leave: list[str] = []
    session: str = ""


class Asked(NamedTuple):
    """What such an event asks for, and what of that cannot be done."""

    lines: Sequence[Field]
    problems: Sequence[Problem]
    enter: Sequence[str]
    leave: Sequence[str]


def asked(properties: Mapping[str, Any], segments: Segments) -> Asked:
    """
    The event's own lines; what is wrong with one costs that line alone.

    Args: properties: of an event of TYPE and SOURCE.
    """
    try:
        wanted = msgspec.convert(properties, FlowChange)
    except msgspec.ValidationError as exc:
        return Asked((), [Problem(MAPPING, "", f"its properties are none of a {TYPE}: {exc}")], (), ())
    mapping = f"{MAPPING}{wanted.flow}"
    lines: list[Field] = []
    problems: list[Problem] = []
    for change in wanted.changes:
        why = _why_not(change)
        if why:
            problems.append(Problem(mapping, change.field, why))
        else:
            lines.append(_line(mapping, change))
    for id in (*wanted.enter, *wanted.leave):
        why = _no_way_in(id, segments)
        if why:
            problems.append(Problem(mapping, f"segments.{id}", why))
    return Asked(lines, problems, wanted.enter, wanted.leave)


def asked_by(event: Mapping[str, Any]) -> Asked | None:
    """What a stored event of TYPE asks for; None: it is another event. Args: event: its document."""
    if event["type"] != TYPE or event["source"]["id"] != SOURCE:
        return None
    return asked(event["properties"], NO_SEGMENTS)


def is_overtaken(profile: Mapping[str, Any], at: str) -> bool:
    """
    Whether the hub has received something for the profile after the leg ran, which the leg has not seen.

    Then time decides, as between two senders: what a leg that was late wants set is none of the newest. Else it is the
    newest, whatever the clocks of clients say that sent what it has seen.

    Args: profile: its document. at: when the leg ran, RFC 3339.
    """
    update: str = profile["metadata"]["time"]["update"]
    return at < update


def is_vain(inbound: Inbound, touched: Touched) -> bool:
    """Whether a record changes a profile that has gone since the run saw it: it was erased. It makes nobody."""
    if inbound["source"] != SOURCE or inbound["body"][0] != TRACK or touched.has(inbound["profile_id"]):
        return False
    return all(event["type"] == TYPE for event in inbound["body"][1]["events"])


def raised_by(inbound: Inbound) -> bytes:
    """
    The context of events that follow from a record: of one of SOURCE, which flow and run it comes from.

    So flows that trigger each other by way of segments come to an end, too.
    """
    if inbound["source"] != SOURCE or inbound["body"][0] != TRACK:
        return _EMPTY
    for event in inbound["body"][1]["events"]:
        said = msgspec.json.decode(event["context"]).get(RAISED_BY)
        if said is not None:
            return msgspec.json.encode({RAISED_BY: said})
    return _EMPTY


def why_no_field(field: str) -> str:
    """Why a flow may not change a field of the profile; empty: it may. Args: field: its path, with dots."""
    if _FIELD.fullmatch(field) is None or any(len(key) > LONGEST_KEY for key in field.split(".")):
        return "it is no field that a flow may change: those are below traits, data, stats, interests, consents and aux"
    return "the hub makes it itself" if field in _OURS else ""


def moves(changes: Iterable[tuple[str, bool]]) -> tuple[list[str], list[str]]:
    """
    Segments to enter, and to leave: of several changes of one the last counts.

    Args: changes: id, and whether the profile enters it.
    """
    last = dict(changes)
    return [id for id, enters in last.items() if enters], [id for id, enters in last.items() if not enters]


def _why_not(change: FieldChange) -> str:
    if change.op not in STRATEGIES:
        return f"this collector does not know the operation {change.op!r}"
    if change.merge is not None and change.merge not in _KINDS:
        return f"this collector does not know the strategy {change.merge!r}"
    return why_no_field(change.field)


def _line(mapping: str, change: FieldChange) -> Field:
    path = tuple(change.field.split("."))
    op, merge = change.op, change.merge
    shape = shape_at(PROFILE, path)
    return Field(
        mapping,
        (),
        path,
        op,  # type: ignore[arg-type]  # it was looked up
        change.field,
        merge or STRATEGIES[op],  # type: ignore[arg-type, index]
        change.value,
        shape,
        is_checked=shape != ANY,
        is_plain=False,
        keys=path,
    )


def _no_way_in(id: str, segments: Segments) -> str:
    one = segments.every.get(id)
    if one is None:
        return "there is no such segment"
    if one.met is not None:
        return "it has a condition, which says who is in it"
    return "it is switched off: nobody enters or leaves" if one.is_frozen else ""
