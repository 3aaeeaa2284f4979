"""Event mappings: which properties of an event go into which fields of its profile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from hub.definitions.fields import EACH, EVERY, KEYS, FieldMapping, Operation, Strategy
from hub.definitions.kinds import Mapping as MappingDefinition
from hub.definitions.shape import ANY, MANY, PROFILE, Shape, oddities, shape_at
from hub.edge.paths import found_at
from hub.pipeline.applied import key_of, named
from hub.pipeline.conditions import Condition, ConditionError, condition
from hub.pipeline.derived import derive
from hub.pipeline.draft import Draft
from hub.pipeline.event_types import Rules
from hub.pipeline.mapping_code import STAMPS, Mapped, write_out
from hub.pipeline.operations import MISSING, OperationError, apply, holds, kind_of

Key: TypeAlias = "str | tuple[str, ...]"
"""A key of a profile path, or the place in the event that holds it."""


class Field(NamedTuple):
    """
    One line of a mapping or an event type, its paths cut into keys.

    Attributes:
        mapping: Id of the definition; of an event type `event-type/` in front.
        event: Empty: there is only the constant.
        operand: The constant, or what counts where the event has nothing; None: there is none.
        name: The profile path as people write it.
        strategy: None: the field keeps the one that it has.
        shape: What the schema says of the field; None: it does not know it.
        is_checked: Whether the value has to be compared with that.
        is_plain: Whether it is used for every event, for the one path that it names.
        gate: Condition of the whole mapping.
        spread: EACH, EVERY, or empty; the profile path is then that of the object.
        key: What it is called in the documents of events that it was applied to (`hub.pipeline.applied`).
    """

    mapping: str
    event: tuple[str, ...]
    profile: tuple[str, ...]
    op: Operation
    name: str
    strategy: Strategy | None
    operand: Any = None
    shape: Shape | None = ANY
    is_checked: bool = False
    is_plain: bool = True
    keys: tuple[Key, ...] = ()
    gate: Condition | None = None
    when: Condition | None = None
    spread: str = ""
    key: str = ""


class Lines(list[Field]):
    """
    The lines for one event type, by mapping id and in their order.

    Attributes:
        named: As the document of each event has it that they were applied to; UNSET: there is nothing to name.
        own: Those of mappings.
    """

    def __init__(self, lines: Iterable[Field]) -> None:
        """Args: lines: all of them."""
        super().__init__(lines)
        self.own = tuple(line for line in self if line.key)
        names = named(self.own)
        self.named: msgspec.Raw | msgspec.UnsetType = (
            msgspec.Raw(msgspec.json.encode(names)) if names else msgspec.UNSET
        )

    @cached_property
    def written_out(self) -> Mapped:
        """All of them as one function, once the first event needs it."""
        return write_out(self, Change)


class Change(msgspec.Struct, frozen=True):
    """
    What one line did to a field. `old` is None when the field was not there, `new` when it is not any more.

    Of append and append-unique only what was appended, as `new`, of remove what was removed, as `old`: a list that
    grows would be in every event's document. `op` is `derive` for a field that follows from others.
    """

    field: str
    op: str
    old: Any
    new: Any


class Problem(msgspec.Struct, frozen=True):
    """
    Why one line did nothing, or what is odd about what it did: the event is kept all the same.

    `mapping`: id of a mapping; of an event type, an identification point or a flow behind its kind, `event-type/view`.
    """

    mapping: str
    field: str
    detail: str


STRATEGIES: Final[dict[Operation, Strategy | None]] = {
    "set": "last",
    "set-if-empty": "first",
    "set-if-newer": "last",
    "add": "sum",
    "increment": "sum",
    "decrement": "sum",
    "min": "min",
    "max": "max",
    "append": "concat",
    "append-unique": "union",
    "remove": None,
    "delete": None,
}
"""How a field is merged whose mapping does not say so; None: as it was."""
EVENT_TYPE: Final = "event-type/"
POINT: Final = "identification-point/"
LONGEST_KEY: Final = 256
"""Most characters of a key that an event names."""

_ALWAYS_STAMPED: Final = frozenset({"set", "set-if-newer", "delete"})
_BY_TIME: Final = frozenset({"set", "set-if-empty", "set-if-newer", "delete"})
_FILLING: Final = frozenset({"set", "set-if-empty", "set-if-newer"})


class Sent(NamedTuple):
    """
    Where a value comes from: the event, its time (RFC 3339), and the profile id that it was sent with.

    `at`: when it was received, if its own time is out of range: so a clock that is years ahead does not keep a field
    for years.

    `late`: it was sent with a session of another, or came back from where it was handed on to, so that others of the
    same sender may have passed it.
    """

    at: str
    event_id: str
    sender: str
    late: bool = False


class Stamp(NamedTuple):
    """
    The origin of a field's value, as `metadata.fields` keeps it.

    `at` never goes back for one sender: a value that is sent later counts as later, whatever its event's own clock
    says. So the order of the log decides for one profile id, and time between ids, with the same end in whatever order
    the records of two ids meet.
    """

    at: str
    event_id: str
    strategy: Strategy
    sender: str


Compiled: TypeAlias = Mapping[str, Lines]
"""Event type → the lines that apply to it."""


def compile_mappings(definitions: Iterable[tuple[str, MappingDefinition]], types: Rules | None = None) -> Compiled:
    """
    Once per change of a definition.

    Args: definitions: (id, definition). types: event types in force, whose lines come before those of mappings.
    """
    by_type: dict[str, list[Field]] = {}
    for id, rule in (types or {}).items():
        if rule.profile:
            by_type[id] = [_field(f"{EVENT_TYPE}{id}", line, None) for line in rule.profile]
    for mapping_id, definition in sorted(definitions, key=lambda item: item[0]):
        if definition.enabled:
            gate = None if definition.when is None else condition(definition.when)
            by_type.setdefault(definition.event_type, []).extend(
                _field(mapping_id, line, gate)._replace(key=key_of(line)) for line in definition.fields
            )
    return {type: Lines(lines) for type, lines in by_type.items()}


def _field(mapping_id: str, line: FieldMapping, gate: Condition | None) -> Field:
    keys: tuple[Key, ...] = tuple(
        tuple(place.split(".")) if place else key for place, key in KEYS.findall(line.profile)
    )
    source = tuple(line.event.split(".")) if line.event else ()
    spread = str(keys[-1]) if keys[-1] in (EACH, EVERY) else ""
    if spread:
        keys, source = keys[:-1], source[:-1]
    path = tuple(key for key in keys if isinstance(key, str))
    is_plain = path == keys and not spread and gate is None and line.when is None and bool(source)
    shape = shape_at(PROFILE, path) if path == keys else ANY
    return Field(
        mapping_id,
        source,
        path,
        line.op,
        line.profile,
        line.merge or STRATEGIES[line.op],
        line.operand,
        shape,
        # what an index field holds has been looked at already, if it lies at the same place
        is_checked=shape != ANY and source != path,
        is_plain=is_plain and line.operand is None,
        keys=keys,
        gate=gate,
        when=None if line.when is None else condition(line.when),
        spread=spread,
    )


def map_event(
    fields: Sequence[Field], event: Mapping[str, Any], profile: Draft, sent: Sent
) -> tuple[list[Change], list[Problem]]:
    """
    Apply every line to the draft; a value that is missing or null does nothing, and one at fault costs its own line.

    Args: event: `id`, `type`, `time`, `source`, `properties`, `context`, and its index fields.
    """
    mapped = _Mapped(event, profile, sent)
    if isinstance(fields, Lines) and sent.sender == profile.doc["id"] and not sent.late:
        fields.written_out(mapped, event, profile, sent)
    else:
        mapped.each(fields)
    mapped.derive()
    return mapped.changes, mapped.problems


class _Mapped:
    """One call of `map_event`."""

    __slots__ = ("_event", "_gates", "_profile", "_sent", "_view", "changes", "problems")

    def __init__(self, event: Mapping[str, Any], profile: Draft, sent: Sent) -> None:
        self.changes: list[Change] = []
        self.problems: list[Problem] = []
        self._event = event
        self._profile = profile
        self._sent = sent
        self._view: dict[str, Any] | None = None
        self._gates: dict[str, bool] = {}

    def each(self, fields: Iterable[Field]) -> None:
        """The lines, one after the other."""
        for line in fields:
            if line.is_plain:
                value = found_at(self._event, line.event)
                if value is not None:
                    self.apply(line, line.profile, line.name, value, line.shape)
            else:
                self.special(line)

    def special(self, line: Field) -> None:
        """A line that is not for every event, or not for one path that is known beforehand."""
        try:
            if not self._is_used(line):
                return
            value = found_at(self._event, line.event) if line.event else None
            if value is None:
                value = line.operand
                if value is None and line.op != "delete":
                    return
            path = self._path(line)
        except (ConditionError, _BadKey) as exc:
            self.problems.append(Problem(line.mapping, line.name, str(exc)))
            return
        if path is None:
            return
        if not line.spread:
            name = line.name if path == line.profile else ".".join(path)
            self.apply(line, path, name, value, line.shape)
        elif isinstance(value, dict):
            self._spread(line, path, value)
        else:
            detail = f"{line.spread} goes through an object, and the event has {kind_of(value)} there"
            self.problems.append(Problem(line.mapping, line.name, detail))

    def _spread(self, line: Field, path: tuple[str, ...], value: dict[str, Any]) -> None:
        for keys, item in _members(value, path, deep=line.spread == EVERY):
            name = ".".join(keys)
            try:
                _check_key(keys[-1])
            except _BadKey as exc:
                self.problems.append(Problem(line.mapping, name, str(exc)))
                continue
            self.apply(line, keys, name, item, shape_at(PROFILE, keys))

    def apply(self, line: Field, path: tuple[str, ...], name: str, value: Any, shape: Shape | None) -> None:
        """One field. Args: path, name: where in the profile. shape: what the schema says of it."""
        profile, sent = self._profile, self._sent
        current = profile.get(path)
        op, at = line.op, sent.at
        if current is MISSING or op in _BY_TIME:
            before = _stamped(profile.doc, name)
            if before:
                wanted, at = _op(op, before, current, profile, sent)
                if wanted is None:
                    return
                op = wanted
        if shape == MANY and op in _FILLING and not isinstance(value, list):
            value = [value]
        try:
            new = apply(op, current, value)
        except OperationError as exc:
            self.problems.append(Problem(line.mapping, name, str(exc)))
            return
        changed = type(new) is not type(current) or new != current
        if changed:
            if new is MISSING:
                profile.remove(path)
            else:
                profile.set(path, new)
                if line.is_checked:
                    self.problems += [Problem(line.mapping, *odd) for odd in oddities(shape, new, name)]
            self.changes.append(_change(line.op, name, current, new))
        if changed or op in _ALWAYS_STAMPED:
            strategy = line.strategy or _kept_strategy(profile, name, new)
            _stamp(profile, name, at, strategy, sent)

    def derive(self) -> None:
        """Bring the fields level that follow from those that have changed."""
        for change in self.changes:
            if change.field.startswith("data"):
                self.changes += [Change(field, "derive", old, new) for field, old, new in derive(self._profile)]
                return

    def _is_used(self, line: Field) -> bool:
        if line.gate is not None and not self._is_open(line.mapping, line.gate):
            return False
        return line.when is None or line.when.holds(self._seen())

    def _is_open(self, mapping: str, gate: Condition) -> bool:
        """Whether the mapping is used; asked once an event, so that one that fails is one problem."""
        if mapping not in self._gates:
            self._gates[mapping] = False
            self._gates[mapping] = gate.holds(self._seen())
        return self._gates[mapping]

    def _seen(self) -> Mapping[str, Any]:
        """What conditions are about: the event, and the profile as the lines before have left it."""
        if self._view is None:
            self._view = {**self._event, "profile": self._profile.doc}
        return self._view

    def _path(self, line: Field) -> tuple[str, ...] | None:
        """The profile path; None: the event does not name the key. Raises _BadKey."""
        if line.keys == line.profile:
            return line.profile
        path = []
        for key in line.keys:
            found = key if isinstance(key, str) else found_at(self._event, key)
            if found is None:
                return None
            path.append(found if isinstance(key, str) else _check_key(found))
        return tuple(path)


class _BadKey(ValueError):
    """What the event names cannot be a key of a profile; the message says why."""


def _check_key(key: Any) -> str:
    if type(key) is int:
        key = str(key)
    if not isinstance(key, str):
        raise _BadKey(f"a key is a text or a whole number, not {kind_of(key)}")
    if not key or len(key) > LONGEST_KEY or "." in key:
        raise _BadKey(f"the key {key[:40]!r} is empty, longer than {LONGEST_KEY} characters, or has a dot in it")
    return key


def _members(value: dict[str, Any], path: tuple[str, ...], *, deep: bool) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What is in an object, with its path; null is nothing."""
    for key, item in value.items():
        if deep and isinstance(item, dict) and "." not in key:
            yield from _members(item, (*path, key), deep=True)
        elif item is not None:
            yield (*path, key), item


