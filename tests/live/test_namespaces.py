"""Two namespaces on the same servers: no route of one shows what is the other's. And: no way around the key."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest

from hub.api.roles import ROLES
from hub.settings import Kafka
from tests.kafka_tools import eventually
from tests.live.api import ADMIN, Running, running
from tests.live.collector import collector
from tests.live.test_api_admin import is_problem
from tests.plain_http import NO_TLS
from tests.servers.running import shared

KINDS: Final = ("source", "segment", "flow", "api-key")
SEEN: Final = {
    "GET /api-keys",
    "GET /definitions/{kind}",
    "GET /definitions/{kind}/{id}",
    "GET /events",
    "GET /events/{id}",
    "GET /profiles",
    "POST /event/select",
    "POST /profile/select",
}
"""Routes where whoever may sees the mark: so the test would notice."""
EMPTY: Final = {
    "GET /definitions/{kind}/{id}/versions",
    "GET /flows/{id}/runs",
    "GET /profiles/{id}/identity",
    "GET /segments/{id}/profiles",
    "GET /segments/{id}/sizes",
}
"""Lists of what belongs to something: that there is none may be told by an empty one."""
EVENT: Final = "00000000-0000-4000-8000-00000000abcd"
PERSON: Final = "ann-of-the-others"


class Asked(NamedTuple):
    """A question and its answer. `id`: what its path named."""

    route: str
    id: str
    status: int
    text: str

    def shows(self, marks: tuple[str, ...]) -> bool:
        """Whether one of these is in the answer, and not because it was in the question."""
        return any(mark in self.text for mark in marks if mark != self.id)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_no_route_shows_what_is_another_namespaces(
    kafka: str, namespace: str, tmp_path: Path, shared_folder: Path
) -> None:
    """Each route is asked for what the other has, by its id, by a key that may do everything; names begin alike."""
    mark = f"zebra{secrets.token_hex(6)}"
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    with shared("valkey", shared_folder / "valkey") as redis_url:
        async with (
            running(
                Kafka(bootstrap=kafka, partitions=4), namespace, tmp_path / "theirs", redis_url=redis_url
            ) as theirs,
            running(Kafka(bootstrap=kafka), f"{namespace}-x", tmp_path / "ours", redis_url=redis_url) as ours,
        ):
            with collector(kafka, namespace, tmp_path / "theirs"):
                await _fill(theirs, mark)
            marks = (mark, PERSON, EVENT)
            seen = {asked.route async for asked in _all(theirs) if asked.shows(marks)}
            assert seen >= SEEN, SEEN - seen
            async for asked in _all(ours):
                assert not asked.shows(marks), asked
                if asked.route.startswith("GET ") and asked.id:
                    assert asked.status in (404, 405, 422) or asked.route in EMPTY, asked
            # nor has anything been done to it
            assert (await theirs.admin.get(f"/profiles/{PERSON}")).status_code == 200
            assert (await theirs.admin.get("/definitions/source/theirs")).json()["spec"]["name"] == mark


async def _fill(hub: Running, mark: str) -> None:
    """Let the mark be in all kinds of things, none of which has it as its id."""
    nodes = {"start": {"type": "start"}}
    definitions: dict[str, dict[str, Any]] = {
        "source": {"name": mark},
        "segment": {"name": mark, "condition": "id = 'a'"},
        "flow": {"name": mark, "triggers": [{"type": "event", "event_type": "view"}], "nodes": nodes},
    }
    for kind, spec in definitions.items():
        answer = await hub.define(kind, "theirs", **spec)
        assert answer.status_code == 201, answer.text
    made = await hub.admin.post("/api-keys", json={"id": "theirs", "roles": ["read"], "name": mark})
    assert made.status_code == 201
    event = {"id": EVENT, "type": "view", "properties": {"mark": mark}}
    profile = {"id": PERSON, "traits": {"mark": mark}}
    sent = {"source": "theirs", "session": {"id": "theirs"}, "profile": profile, "events": [event]}
    answer = await hub.public.post("/track", json=sent)
    assert answer.status_code == 200, answer.text

    def stored() -> bool:
        found = httpx.get(f"{hub.admin.base_url}/profiles/{PERSON}", headers=ADMIN, timeout=20, verify=NO_TLS)
        return found.status_code == 200

    await asyncio.to_thread(eventually, stored)


async def _all(hub: Running) -> AsyncIterator[Asked]:
    """Each route with each id and kind, and what it answers; those that change something last."""
    for route in sorted(ROLES, key=lambda one: not one.startswith("GET ")):
        method, path = route.split(" ")
        if (
            ROLES[route] in ("operate", "admin")
            and method != "GET"
            and "/test" not in route
            and hub.namespace[-2:] != "-x"
        ):
            continue  # the others' things stay as they are
        for id in ("theirs", PERSON, EVENT) if "{id}" in path else ("",):
            for kind in KINDS if "{kind}" in path else ("",):
                place = (
                    path.replace("{id}", id).replace("{kind}", kind).replace("{page}", "0").replace("{version}", "0")
                )
                body: dict[str, Any] | None = None if method in ("GET", "DELETE") else {}
                answer = await hub.admin.request(method, place, json=body)
                yield Asked(route, id, answer.status_code, answer.text)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_no_way_of_writing_a_path_opens_it(kafka: str, namespace: str, tmp_path: Path, method: str) -> None:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        port = hub.public.base_url.port
        assert port is not None
        headers = (
            "X-Original-URL: /live\r\nX-Rewrite-URL: /live\r\nX-HTTP-Method-Override: GET\r\n",
            "X-Forwarded-For: 127.0.0.1\r\n",
            "Authorization: Bearer\r\n",
            "Authorization: Bearer \r\n",
            "Authorization: Bearer null\r\n",
            "Authorization: Basic YWRtaW46YWRtaW4=\r\n",
            "Authorization: Bearer wrong\r\nAuthorization: Bearer wrong-too\r\n",
        )
        for path in (
            *("/profiles", "/profiles/", "//profiles", "/./profiles", "/live/../profiles", "/live/..%2fprofiles"),
            *("/track/../profiles", "/webhooks/../profiles", "/collect/../../profiles", "/metrics/../api-keys"),
            *("/%70rofiles", "/profiles;/live", "/profiles%00/live", "/profiles?/live", "/docs/../profiles"),
            *("http://hub/profiles", "/openapi.json/../api-keys", "/PROFILES", "/live/profiles", "/ready/", "/docs/"),
        ):
            for more in headers if path == "/profiles" else headers[:1]:
                answer = await _raw(port, f"{method} {path} HTTP/1.1\r\nHost: hub\r\n{more}Connection: close\r\n\r\n")
                status = int(answer.split(b" ")[1])
                # browsers ask without a key what they may send to doors for events: they are told no more than that
                assert status in (400, 401, 404, 405, 415, 422) or (method, status) == ("OPTIONS", 204), (path, answer)
                assert status != 204 or answer.endswith(b"\r\n\r\n")
        is_problem(await hub.public.get("/profiles"), 401, "unauthorized")


async def _raw(port: int, request: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    answer = await reader.read()
    writer.close()
    return answer
