"""Requests that a machine makes of the API's own description, and whether their answers are as it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hub.definitions.kinds import KINDS

CHECKS: Final[list[CheckFunction]] = [
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
Look: TypeAlias = Callable[[Case, st.DataObject], None]
TIMEOUT_S: Final = 30
KNOWN_OF_4: Final = 3
"""How many of four values of a parameter lead somewhere."""


class Findings:
    """What is wrong: of each operation and kind of fault the first request that shows it."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], str] = {}
        self.statuses: dict[str, set[int]] = {}
        """By operation, what was answered."""

    def add(self, case: Case, title: str, words: str) -> None:
        """Once for each operation and title."""
        self._found.setdefault((case.operation.label, title), f"{words[:1_000]}\n    {case.as_curl_command()[:1_500]}")

    def __str__(self) -> str:
        return "\n".join(f"{label}: {title}: {words}" for (label, title), words in sorted(self._found.items()))

    def __bool__(self) -> bool:
        return bool(self._found)


def explore(
    base_url: str,
    key: Mapping[str, str],
    known: Mapping[str, Sequence[str]],
    *,
    examples: int,
    number: int,
    twins: bool = True,
) -> Findings:
    """
    Send requests to every operation, as it describes them and otherwise. Blocks.

    Args:
        key: Headers with the admin key; one request to each operation goes without.
        known: Values that lead somewhere, by name of a parameter or of a member of the body, such as `source`, or with
            the first part of the path before it, as in `events/id`. Without them nearly all answers were 404.
        examples: Requests to each operation, of either kind.
        number: Another one gives other requests.
        twins: Whether the many names of one route of other vendors' clients are asked one by one.
    """
    findings = Findings()
    with requests.Session() as session:
        session.headers.update(key)

        def look(case: Case, data: st.DataObject) -> None:
            _lead(case, known, data)
            label = case.operation.label
            if label not in findings.statuses:
                findings.statuses[label] = set()
                if not _is_open(case.operation):
                    ask(case, None)
            ask(case, session)

        def ask(case: Case, session: requests.Session | None) -> None:
            try:
                answer = case.call(base_url=base_url, session=session, timeout=TIMEOUT_S, allow_redirects=False)
            except requests.RequestException as exc:
                findings.add(case, "no answer", repr(exc))
                return
            findings.statuses[case.operation.label].add(answer.status_code)
            for title, words in _wrong(case, answer):
                findings.add(case, title, words)
            if session is None and answer.status_code != 401:
                findings.add(case, "no key was asked for", answer.text)

        seen: set[str] = set()
        for result in schemathesis.openapi.from_dict(_document(base_url)).get_all_operations():
            operation = result.ok()
            summary = operation.definition.raw["summary"]
            if twins or "other vendors' clients" not in operation.tags or summary not in seen:
                _try(operation, GenerationMode.POSITIVE, look, examples, number)
                if _is_refusable(operation):
                    _try(operation, GenerationMode.NEGATIVE, look, examples, number)
            seen.add(summary)
    return findings


def _is_open(operation: Any) -> bool:
    return operation.definition.raw.get("security") == []


def _document(base_url: str) -> dict[str, Any]:
    """What the API says of itself, with a path of its own for each kind of definition: their bodies differ."""
    document: dict[str, Any] = requests.get(f"{base_url}/openapi.json", timeout=TIMEOUT_S).json()
    paths = document["paths"]
    any_kind = paths["/definitions/{kind}/{id}"]["put"]
    for kind, model in KINDS.items():
        one = {**any_kind, "operationId": f"put-{kind}"}
        one["parameters"] = [each for each in any_kind["parameters"] if each["name"] != "kind"]
        schema = {"$ref": f"#/components/schemas/{model.__name__}"}
        one["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        paths[f"/definitions/{kind}/{{id}}"] = {"put": one}
    return document


def _lead(case: Case, known: Mapping[str, Sequence[str]], data: st.DataObject) -> None:
    """Put in values that lead somewhere, most of the time."""
    area = case.operation.path.split("/")[1]
    for members in (case.path_parameters, case.headers, case.body):
        for name in list(members) if isinstance(members, Mapping) else ():
            values = known.get(f"{area}/{name}", known.get(name))
            if values and data.draw(st.integers(1, 4)) <= KNOWN_OF_4:
                members[name] = data.draw(st.sampled_from(values))


def _try(operation: Any, mode: GenerationMode, look: Look, examples: int, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode), data=st.data())
    def ask(case: Case, data: st.DataObject) -> None:
        look(case, data)

    ask()


def _is_refusable(operation: Any) -> bool:
    """Whether there can be a request that is not as described: texts and bytes of any kind cannot be wrong."""
    raw = operation.definition.raw
    shapes = [body.get("schema") for body in raw.get("requestBody", {}).get("content", {}).values()]
    shapes += [one.get("schema") for one in raw.get("parameters", ()) if one["in"] != "path"]
    return any(shape and set(shape) - {"title", "default", "description"} != {"type"} for shape in shapes) or any(
        shape and shape.get("type") not in (None, "string") for shape in shapes
    )


def _wrong(case: Case, answer: Any) -> Iterator[tuple[str, str]]:
    """Title and words."""
    if answer.status_code >= 500 and answer.status_code != 503:
        yield f"server error {answer.status_code}", answer.text
    if answer.status_code >= 400:
        kind = answer.headers.get("content-type", [""])[0]
        if kind != "application/problem+json":
            yield f"{answer.status_code} is no problem+json", kind
        elif answer.json().get("status") != answer.status_code:
            yield f"{answer.status_code} says another status", answer.text
    try:
        case.validate_response(answer, checks=CHECKS)
    except FailureGroup as group:
        for failure in group.exceptions:
            yield f"{answer.status_code}: {getattr(failure, 'title', '')}", str(failure)
