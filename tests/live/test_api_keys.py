"""API keys: what each role opens, that what is taken away opens nothing, and that a key is of one namespace."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from hub.api.roles import ROLES
from hub.definitions.api_keys import digest
from hub.settings import Kafka
from schemas.topics import DEFINITIONS
from tests.kafka_tools import read
from tests.live.api import ADMIN, Running, running
from tests.live.test_api_admin import is_problem
from tests.live.test_api_process import api, url_of
from tests.plain_http import NO_TLS

PLACES = {"kind": "source", "page": "0", "version": "0"}
"""What stands in a path for its parameters; an id is that of nothing."""
INCLUDED = {
    "collect": {"collect"},
    "read": {"read"},
    "operate": {"operate", "read"},
    "admin": {"admin", "operate", "read", "collect"},
}


@pytest.fixture
async def hub(kafka, namespace, tmp_path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as running_hub:
        yield running_hub


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def make(hub: Running, id: str, *roles: str, **more: Any) -> str:
    answer = await hub.admin.post("/api-keys", json={"id": id, "roles": list(roles), **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["key"])


def path_of(route: str) -> tuple[str, str]:
    method, path = route.split(" ")
    for name in ("kind", "page", "version", "id"):
        path = path.replace(f"{{{name}}}", PLACES.get(name, "nobody"))
    return method, path


@pytest.mark.slow
async def test_every_route_opens_to_the_keys_with_its_role_and_to_no_other(hub):
    """Each route by each key: 403 names the role; with it the answer is any other. So a collect key reads nothing."""
    keys = {role: await make(hub, f"key-{role}", role) for role in INCLUDED}
    for route, needed in ROLES.items():
        method, path = path_of(route)
        if needed == "none":
            continue
        is_problem(await hub.public.request(method, path), 401, "unauthorized")
        for role, key in keys.items():
            answer = await hub.public.request(method, path, headers=bearer(key), content=b"{")
            if needed in INCLUDED[role]:
                assert answer.status_code not in (401, 403), (route, role, answer.text)
            else:
                problem = is_problem(answer, 403, "forbidden")
                assert problem["role"] == needed, (route, role)
                assert f"the role {needed}" in problem["detail"]
                assert f"key-{role}" in problem["detail"]
    is_problem(await hub.public.get("/nowhere", headers=bearer(keys["collect"])), 404)


async def test_roles_are_put_together(hub):
    key = bearer(await make(hub, "both", "collect", "read"))
    assert (await hub.public.get("/profiles", headers=key)).status_code == 200
    is_problem(await hub.public.post("/tasks", headers=key, json={}), 403, "forbidden")


async def test_what_people_see_of_a_key_opens_nothing(hub):
    """Neither the key nor its hash is in a definition, a version of it, a list, or in the log and the store."""
    key = await make(hub, "shop", "read", name="The shop", expires_at="2099-01-01T00:00:00Z")
    (listed,) = (await hub.admin.get("/api-keys")).json()["items"]
    assert listed == {
        "id": "shop",
        "name": "The shop",
        "description": "",
        "roles": ["read"],
        "state": "valid",
        "expires_at": "2099-01-01T00:00:00.000Z",
        "also_until": None,
        "version": listed["version"],
        "updated_at": listed["updated_at"],
    }
    shown = (await hub.admin.get("/definitions/api-key/shop")).json()
    assert shown["spec"]["hash"] == "sealed"
    for sent in (shown["spec"], {name: value for name, value in shown["spec"].items() if name != "hash"}):
        saved = await hub.define("api-key", "shop", **{**sent, "roles": ["operate"]})
        assert saved.status_code == 200, saved.text
        assert (await hub.public.get("/bridges", headers=bearer(key))).status_code == 200, "the hash is as it was"
    assert (await hub.public.get("/profiles", headers={"Authorization": "Bearer sealed"})).status_code == 401
    reader = bearer(await make(hub, "reader", "read"))
    for path in ("/definitions/api-key", "/definitions/api-key/shop", "/definitions/api-key/shop/versions"):
        assert is_problem(await hub.public.get(path, headers=reader), 403, "forbidden")["role"] == "admin"


async def test_a_key_cannot_be_made_by_hand_without_one(hub):
    is_problem(await hub.define("api-key", "shop", roles=["read"]), 422, "invalid")
    is_problem(await hub.define("api-key", "shop", roles=["read"], hash="sealed"), 422, "invalid")
    is_problem(await hub.define("api-key", "shop", roles=[], hash="0" * 64), 422, "wrong_type")
    is_problem(await hub.define("api-key", "shop", roles=["owner"], hash="0" * 64), 422, "wrong_type")
    is_problem(await hub.define("api-key", "@admin", roles=["read"], hash="0" * 64), 422, "bad_id")
    await make(hub, "shop", "read")
    is_problem(await hub.admin.post("/api-keys", json={"id": "shop", "roles": ["admin"]}), 409, "conflict")
    is_problem(await hub.admin.post("/api-keys", json={"id": "Shop!", "roles": ["admin"]}), 422, "wrong_type")
    is_problem(await hub.admin.post("/api-keys/none/rotate", json={}), 404, "not_found")
    is_problem(await hub.admin.delete("/api-keys/none"), 404, "not_found")


async def test_a_key_that_was_changed_for_another_one_is_good_for_a_while_if_at_all(hub):
    first = await make(hub, "shop", "read")

    async def rotate(keep: str) -> str:
        answer = await hub.admin.post("/api-keys/shop/rotate", json={"keep": keep})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["key"])

    async def status(key: str) -> int:
        return (await hub.public.get("/balance", headers=bearer(key))).status_code

    second = await rotate("1h")
    assert len({first, second}) == 2
    assert [await status(key) for key in (first, second)] == [200, 200]
    assert (await hub.admin.get("/api-keys")).json()["items"][0]["also_until"] is not None
    third = await rotate("")
    assert [await status(key) for key in (first, second, third)] == [401, 401, 200]
    # a version of before would make a key good again that somebody may have stolen
    version = (await hub.admin.get("/api-keys")).json()["items"][0]["version"]
    back = await hub.admin.post("/definitions/api-key/shop/rollback", json={"version": version})
    is_problem(back, 422, "invalid")
    assert [await status(key) for key in (first, second, third)] == [401, 401, 200]


async def test_what_is_over_says_so_to_whoever_has_it(hub):
    old = bearer(await make(hub, "old", "admin", expires_at="2020-01-01T00:00:00Z"))
    is_problem(await hub.public.get("/balance", headers=old), 401, "key_is_over")
    off = await make(hub, "off", "admin")
    spec = (await hub.admin.get("/definitions/api-key/off")).json()["spec"]
    assert (await hub.define("api-key", "off", **{**spec, "enabled": False})).status_code == 200
    is_problem(await hub.public.get("/balance", headers=bearer(off)), 401, "key_is_over")
    states = {one["id"]: one["state"] for one in (await hub.admin.get("/api-keys")).json()["items"]}
    assert states == {"old": "expired", "off": "off"}


async def test_a_key_is_taken_away_in_every_process_within_a_second(kafka, namespace, tmp_path):
    """Of two APIs, one of them a process of its own, without a restart of either."""
    with api(kafka, namespace, tmp_path) as process:
        base = await asyncio.to_thread(url_of, process)
        async with (
            running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub,
            httpx.AsyncClient(base_url=base, timeout=20, verify=NO_TLS) as other,
        ):
            key = bearer(await make(hub, "shop", "read"))

            async def until(status: int) -> float:
                began = time.monotonic()
                while (await other.get("/balance", headers=key)).status_code != status:
                    assert time.monotonic() - began < 20
                return time.monotonic() - began

            await until(200)
            assert (await hub.admin.delete("/api-keys/shop")).status_code == 204
            assert await until(401) < 5, "a second, on a machine that has nothing else to do"
            assert (await hub.public.get("/balance", headers=key)).status_code == 401


async def test_a_key_is_of_one_namespace(kafka, namespace, tmp_path):
    """In another one it is not known; nor is it good there if somebody carries its definition over, hash and all."""
    (tmp_path / "other").mkdir()
    async with (
        running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub,
        running(Kafka(bootstrap=kafka), f"{namespace}-other", tmp_path / "other") as other,
    ):
        key = await make(hub, "shop", "admin")
        for method, path in map(path_of, (route for route, role in ROLES.items() if role != "none")):
            is_problem(await other.public.request(method, path, headers=bearer(key)), 401, "unauthorized")
        spec = hub.catalogue.entry("api-key", "shop").spec.model_dump(mode="json")
        assert (await other.define("api-key", "shop", **spec)).status_code == 201
        is_problem(await other.public.get("/balance", headers=bearer(key)), 401, "unauthorized")
        assert (await hub.public.get("/balance", headers=bearer(key))).status_code == 200


async def test_senders_need_a_key_if_a_setting_says_so(kafka, namespace, tmp_path):
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path, collect_key=True) as hub:
        await hub.define("source", "shop", type=["rest", "webhook"])
        sent = {"source": "shop", "profile": {"id": "ann"}, "session": {"id": "s"}, "events": [{"type": "view"}]}
        keys = {role: bearer(await make(hub, role, role)) for role in INCLUDED}
        for path in ("/track", "/collect/view/shop"):
            is_problem(await hub.public.post(path, json=sent), 401, "unauthorized")
            assert (
                is_problem(await hub.public.post(path, json=sent, headers=keys["read"]), 403, "forbidden")["role"]
                == "collect"
            )
            assert is_problem(await hub.public.post(path, json=sent, headers=keys["operate"]), 403, "forbidden")
            for good in (keys["collect"], keys["admin"], ADMIN):
                assert (await hub.public.post(path, json=sent, headers=good)).status_code == 200
            # browsers ask without a key whether they may
            assert (await hub.public.options(path)).status_code < 300
        is_problem(await hub.public.post("/customer/consent", json={}), 401, "unauthorized")
        is_problem(await hub.public.get("/profiles", headers=keys["collect"]), 403, "forbidden")


def test_a_key_is_nowhere_but_with_its_holder(kafka, namespace, tmp_path):
    """Not on the log, in the store with its versions, in what the process says of itself, or in an answer; nor is its
    hash in an answer."""
    with api(kafka, namespace, tmp_path) as process:
        # it says where it is a moment before it answers there
        transport = httpx.HTTPTransport(verify=NO_TLS, retries=6)
        with httpx.Client(base_url=url_of(process), timeout=20, transport=transport, headers=ADMIN) as admin:
            made = admin.post("/api-keys", json={"id": "shop", "roles": ["read"]}).json()["key"]
            other = admin.post("/api-keys/shop/rotate", json={"keep": "1h"}).json()["key"]
            asked = {path: admin.get(path, headers=bearer(made)).status_code for path in ("/balance", "/api-keys")}
            assert asked == {"/balance": 200, "/api-keys": 403}
            answers = [
                admin.get(path).text
                for path in ("/definitions/api-key", "/definitions/api-key/shop/versions", "/api-keys", "/metrics")
            ]
            assert len(json.loads(answers[1])["items"]) == 2
        process.terminate()
        assert process.stdout is not None
        answers.append(process.stdout.read())
    hashes = [digest(key.encode(), namespace) for key in (made, other)]
    for answer in answers:
        assert not any(secret in answer for secret in (made, other, *hashes))
    log = b"".join(message.value() or b"" for message in read(Kafka(bootstrap=kafka), namespace, DEFINITIONS))
    kept = [log, *(file.read_bytes() for file in tmp_path.glob("hub.sqlite*"))]
    assert hashes[1].encode() in log
    for data in kept:
        assert not any(key.encode() in data for key in (made, other))
