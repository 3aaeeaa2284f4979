"""
The lines of an event type written out as Python: the same as `hub.pipeline.mapping` does, in a fraction of the time.

What mappings are made of as a rule becomes a few statements a line; the rest, and every value that is not as usual, is
left to `mapping`, which so remains what says what a line does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from textwrap import indent
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from hub.definitions.fields import Operation
from hub.definitions.shape import MANY
from hub.edge.paths import found_at
from hub.pipeline.draft import Draft
from hub.pipeline.operations import MISSING, OperationError, apply

if TYPE_CHECKING:
    from hub.pipeline.mapping import Field, Sent


class Applying(Protocol):
    """One call of `map_event`."""

    changes: list[Any]

    def apply(self, line: Field, path: tuple[str, ...], name: str, value: Any, shape: Any) -> None:
        """One line that has a value."""
        ...

    def special(self, line: Field) -> None:
        """A line that is not for every event, or not for one path that is known beforehand."""
        ...


Mapped: TypeAlias = "Callable[[Applying, Mapping[str, Any], Draft, Sent], None]"
"""
Applies the lines to the draft of a profile. Only for what was sent as that profile, and has been passed by nobody: time
decides about the rest.
"""

STAMPS: Final = ("metadata", "fields")
"""Where a profile keeps whence its values come."""
_USUAL: Final[Mapping[Operation, str]] = {
    # what to do with the value `v` where the profile has `c`, if both are as usual; MISSING is of no usual type
    "set": """
b = own(STAMPS).get({name})
if type(v) in SCALARS and type(c) is not dict and (not b or len(b) < 4):
    if type(v) is not type(c) or v != c:
        own({above})[{key}] = v
        changes.append(Change({name}, {op}, None if c is MISSING else c, v))
    own(STAMPS)[{name}] = {stamp_later}
""",
    "set-if-empty": """
if type(c) in SCALARS and c != "":
    pass
""",
    "add": """
if type(c) in NUMBERS and type(v) in NUMBERS:
    try:
        n = done({op}, c, v)
    except OperationError:
        apply({line}, {path}, {name}, v, {shape})
    else:
        if type(n) is not type(c) or n != c:
            own({above})[{key}] = n
            changes.append(Change({name}, {op}, c, n))
            own(STAMPS)[{name}] = {stamp}
""",
    "min": """
if type(c) in NUMBERS and type(v) in NUMBERS or type(c) is str and type(v) is str:
    if v < c:
        own({above})[{key}] = v
        changes.append(Change({name}, {op}, c, v))
        own(STAMPS)[{name}] = {stamp}
""",
    "append-unique": """
if type(c) is list and type(v) is str and v in c:
    pass
""",
}
_USUAL_AS: Final[Mapping[Operation, str]] = {
    **_USUAL,
    "increment": _USUAL["add"],
    "decrement": _USUAL["add"],
    "max": _USUAL["min"].replace("v < c", "v > c"),
}


def write_out(lines: Sequence[Field], change: Callable[[str, str, Any, Any], Any]) -> Mapped:
    """The function. Args: change: makes a `hub.pipeline.mapping.Change`."""
    scope: dict[str, Any] = {
        "MISSING": MISSING,
        "NUMBERS": frozenset({int, float}),
        "SCALARS": frozenset({str, int, float, bool}),
        "STAMPS": STAMPS,
        "OperationError": OperationError,
        "Change": change,
        "done": apply,
        "found": found_at,
    }
    body = [
        "doc, own, changes, apply = profile.doc, profile.object, mapped.changes, mapped.apply",
        "at, id = sent.at, sent.event_id",
    ]
    for number, line in enumerate(lines):
        body.append(_written(line, f"l{number}"))
        scope |= {f"l{number}": line, f"shape{number}": line.shape}
    source = "def mapped(mapped, event, profile, sent):\n" + indent("\n".join(body), " ")
    exec(compile(source, "<mapping>", "exec"), scope)  # noqa: S102 - names and values are written with repr
    made: Mapped = scope["mapped"]
    return made


def _written(line: Field, called: str) -> str:
    """Statements. Args: called: the name of the line."""
    if not line.is_plain:
        return f"mapped.special({called})"
    *above, key = line.profile
    rest = f"apply({called}, {line.profile!r}, {line.name!r}, v, shape{called[1:]})"
    usual = _USUAL_AS.get(line.op) if _is_usual(line) else None
    if usual is None:
        return f"{_value(line.event)}\nif v is not None:\n    {rest}"
    strategy = "" if line.strategy == "last" else f", {line.strategy!r}"
    act = usual.strip("\n").format(
        name=repr(line.name),
        op=repr(line.op),
        above=repr(tuple(above)),
        key=repr(key),
        path=repr(line.profile),
        line=called,
        shape=f"shape{called[1:]}",
        stamp=f"[at, id{strategy}]",
        stamp_later=f"[at if not b or b[0] < at else b[0], id{strategy}]",
    )
    found = f"{_current(above, key)}\n{act}\nelse:\n    {rest}"
    return f"{_value(line.event)}\nif v is not None:\n{indent(found, '    ')}"


def _is_usual(line: Field) -> bool:
    """Whether nothing is asked of the value but what the statements do."""
    return line.strategy is not None and not line.is_checked and line.shape != MANY


def _value(path: Sequence[str]) -> str:
    """Statements that lay `v`, the value at a path of the event."""
    first, *others = path
    if not others:
        return f"v = event.get({first!r})"
    if len(others) > 1:
        return f"v = found(event, {tuple(path)!r})"
    return f"v = event.get({first!r})\nv = v.get({others[0]!r}) if type(v) is dict else found(v, {tuple(others)!r})"


def _current(above: Sequence[str], key: str) -> str:
    """Statements that lay `c`, what the profile has; MISSING: nothing."""
    steps = (f"c = c.get({name!r}) if type(c) is dict else None" for name in above)
    return "\n".join(["c = doc", *steps, f"c = c.get({key!r}, MISSING) if type(c) is dict else MISSING"])
