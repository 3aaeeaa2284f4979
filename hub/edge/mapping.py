"""A message mapping: JMESPath expressions that make a /track payload of one message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

from pydantic import BaseModel, Field, ValidationError

from hub.edge.expression import EVALUATION, ExpressionError, Getter, compile_expression, uses_meta
from hub.edge.functions import NO_META
from hub.errors import InvalidPayload

ID_HEADER: Final = "hub-payload-id"
"""A broker's message may carry its payload id in this header, so that sending it again gives the same events."""

Template: TypeAlias = "str | int | float | bool | dict[str, Template] | None"
"""A text is an expression, an object is made field by field, any other value stands for itself."""


class _Part(BaseModel, frozen=True, extra="forbid"):
    pass


class EventMapping(_Part):
    """The one event that a message becomes."""

    type: Annotated[str, Field(description="Expression: the event type. A fixed one is quoted twice: \"'purchase'\".")]
    id: Annotated[str | None, Field(description="Expression: the event id, if the message has one.")] = None
    time: Annotated[str | None, Field(description="Expression: when it happened, RFC 3339.")] = None
    properties: Annotated[Any, Field(description="Template: expressions by property, or one that gives an object.")] = (
        None
    )
    context: Annotated[Any, Field(description="Template, as properties.")] = None
    tags: Annotated[str | None, Field(description="Expression: a list of texts.")] = None


class MappingSpec(_Part):
    """The document that a mapping is written in."""

    source: Annotated[str | None, Field(description="Expression: the event source id, instead of the bridge's.")] = None
    id: Annotated[
        str | None, Field(description="Expression: the payload id, instead of the message's coordinates.")
    ] = None
    profile: Annotated[str | None, Field(description="Expression: the profile id.")] = None
    session: Annotated[str | None, Field(description="Expression: the session id.")] = None
    context: Annotated[Any, Field(description="Template: the payload's context.")] = None
    event: EventMapping


class MappingError(ValueError):
    """A mapping that cannot be used; the message names the field and, within its expression, the column."""


class _Slot(NamedTuple):
    where: str
    get: Getter


