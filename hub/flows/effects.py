"""What a run wants done: values. Nobody here does any of it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from hub.definitions.fields import Operation, Strategy


class _Effect(msgspec.Struct, frozen=True, tag_field="effect"):
    pass


class ChangeField(_Effect, frozen=True, tag="change-field"):
    """
    An operation on a field of the profile: what the field is then is worked out by whoever owns the profile.

    `merge`: how the field is merged when two profiles become one; None: as its operation says.
    """

    op: Operation
    field: str
    value: Any = None
    merge: Strategy | None = None


class ChangeSegment(_Effect, frozen=True, tag="change-segment"):
    """The profile enters a segment without a condition, or leaves it."""

    segment: str
    enters: bool


class MergeProfiles(_Effect, frozen=True, tag="merge-profiles"):
    """The profile and another one are one person. `other`: its id."""

    id: str
    other: str


class RaiseEvent(_Effect, frozen=True, tag="raise-event"):
    """
    An event of the source `@flow`.

    `context` has `raised_by`: by which flow and run, and how many have raised events one after the other.
    `profile`, `session`: ids; empty: of nobody, in none.
    """

    id: str
    type: str
    profile: str
    session: str
    properties: dict[str, Any]
    context: dict[str, Any]


class CallHttp(_Effect, frozen=True, tag="call-http"):
    """
    A request that the run waits for.

    `id`: the same whenever the run is made again; it is sent as `Idempotency-Key` unless `idempotency_key` says
    otherwise (empty: not at all, so that the call may come twice). `secrets`: further headers, each the name of the
    variable that has its value. `body`: None: none. `attempts`: all together. `passes`: statuses that are no error,
    each (first, last).
    """

    id: str
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    url: str
    headers: dict[str, str]
    secrets: dict[str, str]
    body: str | None
    content_type: str
    timeout_s: float
    attempts: int
    idempotency_key: str
    passes: list[tuple[int, int]]


class LookUp(_Effect, frozen=True, tag="look-up"):
    """
    A query on the store that the run waits for; nothing is changed by it. Its Answer's body: the documents, newest
    first, at most `size`; with `counts`, how many there are. `id`: instead of a query, what this id answers with, one
    document or none.
    """

    kind: Literal["profiles", "events", "sessions"]
    query: str
    size: int
    counts: bool = False
    id: str = ""


class SendMessage(_Effect, frozen=True, tag="send-message"):
    """
    A message through a destination that is defined. `id`: as that of an event that a destination sends. `at_ms`: when
    it was made, milliseconds since 1970. `profile`: whom it is about; empty: nobody.
    """

    id: str
    destination: str
    content: Any
    key: str
    at_ms: int = 0
    profile: str = ""


class Respond(_Effect, frozen=True, tag="respond"):
    """Members of the answer to whoever waits for the run."""

    body: dict[str, Any]


Ask: TypeAlias = CallHttp | LookUp
"""What a run waits for."""
Effect: TypeAlias = ChangeField | ChangeSegment | MergeProfiles | RaiseEvent | Ask | SendMessage | Respond


class Answer(msgspec.Struct, frozen=True):
    """
    What came of an Ask. `body`: JSON as its values, else the text. `error`: why there is no answer; then `status`
    is 0.
    """

    status: int
    headers: dict[str, str] = {}
    body: Any = None
    error: str = ""
