"""The function that a mapping is compiled to makes what plain code and the JMESPath library make of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.edge.expression import EVALUATION, interpreted
from hub.edge.functions import Interpreter, is_false
from hub.edge.mapping import compile_mapping
from hub.edge.syntax import parse
from hub.errors import InvalidPayload
from tests.unit.test_mapping_expression import EXPRESSIONS, MESSAGES, SCALARS

PLAIN = st.sampled_from(
    ["a", "b", '"c d"', "a.b", "a.b.a", "a[0]", "b[-1].a", "@", "'text'", "`5`", "`null`", "meta('line')"]
)
ANY = st.one_of(PLAIN, EXPRESSIONS)
TEMPLATES = st.one_of(
    ANY,
    st.recursive(
        ANY | st.sampled_from([5, True, None]),
        lambda inner: st.dictionaries(st.sampled_from(["p", "q", "r"]), inner, max_size=3),
        max_leaves=5,
    ).filter(lambda template: isinstance(template, dict)),
)


def _some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


EVENT = st.builds(
    lambda type_, rest: {"type": type_, **rest},
    ANY | st.just("'fixed'"),
    _some(when=ANY, each=ANY, id=ANY, time=ANY, properties=TEMPLATES, context=TEMPLATES, tags=ANY),
)
MAPPINGS = st.builds(
    lambda events, rest: {**rest, "events": events},
    st.lists(EVENT, min_size=1, max_size=3),
    _some(when=ANY, source=ANY, id=ANY, profile=ANY, session=ANY, context=TEMPLATES),
)


class Refused(Exception):
    """The model makes no payload of it."""


class Model:
    """What docs/mapping.md says, with the library for every expression."""

    def __init__(self, message: Any, meta: dict[str, Any]) -> None:
        self.interpreter = Interpreter(meta, message)
        self.message = message

    def value(self, text: str, at: Any) -> Any:
        return self.interpreter.visit(parse(text), at)

    def payload(self, mapping: dict[str, Any]) -> dict[str, Any]:
        if "when" in mapping and is_false(self.value(mapping["when"], self.message)):
            return {"events": []}
        events = [made for event in mapping["events"] for made in self.events(event)]
        if not events:
            return {"events": []}
        payload: dict[str, Any] = {"events": events}
        for field in ("source", "id", "profile", "session"):
            id = self.id(mapping.get(field), self.message)
            if id:
                payload[field] = id if field == "id" else {"id": id}
        context = self.object(mapping.get("context"), self.message)
        if context:
            payload["context"] = context
        return payload

    def events(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        elements = [self.message]
        if "each" in event:
            elements = self.value(event["each"], self.message)
            if elements is None:
                return []
            if not isinstance(elements, list):
                raise Refused
        return [
            self.event(event, at)
            for at in elements
            if "when" not in event or not is_false(self.value(event["when"], at))
        ]

    def event(self, event: dict[str, Any], at: Any) -> dict[str, Any]:
        type_ = self.value(event["type"], at)
        if not isinstance(type_, str) or not type_:
            raise Refused
        made: dict[str, Any] = {"type": type_}
        if id := self.id(event.get("id"), at):
            made["id"] = id
        time = None if "time" not in event else self.value(event["time"], at)
        if time is not None:
            made["time"] = {"create": time}
        for field in ("properties", "context"):
            if event.get(field) is not None:
                made[field] = self.object(event[field], at)
        tags = None if "tags" not in event else self.value(event["tags"], at)
        if tags is not None:
            made["tags"] = tags
        return made

    def id(self, text: str | None, at: Any) -> str | None:
        value = None if text is None else self.value(text, at)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int):
            raise Refused
        return str(value)

    def object(self, template: Any, at: Any) -> dict[str, Any]:
        value = self.template(template, at)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise Refused
        return value

    def template(self, template: Any, at: Any) -> Any:
        if isinstance(template, str):
            return self.value(template, at)
        if isinstance(template, dict):
            made = {name: self.template(value, at) for name, value in template.items()}
            return {name: value for name, value in made.items() if value is not None}
        return template


@given(MAPPINGS, MESSAGES, st.dictionaries(st.sampled_from(["text", "line"]), SCALARS))
def test_a_compiled_mapping_makes_what_the_model_makes(
    mapping: dict[str, Any], message: Any, meta: dict[str, Any]
) -> None:
    try:
        compiled = compile_mapping(mapping)
    except ValueError:
        return
    try:
        wanted = repr(Model(message, meta).payload(mapping))
    except (Refused, *EVALUATION):
        wanted = "refused"
    try:
        made = repr(compiled(message, meta))
    except InvalidPayload:
        made = "refused"
    assert made == wanted


@given(st.dictionaries(st.sampled_from(["p", "q", "r", "s"]), EXPRESSIONS, max_size=4), MESSAGES)
def test_the_field_at_fault_is_one_whose_expression_fails(fields: dict[str, str], message: Any) -> None:
    """It is found by the line of the function that raised; this asks every expression by itself."""
    try:
        compiled = compile_mapping({"event": {"type": "'x'", "properties": fields}})
    except ValueError:
        return
    faults = set()
    for name, text in fields.items():
        try:
            interpreted(text)(message, {})
        except EVALUATION:
            faults.add(f"event.properties.{name}")
    found = None
    try:
        compiled(message)
    except InvalidPayload as exc:
        found = exc.where
    assert found in faults if faults else found is None
