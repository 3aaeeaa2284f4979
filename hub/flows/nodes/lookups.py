"""What the store knows: documents that match a query, or how many there are."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from hub.conditions import QueryError
from hub.flows import searches
from hub.flows.effects import LookUp
from hub.flows.fields import Place, Search, fault
from hub.flows.node import OUT, Call, Config, NodeFault, Outcome, Wait, node, put

GROUP: Final = "Store"


class Asked(Config):
    """A query."""

    kind: Literal["profiles", "events", "sessions"] = "events"
    query: Annotated[
        Search,
        Field(
            description="As in docs/query.md, with values in it that need no quotes: type = visit AND profile.id = "
            "{{ profile@id }}."
        ),
    ]
    into: Annotated[Place, Field(description="Where in the payload it goes. Empty: it is the payload.")] = Place(
        "value"
    )

    @model_validator(mode="after")
    def _right(self) -> Self:
        try:
            searches.check(self.query.source, self.kind)
        except QueryError as exc:
            raise fault(f"query: {exc}") from exc
        return self


class Documents(Asked):
    """A query, and how many documents."""

    most: Annotated[int, Field(ge=1, le=100, description="Of the newest.")] = 10


@node("look-up", group=GROUP, gives="any")
def look_up(config: Documents, call: Call) -> Outcome | Wait:
    """Find events, profiles or sessions in the store, newest first: the one before this event, say."""
    return _asked(config, call, LookUp(config.kind, config.query(call.scope), config.most))


@node("count", group=GROUP, gives="any")
def count(config: Asked, call: Call) -> Outcome | Wait:
    """Count events, profiles or sessions in the store."""
    return _asked(config, call, LookUp(config.kind, config.query(call.scope), 0, counts=True))


def _asked(config: Asked, call: Call, wanted: LookUp) -> Outcome | Wait:
    if call.answer is None:
        return Wait(wanted)
    if call.answer.error:
        raise NodeFault(f"the store does not answer: {call.answer.error}")
    found: Any = call.answer.body
    return Outcome(OUT, put(call.payload, config.into.value, found))
