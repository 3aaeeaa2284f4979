"""The document that a mapping is written in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, Field, model_validator

from hub.definitions.kinds import DELIMITER

ID_HEADER: Final = "hub-payload-id"
"""A broker's message may carry its payload id in this header, so that sending it again gives the same events."""

MOST_TESTS: Final = 200

Document: TypeAlias = "Mapping[str, Any] | str"
"""A mapping as read from YAML or JSON, or the name of one that comes with the hub."""
Template: TypeAlias = "str | int | float | bool | dict[str, Template] | None"
"""A text is an expression, an object is made field by field, any other value stands for itself."""
Format: TypeAlias = Literal["json", "text", "csv", "snowplow", "bytes"]


class _Part(BaseModel, frozen=True, extra="forbid"):
    pass


class EventMapping(_Part):
    """One kind of event that a message becomes."""

    when: Annotated[str | None, Field(description="Expression: the event is made where it is true.")] = None
    each: Annotated[
        str | None,
        Field(description="Expression: a list; an event is made of each element, which `@` is then."),
    ] = None
    type: Annotated[str, Field(description="Expression: the event type. A fixed one is quoted twice: \"'purchase'\".")]
    id: Annotated[str | None, Field(description="Expression: the event id, if the message has one.")] = None
    time: Annotated[str | None, Field(description="Expression: when it happened, RFC 3339.")] = None
    properties: Annotated[Any, Field(description="Template: expressions by property, or one that gives an object.")] = (
        None
    )
    context: Annotated[Any, Field(description="Template, as properties.")] = None
    tags: Annotated[str | None, Field(description="Expression: a list of texts.")] = None


class Case(_Part):
    """One of a mapping's own tests: a message, and what has to become of it."""

    name: Annotated[str, Field(description="For people.")] = ""
    message: Annotated[Any, Field(description="What the body holds: JSON, or the text of another format.")] = None
    body: Annotated[str | None, Field(description="Instead of `message`: the body itself, as text.")] = None
    meta: Annotated[dict[str, Any], Field(description="What meta(…) gives.")] = {}
    expect: Annotated[dict[str, Any] | None, Field(description="The payload.")] = None
    refused: Annotated[str | None, Field(description="Its refusal has these words, such as a reason's code.")] = None
    dropped: Annotated[Literal[True] | None, Field(description="No event is made of it.")] = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if ("message" in self.model_fields_set) == ("body" in self.model_fields_set):
            raise ValueError("give `message` or `body`")
        if sum(wanted is not None for wanted in (self.expect, self.refused, self.dropped)) != 1:
            raise ValueError("give one of `expect`, `refused` and `dropped`")
        return self


class MappingSpec(_Part):
    """The whole document. It has `event`, or `events`, or both."""

    description: Annotated[str, Field(description="For people.")] = ""
    format: Annotated[Format, Field(description="What the body of a message is.")] = "json"
    charset: Annotated[str, Field(description="Of text and csv.")] = "utf-8"
    columns: Annotated[list[str], Field(description="csv: the names of the columns.")] = []
    delimiter: Annotated[str, Field(pattern=DELIMITER, description="csv: the character between cells.")] = ","
    skip_empty: Annotated[bool, Field(description="Drop messages with an empty body, such as Kafka's tombstones.")] = (
        False
    )
    when: Annotated[str | None, Field(description="Expression: the message is dropped unless it is true.")] = None
    source: Annotated[str | None, Field(description="Expression: the event source id, instead of the bridge's.")] = None
    id: Annotated[
        str | None, Field(description="Expression: the payload id, instead of the message's coordinates.")
    ] = None
    profile: Annotated[str | None, Field(description="Expression: the profile id.")] = None
    session: Annotated[str | None, Field(description="Expression: the session id.")] = None
    context: Annotated[Any, Field(description="Template: the payload's context.")] = None
    event: EventMapping | None = None
    events: Annotated[list[EventMapping], Field(description="Several, in the order in which they are made.")] = []
    tests: Annotated[list[Case], Field(max_length=MOST_TESTS, description="The mapping's own tests.")] = []

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.event is None and not self.events:
            raise ValueError("it needs `event`, or `events`")
        if self.format == "csv" and not self.columns:
            raise ValueError("the format csv needs `columns`: a list of names")
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("`columns` names a column twice")
        for name, formats in (("columns", ("csv",)), ("delimiter", ("csv",)), ("charset", ("csv", "text"))):
            if name in self.model_fields_set and self.format not in formats:
                raise ValueError(f"`{name}` is for the format {' or '.join(formats)}, not for {self.format}")
        try:
            "".encode(self.charset)
        except LookupError as exc:
            raise ValueError(f"`charset`: there is no {self.charset!r}") from exc
        return self
