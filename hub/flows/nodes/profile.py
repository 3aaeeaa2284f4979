"""Changes of the profile: operations, which its owner applies; nothing is written that was read before."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from hub.definitions.schedule import DURATION, duration_ms
from hub.flows.effects import ChangeField
from hub.flows.fields import Place, ProfileField, Query, Template
from hub.flows.node import OUT, THEN, Call, Config, NodeFault, Outcome, Valued, node, put

GROUP: Final = "Profile"
_KEY: Final = r"^[^\s.{}*@]{1,128}$"


class Update(Config):
    """Which fields become what."""

    fields: Annotated[
        dict[str, Template],
        Field(min_length=1, max_length=200, description="By field, such as traits.plan, a template. Null leaves it."),
    ]
    only: Annotated[
        Literal["", "if-empty"], Field(description="if-empty: fields that hold something stay as they are.")
    ] = ""

    def model_post_init(self, _context: Any) -> None:
        """Raises PydanticCustomError: a field that cannot be changed."""
        for name in self.fields:
            ProfileField(name)


@node("update-profile", group=GROUP)
def update_profile(config: Update, call: Call) -> Outcome:
    """Set fields of the profile."""
    op: Literal["set", "set-if-empty"] = "set-if-empty" if config.only else "set"
    made = ((name, template(call.scope)) for name, template in config.fields.items())
    return call.go(OUT, *(ChangeField(op, _plain(name), value) for name, value in made if value is not None))


class Copy(Config):
    """From where to where."""

    source: Annotated[Template, Field(description="What is copied, such as event@properties.city.")]
    target: Annotated[
        str,
        Field(
            description="A field of the profile such as profile@traits.city, or a place in the payload, payload@city."
        ),
    ]
    missing: Annotated[Literal["leave", "fail"], Field(description="What to do if there is nothing to copy.")] = "leave"

    def model_post_init(self, _context: Any) -> None:
        """Raises PydanticCustomError: a target that cannot be written."""
        if not self.target.startswith("payload@"):
            ProfileField(self.target)


@node("copy", group=GROUP)
def copy(config: Copy, call: Call) -> Outcome:
    """Copy a value into a field of the profile, or into the payload."""
    value = config.source(call.scope)
    if value is None:
        if config.missing == "fail":
            raise NodeFault(f"{config.source}: there is nothing to copy")
        return call.go()
    if config.target.startswith("payload@"):
        return Outcome(OUT, put(call.payload, Place(config.target).value, value))
    return call.go(OUT, ChangeField("set", _plain(config.target), value))


class Item(Config):
    """A field, and what is put into its list or taken out of it."""

    field: Annotated[ProfileField, Field(description="Such as traits.colours.")]
    value: Annotated[Template, Field(description="One value, or a list of values.")]


class Append(Item):
    """A field, and what is put into its list."""

    unique: Annotated[bool, Field(description="Only what is not in it yet.")] = False


@node("append-to-profile", group=GROUP)
def append_to_profile(config: Append, call: Call) -> Outcome:
    """Append to a list in the profile."""
    return _changed(call, "append-unique" if config.unique else "append", config.field, config.value)


@node("remove-from-profile", group=GROUP)
def remove_from_profile(config: Item, call: Call) -> Outcome:
    """Take values out of a list in the profile."""
    return _changed(call, "remove", config.field, config.value)


class Step(Config):
    """A field, and by how much."""

    field: Annotated[ProfileField, Field(description="Such as stats.orders; it is 0 where it is not there.")]
    by: Annotated[Template, Field(description="A number.")] = Template(1)


@node("increment", group=GROUP)
def increment(config: Step, call: Call) -> Outcome:
    """Add to a number in the profile."""
    return call.go(OUT, ChangeField("increment", config.field.name, call.number(config.by)))


@node("decrement", group=GROUP)
def decrement(config: Step, call: Call) -> Outcome:
    """Take from a number in the profile."""
    return call.go(OUT, ChangeField("decrement", config.field.name, call.number(config.by)))


class Extreme(Config):
    """A field, and what it is compared with."""

    field: Annotated[ProfileField, Field(description="Such as stats.largest_order.")]
    value: Annotated[Template, Field(description="A number, or a text such as a time.")]
    keep: Annotated[Literal["largest", "smallest"], Field(description="Which of both the field has then.")] = "largest"


@node("keep-extreme", group=GROUP)
def keep_extreme(config: Extreme, call: Call) -> Outcome:
    """Keep the largest or smallest value that there ever was in a field of the profile."""
    return _changed(call, "max" if config.keep == "largest" else "min", config.field, config.value)


class Delete(Config):
    """Which."""

    fields: Annotated[list[ProfileField], Field(min_length=1, max_length=200, description="Such as traits.plan.")]


@node("delete-from-profile", group=GROUP)
def delete_from_profile(config: Delete, call: Call) -> Outcome:
    """Delete fields of the profile."""
    return call.go(OUT, *(ChangeField("delete", field.name) for field in config.fields))


class Interest(Config):
    """In what, and how much."""

    interest: Annotated[Template, Field(description="A text without dots and blanks, such as event@properties.topic.")]
    by: Annotated[Template, Field(description="A number; below 0, it becomes less.")] = Template(1)


@node("add-interest", group=GROUP)
def add_interest(config: Interest, call: Call) -> Outcome:
    """Raise or lower an interest of the profile."""
    name = call.text(config.interest).strip().lower().replace(" ", "-").replace(".", "-")
    if not is_key(name):
        raise NodeFault(f"{config.interest}: {name!r:.80} is no name of an interest")
    return call.go(OUT, ChangeField("increment", f"interests.{name}", call.number(config.by)))


class Ranked(Valued):
    """How many."""

    most: Annotated[int, Field(ge=1, le=1_000, description="Of the strongest.")] = 10


@node("rank-interests", group=GROUP, gives="list")
def rank_interests(config: Ranked, call: Call) -> list[dict[str, Any]]:
    """The profile's interests, the strongest first."""
    interests = call.scope["profile"].get("interests") or {}
    numbers = [(name, value) for name, value in interests.items() if type(value) in (int, float)]
    ranked = sorted(numbers, key=lambda one: (-one[1], one[0]))[: config.most]
    return [{"interest": name, "value": value} for name, value in ranked]


