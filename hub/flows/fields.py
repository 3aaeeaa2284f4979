"""Types of the fields that nodes are configured with: templates, conditions, patterns, places in the profile."""

from __future__ import annotations

import re
from typing import Any, Final, Generic, TypeVar

import re2
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from hub.conditions import QueryError
from hub.conditions.patterns import PatternError, regular
from hub.edge.mapping.problems import dotted
from hub.flows import arithmetic, conditions, notation, searches
from hub.flows.notation import NotationError, Scope
from hub.pipeline.derived import DERIVED

T = TypeVar("T")

FAULT: Final = "flow_field"
"""The type of pydantic's error; its context has `line`, `column`, `path` and `text`, as far as they are known."""
_FIELD: Final = re.compile(r"primary_id|(traits|data|stats|interests|consents|aux)(\.[^\s.{}*@]+)+")
_OURS: Final = frozenset({"stats.events", "stats.visits", *(".".join(path) for path in DERIVED)})


class Written(Generic[T]):
    """
    A field that is compiled once, when its flow is. Call it, or ask for `value`.

    Attributes:
        source: As it was written.
        value: What it was compiled to.
    """

    form: str = "template"
    hint: str = ""
    json_type: str | None = "string"

    def __init__(self, source: Any) -> None:
        """Raises PydanticCustomError, of the type FAULT: it cannot be compiled."""
        self.source = source
        self.value: T = self._compiled(source)

    def _compiled(self, source: Any) -> T:
        raise NotImplementedError

    def __repr__(self) -> str:
        """For people."""
        return repr(self.source)

    def __eq__(self, other: object) -> bool:
        """Whether both were written the same."""
        return type(other) is type(self) and other.source == self.source

    def __hash__(self) -> int:
        """So that pydantic knows that a default need not be copied."""
        return hash(repr(self.source))

    @classmethod
    def _made(cls, source: Any) -> Written[T]:
        return source if isinstance(source, cls) else cls(source)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """As pydantic asks for it."""
        return core_schema.no_info_plain_validator_function(
            cls._made, serialization=core_schema.plain_serializer_function_ser_schema(lambda made: made.source)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """As pydantic asks for it: `format` tells a form what kind of text it is."""
        schema: JsonSchemaValue = {"format": cls.form}
        return schema if cls.json_type is None else {"type": cls.json_type, **schema}


class Template(Written[notation.Getter]):
    """Any JSON; its texts may be references, expressions behind `=`, texts with `{{ … }}`."""

    form = "template"
    json_type = None

    def _compiled(self, source: Any) -> notation.Getter:
        try:
            return notation.compiled(source)
        except NotationError as exc:
            raise fault(exc.detail, column=exc.column, path=exc.path, text=exc.text) from exc

    @property
    def is_constant(self) -> bool:
        """Whether it gives the same whatever the scope."""
        return notation.is_constant(self.value)

    def __call__(self, scope: Scope) -> Any:
        """What it gives. Raises ValueFault."""
        return self.value(scope)


class Query(Written[conditions.Met]):
    """A condition (docs/conditions.md) on `event@`, `profile@`, `session@`, `payload@`, `memory@` and `flow@`."""

    form = "condition"

    def _compiled(self, source: Any) -> conditions.Met:
        text = _expect_text(source, "a condition")
        if not text.strip():
            raise fault("a condition is expected, such as profile@traits.age > 30")
        try:
            return conditions.compiled(text)
        except QueryError as exc:
            expected = f"; expected {' or '.join(exc.expected)}" if exc.expected else ""
            raise fault(f"{exc.detail}{expected}", line=exc.line, column=exc.column, text=text) from exc

    def __call__(self, scope: Scope, now_ms: int) -> bool:
        """Whether it is true; what is unknown is not."""
        return self.value(scope, now_ms)


class Formula(Written[arithmetic.Formula]):
    """Arithmetic on numbers: `profile@stats.events * 2 + max(payload@a, 1)`."""

    form = "formula"

    def _compiled(self, source: Any) -> arithmetic.Formula:
        text = _expect_text(source, "a formula") if not isinstance(source, int | float) else str(source)
        try:
            return arithmetic.compiled(text)
        except NotationError as exc:
            raise fault(exc.detail, column=exc.column, text=text) from exc

    def __call__(self, scope: Scope) -> int | float:
        """Raises ValueFault."""
        return self.value(scope)


class Pattern(Written[Any]):
    """A regular expression of RE2: it takes no longer than the text is long. `value` is compiled by `re2`."""

    form = "regex"

    def _compiled(self, source: Any) -> Any:
        text = _expect_text(source, "a regular expression")
        try:
            regular(text)  # its limits, and its words for what is wrong
        except PatternError as exc:
            raise fault(str(exc), text=text) from exc
        options = re2.Options()
        options.log_errors = False
        return re2.compile(text, options)


class Search(Written[notation.Getter]):
    """A query (docs/query.md) with values in it: `type = visit AND profile.id = {{ profile@id }}`."""

    form = "query"

    def _compiled(self, source: Any) -> notation.Getter:
        text = _expect_text(source, "a query")
        try:
            return searches.compiled(text)
        except NotationError as exc:
            raise fault(exc.detail, column=exc.column, text=text) from exc

    def __call__(self, scope: Scope) -> str:
        """The query's text. Raises ValueFault."""
        return str(self.value(scope))


class ProfileField(Written[tuple[str, ...]]):
    """A field of the profile that a flow may change: below traits, data, stats, interests, consents or aux."""

    form = "profile-field"

    def _compiled(self, source: Any) -> tuple[str, ...]:
        text = _expect_text(source, "a field of the profile").removeprefix("profile@")
        if _FIELD.fullmatch(text) is None:
            raise fault(
                f"{text!r} is no field of the profile that a flow may change; such as traits.plan: they are below "
                "traits, data, stats, interests, consents and aux"
            )
        if text in _OURS:
            raise fault(f"{text} cannot be changed: the hub makes it itself")
        return tuple(text.split("."))

    @property
    def name(self) -> str:
        """The path as people write it."""
        return ".".join(self.value)


class Place(Written[tuple[str, ...]]):
    """A place in the payload, such as `order.total`; empty: the payload itself."""

    form = "payload-path"

    def _compiled(self, source: Any) -> tuple[str, ...]:
        text = _expect_text(source, "a place in the payload").removeprefix("payload@")
        keys = tuple(text.split(".")) if text else ()
        if "" in keys:
            raise fault(f"{text!r}: a key is empty")
        return keys


def fault(
    detail: str, *, line: int = 0, column: int = 0, path: tuple[str | int, ...] = (), text: str = ""
) -> PydanticCustomError:
    """What is wrong with a field. Args: path: within it. text: the one that line and column are of, from 1."""
    context = {"detail": detail, "line": line, "column": column, "path": path, "text": text, "where": dotted(path)}
    return PydanticCustomError(FAULT, "{detail}", context)


def _expect_text(source: Any, what: str) -> str:
    if not isinstance(source, str):
        raise fault(f"{what} is a text, not {type(source).__name__}")
    return source
