"""A mapping as one Python function: made when it is loaded, so that a message costs no more than what it has."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final, NoReturn

import msgspec
from pydantic import ValidationError

from hub.edge.code import MESSAGE
from hub.edge.expression import EVALUATION
from hub.edge.functions import NO_META
from hub.edge.mapping.formats import reader
from hub.edge.mapping.library import document_of
from hub.edge.mapping.problems import MappingError, Path, Problem, dotted, of_validation
from hub.edge.mapping.spec import Document, EventMapping, Format, MappingSpec, Template
from hub.edge.mapping.template import TemplateWriter
from hub.errors import InvalidPayload
from hub.settings import Limits

_encode: Final = msgspec.json.Encoder().encode


class CompiledMapping:
    """
    Call it with a message: a payload in the /track shape, fields without a value left out.

    Attributes:
        format: What `read` takes.
        uses_meta: Whether it needs to be given the message's meta at all.
    """

    def __init__(self, spec: MappingSpec) -> None:
        """Raises MappingError."""
        writer = _Writer(spec)
        self._code = writer.code
        self._make = writer.code.function()
        self._skip_empty = spec.skip_empty
        self.format: Format = spec.format
        self.uses_meta = writer.code.uses_meta
        self.read = reader(spec)

    def __call__(self, message: Any, meta: Mapping[str, Any] = NO_META) -> dict[str, Any]:
        """
        Args:
            message: What `read` gives, any JSON value.
            meta: What `meta(…)` gives.

        Returns: a payload; one without events says that no event shall be made of the message.
        Raises: InvalidPayload: `mapping_failed`, and which field.
        """
        try:
            made: dict[str, Any] = self._make(message, meta)
            return made
        except EVALUATION as exc:
            where = self._code.place_of(exc.__traceback__)
            raise InvalidPayload("mapping_failed", f"{where}: {exc}" if where else str(exc), where) from exc

    def payload(self, body: bytes, limits: Limits, meta: Mapping[str, Any] = NO_META) -> bytes:
        """
        A message's body as the JSON of a payload.

        Raises: InvalidPayload: `mapping_failed` and the field, or what is wrong with the body.
        """
        if not body and self._skip_empty:
            return b'{"events":[]}'
        payload = self(self.read(body, limits), meta)
        try:
            return _encode(payload)
        except (OverflowError, UnicodeEncodeError, TypeError, RecursionError) as exc:
            raise InvalidPayload("mapping_failed", f"the mapping made something that is no JSON: {exc}") from exc


def compile_mapping(document: Document) -> CompiledMapping:
    """
    Compile a mapping, as read from YAML or JSON, or the one that comes with the hub under a name; see docs/mapping.md.

    Raises: MappingError: names every field that is wrong.
    """
    return CompiledMapping(parsed(document))


def parsed(document: Document) -> MappingSpec:
    """
    A mapping's document, checked as far as its types go.

    Raises: MappingError.
    """
    try:
        return MappingSpec.model_validate(document_of(document))
    except ValidationError as exc:
        raise MappingError(of_validation(exc)) from exc


class _Writer(TemplateWriter):
    """Writes the function of a whole mapping."""

    def __init__(self, spec: MappingSpec) -> None:
        super().__init__()
        self._identity = self.code.constant(_identity)
        self._as_object = self.code.constant(_as_object)
        self._mistyped = self.code.constant(_mistyped)
        self._mapping(spec)
        if self.problems:
            raise MappingError(self.problems)

    def _mapping(self, spec: MappingSpec) -> None:
        code = self.code
        if spec.when is not None:
            condition = code.named(self.expression(("when",), spec.when, MESSAGE))
            with code.block(f"if not {condition} and type({condition}) not in NUMBERS:"):
                code.line("return {'events': []}")
        self._events(spec)
        code.line("payload = {'events': events}")
        for field in ("source", "id", "profile", "session"):
            text = getattr(spec, field)
            if text is None:
                continue
            id = self._id((field,), text, MESSAGE)
            with code.block(f"if {id}:"):
                code.line(f"payload[{field!r}] = " + (id if field == "id" else f"{{'id': {id}}}"))
        if spec.context is not None:
            context = self._object(("context",), spec.context, MESSAGE)
            with code.block(f"if {context}:"):
                code.line(f"payload['context'] = {context}")
        code.line("return payload")

    def _events(self, spec: MappingSpec) -> None:
        code = self.code
        mappings: list[tuple[Path, EventMapping]] = [(("events", n), event) for n, event in enumerate(spec.events)]
        if spec.event is not None:
            mappings.insert(0, (("event",), spec.event))
        path, first = mappings[0]
        if len(mappings) == 1 and first.when is None and first.each is None:
            made = self._event(path, first, MESSAGE)
            code.line(f"events = [{made}]")
            return
        code.line("events = []")
        for path, event in mappings:
            with ExitStack() as blocks:
                at = MESSAGE if event.each is None else self._each((*path, "each"), event.each, blocks)
                if event.when is not None:
                    condition = code.named(self.expression((*path, "when"), event.when, at))
                    blocks.enter_context(code.block(f"if {condition} or type({condition}) in NUMBERS:"))
                code.line(f"events.append({self._event(path, event, at)})")
        with code.block("if not events:"):
            code.line("return {'events': []}")

    def _each(self, path: Path, text: str, blocks: ExitStack) -> str:
        """A loop over the list that an expression gives; the name of its element."""
        code = self.code
        elements = code.named(self.expression(path, text, MESSAGE))
        blocks.enter_context(code.block(f"if {elements} is not None:"))
        with code.block(f"if type({elements}) is not list:"):
            code.line(f"{self._mistyped}({dotted(path)!r}, {elements}, 'a list')")
        element = f"each_{code.name()}"
        blocks.enter_context(code.block(f"for {element} in {elements}:"))
        return element

    def _event(self, path: Path, event: EventMapping, at: str) -> str:
        """Statements for one event; its name."""
        code = self.code
        type_ = self.expression((*path, "type"), event.type, at)
        if type_[0] not in "'\"" or len(type_) == 2:
            with code.block(f"if type({type_}) is not str or not {type_}:"):
                code.line(f"{self._mistyped}({dotted((*path, 'type'))!r}, {type_}, 'a text')")
        made = code.bound(f"{{'type': {type_}}}")
        if event.id is not None:
            id = self._id((*path, "id"), event.id, at)
            with code.block(f"if {id}:"):
                code.line(f"{made}['id'] = {id}")
        if event.time is not None:
            time = code.named(self.expression((*path, "time"), event.time, at))
            with code.block(f"if {time} is not None:"):
                code.line(f"{made}['time'] = {{'create': {time}}}")
        for field, template in (("properties", event.properties), ("context", event.context)):
            if template is not None:
                code.line(f"{made}[{field!r}] = {self._object((*path, field), template, at)}")
        if event.tags is not None:
            tags = code.named(self.expression((*path, "tags"), event.tags, at))
            with code.block(f"if {tags} is not None:"):
                code.line(f"{made}['tags'] = {tags}")
        return made

    def _id(self, path: Path, text: str, at: str) -> str:
        code = self.code
        id = code.bound(self.expression(path, text, at))
        with code.block(f"if type({id}) is not str:"):
            code.line(f"{id} = {self._identity}({dotted(path)!r}, {id})")
        return id

    def _object(self, path: Path, template: Template, at: str) -> str:
        if isinstance(template, dict):
            return self.fields(path, template, at)
        if not isinstance(template, str):
            self.problems.append(Problem(path, f"expected an object or an expression, not {template!r}"))
            return "None"
        made = self.code.bound(self.expression(path, template, at))
        with self.code.block(f"if type({made}) is not dict:"):
            self.code.line(f"{made} = {self._as_object}({dotted(path)!r}, {made})")
        return made


def _identity(where: str, value: Any) -> str | None:
    """Ids are texts; numbers are written out. An empty cell of a table is no id: the caller sees to that."""
    if value is None:
        return None
    if type(value) is int:
        return str(value)
    raise InvalidPayload("mapping_failed", f"{where}: an id is a text or a whole number, not {value!r:.80}", where)


def _as_object(where: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    raise InvalidPayload("mapping_failed", f"{where}: expected an object, not {value!r:.80}", where)


def _mistyped(where: str, value: Any, wanted: str) -> NoReturn:
    raise InvalidPayload("mapping_failed", f"{where}: expected {wanted}, not {value!r:.80}", where)