def stamp(profile: Draft, name: str, origin: Stamp) -> None:
    """Keep where a field's value comes from, in as few words as it takes."""
    _stamp(profile, name, origin.at, origin.strategy, origin)


def _stamp(profile: Draft, name: str, at: str, strategy: Strategy, by: Sent | Stamp) -> None:
    if by.sender != profile.doc["id"]:
        short = [at, by.event_id, strategy, by.sender]
    else:
        short = [at, by.event_id] if strategy == "last" else [at, by.event_id, strategy]
    profile.object(STAMPS)[name] = short


def read_stamp(profile: Mapping[str, Any], name: str) -> Stamp | None:
    """Where a field's value comes from; None when that is not known. Args: profile: its document."""
    short = _stamped(profile, name)
    return None if not short else Stamp(short[0], short[1], _strategy(short), _sender(short, profile))


def _stamped(profile: Mapping[str, Any], name: str) -> list[Any] | None:
    """What `_stamp` has kept."""
    kept: list[Any] | None = profile["metadata"]["fields"].get(name)
    return kept


def _strategy(short: list[Any]) -> Strategy:
    return short[2] if len(short) > 2 else "last"


def _sender(short: list[Any], profile: Mapping[str, Any]) -> str:
    return short[3] if len(short) > 3 else profile["id"]  # type: ignore[no-any-return]


