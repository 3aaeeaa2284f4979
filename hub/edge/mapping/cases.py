"""A mapping's own tests: what becomes of a message, beside what should."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from hub.edge.admit import admit
from hub.edge.functions import NO_META
from hub.edge.mapping.compiled import CompiledMapping, parsed
from hub.edge.mapping.problems import Path, dotted
from hub.edge.mapping.spec import Case, Document, MappingSpec
from hub.errors import InvalidPayload
from hub.settings import Limits

LONGEST_S: Final = 2.0
"""For all tests of one mapping together."""
_SOURCE: Final = "of-the-bridge"
_NOTHING: Final = object()


class Made(NamedTuple):
    """What became of a message: a payload, or none with a refusal, or none because no event is wanted of it."""

    payload: dict[str, Any] | None
    refusal: InvalidPayload | None = None


class Difference(NamedTuple):
    """Between what a test expects and what it got. `path`: in the payload."""

    path: Path
    expected: str
    got: str

    def __str__(self) -> str:
        """On one line."""
        return f"{dotted(self.path) or 'payload'}: {self.expected} → {self.got}"


class Result(NamedTuple):
    """Of one test; it has passed when there are no differences."""

    name: str
    differences: list[Difference]


class TooSlow(ValueError):
    """The tests take longer than LONGEST_S."""


def outcome(mapping: CompiledMapping, body: bytes, meta: Mapping[str, Any] = NO_META) -> Made:
    """What a bridge would make of a message, the edge's own checks included."""
    limits = Limits()
    try:
        raw = mapping.payload(body, limits, meta)
        admit(raw, limits, _SOURCE)
    except InvalidPayload as exc:
        return Made(None, exc)
    payload: dict[str, Any] = msgspec.json.decode(raw)
    return Made(payload if payload["events"] else None)


def run(document: Document, monotonic: Callable[[], float]) -> Iterator[Result]:
    """
    Run a mapping's tests, one after the other.

    Args:
        monotonic: A clock, seconds.

    Raises: MappingError: the mapping cannot be used. TooSlow.
    """
    spec = parsed(document)
    mapping = CompiledMapping(spec)
    began = monotonic()
    for number, case in enumerate(spec.tests, 1):
        if monotonic() - began > LONGEST_S:
            raise TooSlow(f"the mapping's tests take more than {LONGEST_S:g} s: have fewer, or smaller messages")
        made = outcome(mapping, _body(case, spec), case.meta)
        yield Result(case.name or f"test {number}", list(_differences(case, made)))


def _body(case: Case, spec: MappingSpec) -> bytes:
    if case.body is not None:
        return case.body.encode(spec.charset)
    if spec.format == "json":
        return msgspec.json.encode(case.message)
    text = str(case.message)
    return base64.b64decode(text) if spec.format == "bytes" else text.encode(spec.charset)


def _differences(case: Case, made: Made) -> Iterator[Difference]:
    got = _spoken(made)
    if case.refused is not None:
        if made.refusal is None or case.refused not in str(made.refusal):
            yield Difference((), f"refused: {case.refused}", got)
    elif case.dropped:
        if made.payload is not None or made.refusal is not None:
            yield Difference((), "dropped", got)
    elif made.payload is None:
        yield Difference((), "a payload", got)
    else:
        yield from _compared((), case.expect, made.payload)


def _spoken(made: Made) -> str:
    if made.refusal is not None:
        return f"refused: {made.refusal}"
    return "dropped" if made.payload is None else _shown(made.payload)


def _compared(path: Path, expected: Any, got: Any) -> Iterator[Difference]:
    if isinstance(expected, dict) and isinstance(got, dict):
        for name in dict.fromkeys((*expected, *got)):
            yield from _compared((*path, name), expected.get(name, _NOTHING), got.get(name, _NOTHING))
    elif isinstance(expected, list) and isinstance(got, list):
        for place in range(max(len(expected), len(got))):
            yield from _compared((*path, place), _element(expected, place), _element(got, place))
    elif isinstance(expected, bool) is not isinstance(got, bool) or expected != got:  # True == 1 in Python only
        yield Difference(path, _shown(expected), _shown(got))


def _element(values: list[Any], place: int) -> Any:
    return values[place] if place < len(values) else _NOTHING


def _shown(value: Any) -> str:
    return "nothing" if value is _NOTHING else msgspec.json.encode(value).decode()