class CompiledMapping:
    """
    Call it with a message: a payload in the /track shape, fields without a value left out.

    Attributes:
        uses_meta: Whether it needs to be given the message's meta at all.
    """

    def __init__(self, spec: MappingSpec) -> None:
        """Raises MappingError."""
        self._slots: list[_Slot] = []
        self.uses_meta = False
        event = spec.event
        self._source = self._expression("source", spec.source)
        self._id = self._expression("id", spec.id)
        self._profile = self._expression("profile", spec.profile)
        self._session = self._expression("session", spec.session)
        self._context = self._template("context", spec.context)
        self._type = self._needed("event.type", event.type)
        self._event_id = self._expression("event.id", event.id)
        self._time = self._expression("event.time", event.time)
        self._properties = self._template("event.properties", event.properties)
        self._event_context = self._template("event.context", event.context)
        self._tags = self._expression("event.tags", event.tags)

    def __call__(self, message: Any, meta: Mapping[str, Any] = NO_META) -> dict[str, Any]:
        """
        Args:
            message: The decoded message, any JSON value.
            meta: What `meta(…)` gives.

        Raises: InvalidPayload: `mapping_failed`, and which field.
        """
        try:
            return self._payload(message, meta)
        except EVALUATION as exc:
            raise self._blame(message, meta, exc) from exc

    def _payload(self, message: Any, meta: Mapping[str, Any]) -> dict[str, Any]:
        type_ = self._type(message, meta)
        if type(type_) is not str or not type_:
            raise InvalidPayload("mapping_failed", f"event.type: expected a text, not {type_!r:.80}", "event.type")
        event: dict[str, Any] = {"type": type_}
        payload: dict[str, Any] = {"events": [event]}
        if self._source and (source := _id("source", self._source(message, meta))) is not None:
            payload["source"] = {"id": source}
        if self._id and (id_ := _id("id", self._id(message, meta))) is not None:
            payload["id"] = id_
        if self._profile and (profile := _id("profile", self._profile(message, meta))) is not None:
            payload["profile"] = {"id": profile}
        if self._session and (session := _id("session", self._session(message, meta))) is not None:
            payload["session"] = {"id": session}
        if self._context and (context := _object("context", self._context(message, meta))):
            payload["context"] = context
        if self._event_id and (event_id := _id("event.id", self._event_id(message, meta))) is not None:
            event["id"] = event_id
        if self._time and (time := self._time(message, meta)) is not None:
            event["time"] = {"create": time}
        if self._properties:
            event["properties"] = _object("event.properties", self._properties(message, meta))
        if self._event_context:
            event["context"] = _object("event.context", self._event_context(message, meta))
        if self._tags and (tags := self._tags(message, meta)) is not None:
            event["tags"] = tags
        return payload

    def _blame(self, message: Any, meta: Mapping[str, Any], error: Exception) -> InvalidPayload:
        """Which field it was: found by asking each again, so that a message that fits pays nothing for it."""
        for slot in self._slots:
            try:
                slot.get(message, meta)
            except EVALUATION as exc:
                return InvalidPayload("mapping_failed", f"{slot.where}: {exc}", slot.where)
        return InvalidPayload("mapping_failed", str(error))

    def _expression(self, where: str, text: str | None) -> Getter | None:
        return None if text is None else self._needed(where, text)

    def _needed(self, where: str, text: str) -> Getter:
        try:
            get = compile_expression(text)
        except ExpressionError as exc:
            raise MappingError(f"{where}: {exc}, in the expression {text!r}") from exc
        self.uses_meta = self.uses_meta or uses_meta(text)
        self._slots.append(_Slot(where, get))
        return get

    def _template(self, where: str, template: Template) -> Getter | None:
        if template is None:
            return None
        if isinstance(template, str):
            return self._expression(where, template)
        if not isinstance(template, dict):
            raise MappingError(f"{where}: expected an object or an expression, not {template!r}")
        return self._fields(where, template)

    def _fields(self, where: str, template: Mapping[str, Template]) -> Getter:
        fields = [(str(name), self._value(f"{where}.{name}", value)) for name, value in template.items()]

        def get(message: Any, meta: Mapping[str, Any]) -> dict[str, Any]:
            made = {}
            for name, field in fields:
                value = field(message, meta)
                if value is not None:
                    made[name] = value
            return made

        return get

    def _value(self, where: str, template: Template) -> Getter:
        if isinstance(template, str):
            return self._needed(where, template)
        if isinstance(template, dict):
            return self._fields(where, template)
        if isinstance(template, list):
            raise MappingError(f'{where}: a list is written as an expression, such as "[a, b]"')
        return lambda _message, _meta: template


def compile_mapping(spec: Mapping[str, Any]) -> CompiledMapping:
    """
    Compile a mapping document, as read from YAML or JSON; see docs/mapping.md.

    Raises: MappingError: names every field that is wrong, or the first expression that does not compile.
    """
    try:
        parsed = MappingSpec.model_validate(spec)
    except ValidationError as exc:
        problems = (f"{'.'.join(map(str, error['loc'])) or 'mapping'}: {error['msg']}" for error in exc.errors())
        raise MappingError("; ".join(problems)) from exc
    return CompiledMapping(parsed)


def _id(where: str, value: Any) -> str | None:
    """Ids are texts; numbers are written out, and an empty cell of a table is no id."""
    if type(value) is str:
        return value or None
    if value is None:
        return None
    if type(value) is int:
        return str(value)
    raise InvalidPayload("mapping_failed", f"{where}: an id is a text or a whole number, not {value!r:.80}", where)


def _object(where: str, value: Any) -> dict[str, Any]:
    if type(value) is dict:
        return value
    if value is None:
        return {}
    raise InvalidPayload("mapping_failed", f"{where}: expected an object, not {value!r:.80}", where)