def _op(op: Operation, before: list[Any], current: Any, profile: Draft, sent: Sent) -> tuple[Operation | None, str]:
    """
    What to do, and the time that the value then has; None: what is there stays, because it counts as later.

    A field that is not there but has a stamp was deleted: that counts like a value. Args: op: one of _BY_TIME, unless
    the field is not there. before: what `_stamp` has kept of the field.
    """
    at, sender = before[0], _sender(before, profile.doc)
    is_own = sender == sent.sender and not sent.late
    if is_own and (op == "set" or (op == "set-if-empty" and current is not MISSING)):
        return op, max(sent.at, at)
    is_later = (sent.at, sent.sender) >= (at, sender)
    if op == "set-if-empty" and current is not MISSING:
        return ("set" if _strategy(before) == "first" and not is_later else op), sent.at
    return (op if is_later else None), sent.at


def _kept_strategy(profile: Draft, name: str, new: Any) -> Strategy:
    before = read_stamp(profile.doc, name)
    if before is not None:
        return before.strategy
    return "union" if isinstance(new, list) else "last"


def _change(op: Operation, name: str, current: Any, new: Any) -> Change:
    old = None if current is MISSING else current
    if op in ("append", "append-unique"):
        kept = len(old) if isinstance(old, list) else 0 if old is None else 1
        return Change(name, op, None, new[kept:])
    if op == "remove" and isinstance(old, list):
        return Change(name, op, [item for item in old if not holds(new, item)], None)
    return Change(name, op, old, None if new is MISSING else new)
