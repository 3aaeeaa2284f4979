"""The audit log: two records become one entry, whatever page they are met on; and nothing is done without the first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hub.api.audit import Audit, Change, Entry, Outcome, note
from hub.api.audit_pages import AuditPages, Wanted
from hub.api.definitions import Rules
from hub.api.problems import Conflict
from hub.api.roles import MASTER
from hub.errors import InvalidPayload, Unavailable
from hub.store.memory import MemoryStore
from hub.store.query import QueryError

EVERY = Wanted()


def entry(number: int, asked_offset: int | None = None, **more: Any) -> bytes:
    outcome = None if asked_offset is None else Outcome(asked_offset, 2, 200, "", {}, [])
    told = {"key": "k", "name": "", "address": "", "route": "POST /tasks", "target": {}, **more}
    return msgspec.json.encode(Entry(id=f"{number}", at_ms=1, outcome=outcome, **told))


class Log:
    """Records by offset, some of which are gone."""

    def __init__(self, records: dict[int, bytes]) -> None:
        self._records = records

    def newest(self, below: int | None) -> Iterator[tuple[int, bytes]]:
        for offset in sorted(self._records, reverse=True):
            if below is None or offset < below:
                yield offset, self._records[offset]


def pages_of(log: Log) -> AuditPages:
    return AuditPages(log.newest, MemoryStore(), Rules(), lambda _: True)


def all_of(pages: AuditPages, size: int, wanted: Wanted = EVERY) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = pages.page(size, cursor, wanted)
        assert len(page["items"]) <= size
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


@given(
    steps=st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), max_size=40),
    size=st.integers(1, 7),
)
def test_each_request_is_there_once_whatever_runs_beside_it(steps: Sequence[tuple[int, bool, bool]], size: int) -> None:
    """Steps: ask, or say what came of one that is open; compaction may have taken away the first of the two."""
    records: dict[int, bytes] = {}
    open_: list[tuple[int, int]] = []
    place: dict[int, int] = {}  # by request, the offset of the record that says most of it
    for offset, (which, asks, is_compacted) in enumerate(steps):
        if asks or not open_:
            place[offset] = offset
            open_.append((offset, offset))
            records[offset] = entry(offset)
        else:
            number, asked_offset = open_.pop(which % len(open_))
            place[number] = offset
            records[offset] = entry(number, asked_offset)
            if is_compacted:
                del records[asked_offset]
    found = all_of(pages_of(Log(records)), size)
    assert [one["id"] for one in found] == [str(n) for n in sorted(place, key=lambda n: place[n], reverse=True)]
    over = {one["id"] for one in found if one["outcome"] is not None}
    assert over == {str(number) for number in place} - {str(number) for number, _ in open_}


def test_questions_are_by_key_kind_and_id() -> None:
    change = Change("source", "shop", None, 7, deleted=False)
    outcome = Outcome(0, 2, 200, "", {}, [change])
    paused = Entry("2", 1, "anna", "", "", "POST /bridges/{id}/pause", {"id": "queue"})
    records = {
        0: entry(1, key="anna", target={"kind": "source", "id": "shop"}),
        1: msgspec.json.encode(msgspec.structs.replace(msgspec.json.decode(entry(1), type=Entry), outcome=outcome)),
        2: msgspec.json.encode(paused),
        3: b"of a newer hub",
        4: b'{"id":"\xff"}',
        5: b'{"id":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    }
    pages = pages_of(Log(records))

    def ids(**wanted: str) -> list[str]:
        return [one["id"] for one in all_of(pages, 10, Wanted(**wanted))]

    assert ids() == ["2", "1"]
    assert ids(key="anna") == ["2"]
    assert ids(kind="source") == ["1"]
    assert ids(id="shop") == ["1"]
    assert ids(id="queue", key="anna") == ["2"]
    assert ids(id="queue", key="k") == []
    for cursor in ("", "x", "1.", "-1", "1" * 19):
        with pytest.raises(QueryError):
            pages.page(1, cursor, Wanted())


class Kafka:
    """Takes records, as long as it is there."""

    def __init__(self, takes: int = 100) -> None:
        self.takes = takes
        self.entries: list[Entry] = []

    async def publish(self, topic: str, key: bytes, value: bytes | None, headers: Any = (), landed: Any = None) -> int:
        if len(self.entries) >= self.takes:
            raise Unavailable("kafka", "away")
        self.entries.append(msgspec.json.decode(value or b"", type=Entry))
        assert (topic, key) == ("hub.audit.v1", self.entries[-1].id.encode())
        return len(self.entries) - 1


def request(path: str, body: bytes, **params: str) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b"", "path_params": params}
    return Request({**scope, "client": ("10.0.0.7", 1), "server": ("hub", 80), "scheme": "http"}, receive)


def kept(kafka: Kafka, route: str, asked: Request, handler: Any) -> Response:
    audit = Audit(kafka, "hub.audit.v1", b"identity", lambda: 1_000)
    return asyncio.run(audit.kept(route, MASTER, asked, handler))


def test_nothing_is_done_that_the_log_does_not_have() -> None:
    done: list[int] = []

    async def handler(_: Request) -> Response:
        done.append(1)
        return JSONResponse({"id": "task-1"}, 202)

    with pytest.raises(Unavailable):
        kept(Kafka(takes=0), "POST /tasks", request("/tasks", b"{}"), handler)
    assert not done
    # once it is done, whoever asked hears that it is; that it was asked for is kept
    kafka = Kafka(takes=1)
    assert kept(kafka, "POST /tasks", request("/tasks", b"{}"), handler).status_code == 202
    assert [one.outcome for one in kafka.entries] == [None]
    assert done == [1]


def test_a_process_that_ends_in_the_middle_leaves_what_was_asked_for() -> None:
    async def handler(_: Request) -> Response:
        raise asyncio.CancelledError

    kafka = Kafka()
    with pytest.raises(asyncio.CancelledError):
        kept(kafka, "POST /bridges/{id}/start", request("/bridges/q/start", b"", id="q"), handler)
    (only,) = kafka.entries
    assert (only.key, only.address, only.target, only.outcome) == ("@admin", "10.0.0.7", {"id": "q"}, None)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Conflict("changed"), 409, "conflict"),
        (InvalidPayload("not_json", "junk"), 422, "not_json"),
        (Unavailable("redis", "away"), 503, "unavailable"),
        (RuntimeError("the password is hunter2"), 500, "internal"),
    ],
)
def test_what_failed_is_kept_with_its_reason(error: Exception, status: int, reason: str) -> None:
    async def handler(_: Request) -> Response:
        note(Change("bridge", "q", 3, 9, deleted=False))  # was written, but not read back in time
        raise error

    kafka = Kafka()
    with pytest.raises(type(error)):
        kept(kafka, "POST /bridges/{id}/start", request("/bridges/q/start", b"", id="q"), handler)
    outcome = kafka.entries[-1].outcome
    assert outcome == Outcome(0, 1_000, status, reason, {}, [Change("bridge", "q", 3, 9, deleted=False)])
    assert b"hunter2" not in msgspec.json.encode(kafka.entries)


@pytest.mark.parametrize("body", [b"\xff", b"{", b'{"q":' + b"[" * 5_000 + b"]" * 5_000 + b"}"])
def test_what_came_of_a_body_that_cannot_be_read_is_kept(body: bytes) -> None:
    async def handler(asked: Request) -> Response:
        await asked.body()
        return JSONResponse({}, 400)

    kafka = Kafka()
    assert kept(kafka, "POST /dead-letters/replay", request("/dead-letters/replay", body), handler).status_code == 400
    assert [one.outcome and one.outcome.status for one in kafka.entries] == [None, 400]


def test_no_person_and_nothing_that_was_not_chosen_is_kept() -> None:
    async def handler(asked: Request) -> Response:
        body = await asked.json()
        return JSONResponse({"id": "r1", "email": body["email"]}, 202)

    kafka = Kafka()
    body = b'{"profile":"bob@example.com","reason":"ticket 7","email":"ann@example.com"}'
    merge = request("/profiles/ann@example.com/merge", body, id="ann@example.com")
    assert kept(kafka, "POST /profiles/{id}/merge", merge, handler).status_code == 202
    erase = request("/profiles/ann@example.com/erase", body, id="ann@example.com")
    kept(kafka, "POST /profiles/{id}/erase", erase, handler)
    assert b"example.com" not in msgspec.json.encode(kafka.entries)
    _, merged, _, erased = kafka.entries
    assert merged.target == erased.target, "one person is one mark"
    assert merged.asked.keys() == {"profile"}
    assert merged.asked["profile"] != merged.target["person"]
    assert erased.asked == {"reason": "ticket 7"}
    assert erased.outcome is not None
    assert erased.outcome.answered == {"id": "r1"}


def test_a_change_outside_a_request_is_nobody_s() -> None:
    note(Change("bridge", "q", None, 1, deleted=False))
