"""The audit log of a running API: who, what, before, after; each change once; no secret, and nobody's id."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx

from hub.api.audit_pages import AuditPages, Wanted
from hub.api.definitions import Rules
from hub.api.roles import ROLES, is_change
from hub.log.audit import AuditLog
from hub.settings import Kafka
from hub.store.memory import MemoryStore
from schemas.topics import AUDIT
from tests.kafka_tools import eventually, read
from tests.live.api import ADMIN, running
from tests.live.test_api_admin import batch, is_problem
from tests.live.test_api_keys import bearer, make, path_of
from tests.live.test_api_process import api, url_of
from tests.plain_http import NO_TLS

SECRET = "hunter2-of-the-broker"


def test_who_what_before_and_after(kafka, namespace, tmp_path):
    with api(kafka, namespace, tmp_path) as process, _client(url_of(process)) as admin:
        made = {"id": "anna", "name": "Anna", "roles": ["admin"]}
        anna = bearer(admin.post("/api-keys", json=made).json()["key"])
        path = "/definitions/bridge/queue"
        spec = {"type": "kafka", "source": "shop", "settings": _kafka_settings()}
        assert admin.put(path, json=spec).status_code == 201
        assert admin.put(path, json={**spec, "name": "Orders"}, headers=anna).status_code == 200
        is_problem(admin.put(path, json=spec, headers={"If-Match": '"0"'}), 409, "conflict")
        assert admin.post("/bridges/queue/pause", headers=anna).status_code == 200
        assert admin.delete(path, headers=anna).status_code == 204
        items = _all(admin)
        # a client of its own keeps its place while others write
        first = admin.get("/audit", params={"size": 2}).json()
        assert admin.put("/definitions/source/shop", json={}).status_code == 201
        rest = admin.get("/audit", params={"size": 100, "cursor": first["next"]}).json()
        of_source = admin.get("/audit", params={"kind": "source"}).json()["items"]
        is_problem(admin.get("/audit", params={"cursor": "x"}), 422, "bad_query")
    assert first["items"] + rest["items"] == items
    assert [one["target"] for one in of_source] == [{"kind": "source", "id": "shop"}]
    deleted, paused, refused, renamed, saved, added = items
    assert [one["who"]["key"] for one in items] == ["anna", "anna", "@admin", "anna", "@admin", "@admin"]
    assert renamed["who"] == {"key": "anna", "name": "Anna"}
    assert {one["address"] for one in items} == {"127.0.0.1"}
    assert (renamed["route"], renamed["target"]) == (
        "PUT /definitions/{kind}/{id}",
        {"kind": "bridge", "id": "queue"},
    )
    (change,) = renamed["changes"]
    assert (change["before"]["spec"]["name"], change["after"]["spec"]["name"]) == ("", "Orders")
    assert change["before"]["version"] < change["after"]["version"]
    assert saved["changes"][0]["before"] is None
    assert (refused["outcome"]["status"], refused["outcome"]["reason"], refused["changes"]) == (409, "conflict", [])
    (change,) = paused["changes"]
    assert (change["before"]["spec"]["enabled"], change["after"]["spec"]["enabled"]) == (True, False)
    (change,) = deleted["changes"]
    assert (change["deleted"], change["after"]["spec"], change["before"]["spec"]["enabled"]) == (True, None, False)
    assert added["asked"] == {"id": "anna", "roles": ["admin"]}
    assert added["changes"][0]["after"]["spec"]["hash"] == "sealed"
    log = b"".join(message.value() or b"" for message in read(Kafka(bootstrap=kafka), namespace, AUDIT))
    for kept in (json.dumps(items), log.decode()):
        assert SECRET not in kept
        assert anna["Authorization"].removeprefix("Bearer ") not in kept


async def test_every_route_that_may_change_something_is_kept_and_no_other(kafka, namespace, tmp_path):
    """Whatever comes of it: asked of something that is not there, or with a body that is none."""
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        hub.store.write(batch(received=1, stored=1))
        nobody = bearer(await make(hub, "reader", "read"))
        for route in ROLES:
            method, path = path_of(route)
            await hub.admin.request(method, path, content=b"{")
            if is_change(route):
                is_problem(await hub.public.request(method, path, headers=nobody), 403, "forbidden")
        assert (await hub.admin.post("/profiles/p%2F1/erase", json={"reason": "ticket 7"})).status_code == 202
        found = []
        cursor = None
        while True:
            query = {"size": "7"} if cursor is None else {"size": "7", "cursor": cursor}
            page = (await hub.admin.get("/audit", params=query)).json()
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        is_problem(await hub.public.get("/audit", headers=nobody), 403, "forbidden")
    erased, *others, made = found
    assert made["route"] == "POST /api-keys"
    assert sorted(one["route"] for one in others) == sorted(route for route in ROLES if is_change(route))
    assert all(one["outcome"]["status"] >= 200 for one in found)
    assert {one["who"]["key"] for one in found} == {"@admin"}
    assert erased["target"].keys() == {"person"}
    assert erased["asked"] == {"reason": "ticket 7"}
    log = b"".join(message.value() or b"" for message in read(Kafka(bootstrap=kafka), namespace, AUDIT))
    assert b"p/1" not in log
    assert b"ticket 7" in log


def test_a_process_that_is_killed_in_the_middle_leaves_what_was_asked_of_it(kafka, namespace, tmp_path):
    """Kafka's acknowledgements take long enough that it dies between the audit log's and the definition's."""
    audited = partial(read, Kafka(bootstrap=kafka), namespace, AUDIT)
    with api(kafka, namespace, tmp_path, HUB_KAFKA__LINGER_MS="2000") as process:
        url = url_of(process)
        with _client(url) as admin, ThreadPoolExecutor(1) as aside:
            assert admin.get("/live").status_code == 200
            put = aside.submit(admin.put, "/definitions/source/shop", json={})
            eventually(audited)
            process.kill()
            assert isinstance(put.exception(20), httpx.TransportError)
    assert len(audited()) == 1
    log = AuditLog(Kafka(bootstrap=kafka), namespace)
    (only,) = AuditPages(log.newest, MemoryStore(), Rules(), lambda _: True).page(10, None, Wanted())["items"]
    assert (only["who"]["key"], only["route"], only["target"]) == (
        "@admin",
        "PUT /definitions/{kind}/{id}",
        {"kind": "source", "id": "shop"},
    )
    assert (only["outcome"], only["changes"]) == (None, [])


def _client(url: str) -> httpx.Client:
    # a process says where it is a moment before it answers there
    transport = httpx.HTTPTransport(verify=NO_TLS, retries=6)
    return httpx.Client(base_url=url, timeout=20, transport=transport, headers=ADMIN)


def _all(admin: httpx.Client) -> list[dict[str, Any]]:
    page = admin.get("/audit", params={"size": 100}).json()
    assert page["next"] is None
    items: list[dict[str, Any]] = page["items"]
    return items


def _kafka_settings() -> dict[str, Any]:
    return {"bootstrap": "localhost:1", "topics": "orders", "options": {"sasl.password": SECRET}}
