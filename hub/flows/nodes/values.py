"""Values: numbers, objects, tables of values, ids, what nobody shall read."""

from __future__ import annotations

import hashlib
import hmac
import math
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from hub.edge.functions import lookup
from hub.flows.arithmetic import rounded
from hub.flows.fields import Formula, Place, Query, Template
from hub.flows.node import OUT, THEN, Call, Config, NodeFault, Outcome, Valued, node, put
from hub.flows.notation import as_text

GROUP: Final = "Values"
PRIVACY: Final = "Privacy"


class Computed(Valued):
    """A value."""

    value: Annotated[Template, Field(description="Any template, such as =max_by(payload.items, &price).name.")]


@node("compute", group=GROUP, gives="any")
def compute(config: Computed, call: Call) -> Any:
    """Make a value of a template: an object, a list, what a reference or an expression gives."""
    return config.value(call.scope)


class Calculated(Valued):
    """A formula."""

    formula: Annotated[
        Formula,
        Field(
            description="Such as `profile@stats.spent + event@properties.amount * 0.1`: + - * / %, brackets, and "
            "min, max, sum, abs, round, floor, ceil, sqrt, power."
        ),
    ]


@node("calculate", group=GROUP, gives="number")
def calculate(config: Calculated, call: Call) -> int | float:
    """Calculate with numbers."""
    return config.formula(call.scope)


class Rounded(Valued):
    """A number, and how exact."""

    number: Annotated[Template, Field(description="Such as event@properties.amount.")]
    digits: Annotated[int, Field(ge=-12, le=12, description="Behind the point.")] = 0


@node("round", group=GROUP, gives="number")
def round_(config: Rounded, call: Call) -> int | float:
    """Round a number; a half goes away from zero."""
    return rounded(call.number(config.number), config.digits)


class Chance(Valued):
    """Between which numbers."""

    least: float = 0
    most: float = 1
    whole: Annotated[bool, Field(description="Only whole numbers, both ends among them.")] = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.least <= self.most or (self.whole and math.ceil(self.least) > math.floor(self.most)):
            raise ValueError("there is no number between `least` and `most`")
        return self


@node("random-number", group=GROUP, gives="number")
def random_number(config: Chance, call: Call) -> int | float:
    """A number by chance; the same whenever the run is made again."""
    share = call.share("random", call.run, call.node)
    if not config.whole:
        return config.least + share * (config.most - config.least)
    least, most = math.ceil(config.least), math.floor(config.most)
    return least + int(share * (most - least + 1))


class Id(Valued):
    """What it is made of."""

    of: Annotated[
        list[Template],
        Field(
            default_factory=list,
            max_length=20,
            description="The same values make the same id. None: one of this run and node.",
        ),
    ]


@node("make-id", group=GROUP, gives="text")
def make_id(config: Id, call: Call) -> str:
    """Make a UUID."""
    if not config.of:
        return call.id("id")
    values = [as_text(template(call.scope)) for template in config.of]
    return Call({}, node="", run="").id("id", *values)


class Lookup(Valued):
    """A value, and what it stands for."""

    value: Annotated[Template, Field(description="Such as event@properties.country.")]
    table: Annotated[dict[str, Any], Field(min_length=1, max_length=10_000, description="By value, what it becomes.")]
    other: Annotated[Any, Field(description="What every other value becomes.")] = None


@node("map-value", group=GROUP, gives="any")
def map_value(config: Lookup, call: Call) -> Any:
    """Look a value up in a table."""
    return lookup(config.value(call.scope), config.table, config.other)


class Chosen(Config):
    """A condition, and a value."""

    condition: Query
    value: Template


class First(Valued):
    """Conditions, and values."""

    cases: Annotated[list[Chosen], Field(min_length=1, max_length=100, description="The first that holds counts.")]
    other: Annotated[Template, Field(description="Where none does.")] = Template(None)


@node("choose-value", group=GROUP, gives="any")
def choose_value(config: First, call: Call) -> Any:
    """Take the value of the first condition that is true."""
    for case in config.cases:
        if case.condition(call.scope, call.now_ms):
            return case.value(call.scope)
    return config.other(call.scope)


class Kept(Config):
    """Which members."""

    keys: Annotated[list[Place], Field(min_length=1, max_length=1_000, description="Places in the payload.")]


