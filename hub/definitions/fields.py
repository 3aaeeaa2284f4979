"""What a line of a mapping or an event type is: from one place of an event into one field of its profile."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field, model_validator

Operation: TypeAlias = Literal[
    "set",
    "set-if-empty",
    "set-if-newer",
    "add",
    "increment",
    "decrement",
    "min",
    "max",
    "append",
    "append-unique",
    "remove",
    "delete",
]
Strategy: TypeAlias = Literal["last", "first", "min", "max", "sum", "union", "concat"]
"""How the values of one field in two profiles become one. last and first go by event time."""

EACH: Final = "*"
EVERY: Final = "**"
"""As the last key of both paths: each member of an object, or each value at any depth, is a line of its own."""

_SOURCE: Final = r"(properties|context|data|traits|hit|device|os|app|utm|type|time|id|source)(\.[^.]+)*"
SOURCE: Final = f"^{_SOURCE}$"
"""A place in an event; digits are a position where the event has a list."""
INDEXED: Final = r"^(data|traits|hit|device)(\.[^.{}*]+)+$"
"""An index field of an event."""
PROFILE: Final = r"^(primary_id|(traits|data|stats|interests|consents|aux)(\.(\{[^{}]+\}|[^.]+))+)$"
"""A field of a profile; a key in braces is a place in the event that holds the key."""

KEYS: Final = re.compile(r"\{([^{}]+)\}|([^.]+)")
"""A key of a profile path: the place in the event that holds it, or the key itself."""
_DEEP: Final = r"[^.]+(\.[^.]+)*"
_ONE: Final[dict[str, int]] = {"increment": 1, "decrement": 1}
"""What an operation works with whose line names neither a place nor a value."""


class FieldMapping(BaseModel, frozen=True, extra="forbid"):
    """One value of an event, or a constant, that goes into one profile field."""

    event: Annotated[
        str | None,
        Field(pattern=SOURCE, description="Path in the event. Unset: the line works with `value` alone."),
    ] = None
    value: Annotated[
        Any, Field(description="A constant. With `event`: what counts when the event has nothing there.")
    ] = None
    profile: Annotated[
        str,
        Field(
            pattern=PROFILE,
            description="Path in the profile. `{properties.x}` as a key is the text that the event has there; `*` or "
            "`**` at the end of both paths: each member of an object, or each value in it.",
        ),
    ]
    op: Annotated[
        Operation,
        Field(description="What to do with the value: docs/event-types.md. add, min and max work on numbers."),
    ] = "set"
    when: Annotated[
        str | None,
        Field(
            min_length=1,
            description="JMESPath on the event, with `profile` in it: the line is used when it is true. Unset: always.",
        ),
    ] = None
    merge: Annotated[
        Strategy | None,
        Field(
            description="When two profiles become one. Unset: last for set and set-if-newer, first for set-if-empty, "
            "sum for add, increment and decrement, min, max, concat for append, union for append-unique; remove and "
            "delete leave it as it was."
        ),
    ] = None

    @model_validator(mode="after")
    def _complete(self) -> FieldMapping:
        if self.op != "delete" and self.event is None and self.operand is None:
            raise ValueError(f"{self.op} needs `event`, a path in the event, or `value`, a constant")
        last = self.profile.rpartition(".")[2]
        end = last if last in (EACH, EVERY) else ""
        from_end = (self.event or "").rpartition(".")[2]
        if end != (from_end if from_end in (EACH, EVERY) else ""):
            raise ValueError(f"{EACH} and {EVERY} stand at the end of both paths, `event` and `profile`, or of none")
        for place, _ in KEYS.findall(self.profile):
            if place and not re.fullmatch(_SOURCE, place):
                raise ValueError(f"{{{place}}} in `profile` is no path in the event")
        if self.op == "delete" and (self.event is not None or self.value is not None):
            raise ValueError("delete takes neither `event` nor `value`")
        return self

    def writes(self, field: str) -> bool:
        """Whether a profile field, as people write its path, is one that this line may write."""
        if self.profile == field:
            return True
        keys = [r"[^.]+" if key in (EACH, "") else _DEEP if key == EVERY else re.escape(key) for key in self.keys()]
        return re.fullmatch(r"\.".join(keys), field) is not None

    def keys(self) -> list[str]:
        """The keys of the profile path; one that the event names is empty."""
        return [key for _, key in KEYS.findall(self.profile)]

    @property
    def operand(self) -> Any:
        """The constant, if there is one."""
        return _ONE.get(self.op) if self.value is None and self.event is None else self.value


def _spelled_out(line: Any) -> Any:
    return {"event": line, "profile": line, "op": "set-if-newer"} if isinstance(line, str) else line


ShortFieldMapping: TypeAlias = Annotated[FieldMapping, BeforeValidator(_spelled_out)]
"""A text stands for the line that takes this index field into the profile's field of the same name, if it is newer."""