class Changed(Config):
    """What may have changed."""

    name: Annotated[str, Field(pattern=_KEY, description="Under which the profile remembers it, in aux.flows.")]
    value: Annotated[Template, Field(description="Such as event@properties.price.")]


@node("value-changed", group=GROUP, ports=THEN)
def value_changed(config: Changed, call: Call) -> Outcome:
    """Whether a value is another one than the last time, which the profile remembers."""
    value = config.value(call.scope)
    aux = call.scope["profile"].get("aux")
    flows = aux.get("flows") if isinstance(aux, dict) else None
    before = flows.get(config.name) if isinstance(flows, dict) else None
    if value is None or (before == value and isinstance(before, bool) == isinstance(value, bool)):
        return call.asked(False)
    return call.go(THEN[0], ChangeField("set", f"aux.flows.{config.name}", value))


class Limited(Config):
    """How often."""

    name: Annotated[str, Field(pattern=_KEY, description="Under which the profile remembers it, in aux.flows.")]
    most: Annotated[int, Field(ge=1, le=100, description="So often at most.")] = 1
    within: Annotated[str, Field(pattern=DURATION, description="In so long a time, such as 1d.")]


@node("limit", group=GROUP, ports=THEN)
def limit(config: Limited, call: Call) -> Outcome:
    """Go on at `then` so often in a time at most for each profile, which remembers when; else at `else`."""
    aux = call.scope["profile"].get("aux")
    flows = aux.get("flows") if isinstance(aux, dict) else None
    before = flows.get(config.name) if isinstance(flows, dict) else None
    since_ms = call.now_ms - duration_ms(config.within)
    times = [each for each in before if type(each) is int and each > since_ms] if isinstance(before, list) else []
    if len(times) >= config.most:
        return call.asked(False)
    return call.go(THEN[0], ChangeField("set", f"aux.flows.{config.name}", [*times, call.now_ms]))


class Conditional(Config):
    """A condition, and what it sets."""

    fields: Annotated[
        dict[str, Query], Field(min_length=1, max_length=100, description="By field of the profile, a condition.")
    ]

    def model_post_init(self, _context: Any) -> None:
        """Raises PydanticCustomError: a field that cannot be changed."""
        for name in self.fields:
            ProfileField(name)


@node("resolve-into-profile", group=GROUP)
def resolve_into_profile(config: Conditional, call: Call) -> Outcome:
    """Set fields of the profile to whether conditions are true."""
    changes = (
        ChangeField("set", _plain(name), query(call.scope, call.now_ms)) for name, query in config.fields.items()
    )
    return call.go(OUT, *changes)


def _changed(
    call: Call,
    op: Literal["append", "append-unique", "remove", "min", "max"],
    field: ProfileField,
    template: Template,
) -> Outcome:
    value = template(call.scope)
    return call.go() if value is None else call.go(OUT, ChangeField(op, field.name, value))


def is_key(name: str) -> bool:
    """Whether a text may be a key of a profile's path."""
    return re.fullmatch(_KEY, name) is not None


def _plain(name: str) -> str:
    return name.removeprefix("profile@")