@node("keep-keys", group=GROUP, takes="object", gives="object")
def keep_keys(config: Kept, call: Call) -> Outcome:
    """Keep some members of the payload, and none else."""
    made: Any = {}
    for place in config.keys:
        found = _at(call.payload, place.value)
        if found is not None:
            made = put(made, place.value, found[0])
    return Outcome(OUT, made)


@node("drop-keys", group=GROUP, takes="object", gives="object")
def drop_keys(config: Kept, call: Call) -> Outcome:
    """Take members out of the payload."""
    payload = call.payload
    for place in config.keys:
        payload = _without(payload, place.value)
    return Outcome(OUT, payload)


class Taken(Config):
    """Which part."""

    place: Annotated[Place, Field(description="Such as order.lines.")]


@node("cut-out", group=GROUP, takes="object", gives="any")
def cut_out(config: Taken, call: Call) -> Outcome:
    """Go on with a part of the payload."""
    found = _at(call.payload, config.place.value)
    if found is None:
        raise NodeFault(f"the payload has nothing at {config.place.source!r}")
    return Outcome(OUT, found[0])


class Merged(Valued):
    """Objects."""

    objects: Annotated[list[Template], Field(min_length=1, max_length=100, description="Later ones count.")]
    deep: Annotated[bool, Field(description="Whether objects in them are merged as well.")] = False


@node("merge-objects", group=GROUP, gives="object")
def merge_objects(config: Merged, call: Call) -> dict[str, Any]:
    """Make one object of several."""
    made: dict[str, Any] = {}
    for template in config.objects:
        found = call.members(template)
        made = _merged(made, dict(found)) if config.deep else {**made, **found}
    return made


class Hashed(Valued):
    """A value, and how it is hashed."""

    value: Annotated[Template, Field(description="Such as profile@data.contact.email.main.")]
    how: Literal["sha256", "sha512", "sha1", "md5", "blake2b"] = "sha256"
    normalise: Annotated[bool, Field(description="In small letters and without blanks around it, before.")] = False
    salt: Annotated[str, Field(description="A text in front. No secret: everybody who may see flows can read it.")] = ""


@node("hash", group=PRIVACY, gives="text")
def hash_(config: Hashed, call: Call) -> str:
    """Hash a value, in hexadecimal digits, as advertising systems ask for it."""
    found = call.text(config.value)
    if config.normalise:
        found = found.strip().lower()
    return hashlib.new(config.how, f"{config.salt}{found}".encode(), usedforsecurity=False).hexdigest()


class Masked(Valued):
    """A text, and what stays of it."""

    text: Annotated[Template, Field(description="Such as profile@data.contact.phone.main.")]
    first: Annotated[int, Field(ge=0, description="Characters that stay at the beginning.")] = 0
    last: Annotated[int, Field(ge=0, description="Characters that stay at the end.")] = 4
    character: Annotated[str, Field(min_length=1, max_length=1, description="What stands for each of the others.")] = (
        "*"
    )


@node("mask", group=PRIVACY, gives="text")
def mask(config: Masked, call: Call) -> str:
    """Put a character in the place of most of a text; of a short one, of all."""
    found = call.text(config.text)
    hidden = len(found) - config.first - config.last
    if hidden <= 0:
        return config.character * len(found)
    return found[: config.first] + config.character * hidden + found[len(found) - config.last :]


class Equal(Config):
    """Two values."""

    left: Template
    right: Template


@node("same-value", group=GROUP, ports=THEN)
def same_value(config: Equal, call: Call) -> Outcome:
    """Whether two values are the same, objects and lists as well; texts take equally long, whatever they are."""
    left, right = config.left(call.scope), config.right(call.scope)
    if isinstance(left, str) and isinstance(right, str):
        return call.asked(hmac.compare_digest(left.encode(), right.encode()))
    return call.asked(left == right and isinstance(left, bool) == isinstance(right, bool))


def _at(payload: Any, path: tuple[str, ...]) -> tuple[Any] | None:
    value = payload
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return (value,)


def _without(payload: Any, path: tuple[str, ...]) -> Any:
    if not path or not isinstance(payload, dict) or path[0] not in payload:
        return payload
    if len(path) == 1:
        return {key: value for key, value in payload.items() if key != path[0]}
    return {**payload, path[0]: _without(payload[path[0]], path[1:])}


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    made = dict(one)
    for key, value in other.items():
        before = made.get(key)
        made[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return made
