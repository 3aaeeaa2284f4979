"""Webhooks: who may send, what an answer means, and that the same delivery is one event."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

from bridges.registry import validate
from hub.definitions.catalogue import Catalogue
from hub.ids import derived
from hub.settings import Kafka, Limits
from schemas.records import Inbound
from tests.live.api import Running, running
from tests.live.collector import collector

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "it's a secret to everybody"
OTHER = "and this one is not the secret"
KEY = base64.b64encode(b"k" * 24).decode()
OTHER_KEY = base64.b64encode(b"o" * 24).decode()
BODY = b'{"id": "evt_1", "who": "ann", "n": 1}'
MAPPING = {"profile": "who", "event": {"type": "'called'", "properties": {"n": "n", "method": "meta('method')"}}}
VARIABLES = {"S": SECRET, "O": OTHER, "K": f"whsec_{KEY}", "L": OTHER_KEY, "EMPTY": ""}


def github(body: bytes, secret: str = SECRET, at_s: float = 0, id: str = "d-1") -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Delivery": id}


def stripe(body: bytes, secret: str = SECRET, at_s: float | None = None, id: str = "") -> dict[str, str]:
    """Its id is in the body. With an old scheme and a secret that has been replaced, as Stripe sends them."""
    at = int(time.time() if at_s is None else at_s)
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={'0' * 64},v1={digest},v0=abcd"}


def standard(
    body: bytes, secret: str = KEY, at_s: float | None = None, id: str = "d-1", name: str = "webhook"
) -> dict[str, str]:
    at = int(time.time() if at_s is None else at_s)
    digest = hmac.new(base64.b64decode(secret), f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
    marks = f"v1a,xyz v1,{base64.b64encode(digest).decode()}"
    return {f"{name}-id": id, f"{name}-timestamp": str(at), f"{name}-signature": marks}


def svix(body: bytes, secret: str = KEY, at_s: float | None = None, id: str = "d-1") -> dict[str, str]:
    return standard(body, secret, at_s, id, "svix")


def shop(body: bytes, secret: str = SECRET, at_s: float = 0, id: str = "d-1") -> dict[str, str]:
    digest = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha512).digest()).decode()
    return {"X-Shop-Hmac": digest, "X-Shop-Id": id}


def old(body: bytes, secret: str = SECRET, at_s: float = 0, id: str = "d-1") -> dict[str, str]:
    return {"X-Old": "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest().upper(), "X-Old-Id": id}


class Style(NamedTuple):
    """`secrets`: the right one, and another. `id`: of the delivery of BODY."""

    settings: dict[str, Any]
    sign: Callable[..., dict[str, str]]
    references: tuple[str, str] = ("env:S", "env:O")
    secrets: tuple[str, str] = (SECRET, OTHER)
    id: str = "d-1"


UNCHECKED = Style({"signature": "none"}, github)
UNSIGNED = {"X-GitHub-Delivery", "X-Shop-Id", "X-Old-Id"}
KEYS: Any = {"references": ("env:K", "env:L"), "secrets": (KEY, OTHER_KEY)}
STYLES = {
    "github": Style({"signature": "github"}, github),
    "stripe": Style({"signature": "stripe"}, stripe, id="evt_1"),
    "standard": Style({"signature": "standard"}, standard, **KEYS),
    "svix": Style({"signature": "standard"}, svix, **KEYS),
    "sha512": Style(
        {
            "signature": "hmac",
            "header": "X-Shop-Hmac",
            "algorithm": "sha512",
            "encoding": "base64",
            "id_header": "X-Shop-Id",
        },
        shop,
    ),
    "sha1": Style(
        {"signature": "hmac", "header": "x-old", "algorithm": "sha1", "prefix": "sha1=", "id_header": "X-Old-Id"}, old
    ),
}


class Hooks(NamedTuple):
    """An API with webhooks, each test's under an id of its own."""

    api: Running

    async def define(self, style: Style, id: str, **changes: Any) -> str:
        """Returns: where its messages are sent."""
        settings = {**style.settings, "secret": style.references[0]}
        spec = {"type": "webhook", "source": "shop", "settings": settings, "mapping": MAPPING, **changes}
        answer = await self.api.define("bridge", id, **spec)
        assert answer.status_code in (200, 201), answer.text
        return f"/webhooks/{id}"

    async def send(self, path: str, headers: Mapping[str, str], body: bytes = BODY) -> httpx.Response:
        encoded = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        return await self.api.public.post(path, content=body, headers=encoded)

    async def seen(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api.admin.get(f"/bridges/{id}")).json()
        return found

    async def records(self, id: str) -> list[Inbound]:
        return [record for record in await self.api.records() if record["origin"].startswith(f"bridge:{id}:")]


@asynccontextmanager
async def opened(kafka: str, namespace: str, folder: Path) -> AsyncIterator[Hooks]:
    settings = Kafka(bootstrap=kafka, partitions=4)
    async with running(settings, namespace, folder, validators={"bridge": validate}, environ=VARIABLES) as api:
        assert (await api.define("source", "shop")).status_code == 201
        yield Hooks(api)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hooks]:
    async with opened(kafka, f"t{token_hex(6)}", tmp_path_factory.mktemp("hub")) as made:
        yield made


@pytest.fixture
def id() -> str:
    return f"hook-{token_hex(4)}"


def is_refused(answer: httpx.Response, words: str) -> None:
    """An unsigned message is answered as any other refusal."""
    assert answer.status_code == 401, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["reason"] == "bad_signature"
    assert words in f"{problem['where']}: {problem['detail']}"


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
async def test_only_what_the_sender_has_signed_is_taken(hub: Hooks, id: str, style: Style) -> None:
    path = await hub.define(style, id)
    right, wrong = style.secrets
    signed = style.sign(BODY, right)
    is_refused(await hub.send(path, signed, BODY.replace(b"1}", b"2}")), "does not fit")
    is_refused(await hub.send(path, style.sign(BODY, wrong)), "does not fit")
    is_refused(await hub.send(path, {}), "does not have this header")
    for name in signed.keys() - UNSIGNED:
        assert (await hub.send(path, {**signed, name: "v1,%%, t=x,v1=zz \xe9"})).status_code == 401
    assert await hub.records(id) == []

    answer = await hub.send(path, signed)
    assert (answer.status_code, answer.json()) == (200, {"taken": "event"})
    [record] = await hub.records(id)
    assert record["origin"] == f"bridge:{id}:{id}/{style.id}"
    assert record["id"] == derived("webhook", "shop", f"{id}/{style.id}", "None")
    [event] = record["body"][1]["events"]  # type: ignore[typeddict-item]
    assert json.loads(event["properties"]) == {"n": 1, "method": "POST"}

    # the same again, as a sender that has not seen the answer does
    assert (await hub.send(path, style.sign(BODY, right))).status_code == 200
    first, second = await hub.records(id)
    assert first["id"] == second["id"]
    assert first["body"][1]["events"] == second["body"][1]["events"]  # type: ignore[typeddict-item]

    report = (await hub.api.admin.get("/balance")).json()["refused"]
    assert report["by_reason"]["bad_signature"] >= 3
    assert "shop" in {row["source"] for row in report["rows"]}


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
async def test_two_secrets_while_one_replaces_the_other(hub: Hooks, id: str, style: Style) -> None:
    path = await hub.define(style, id, settings={**style.settings, "secret": list(style.references)})
    for number, secret in enumerate(style.secrets):
        assert (await hub.send(path, style.sign(BODY, secret, id=f"d-{number}"))).status_code == 200
    await hub.define(style, id, settings={**style.settings, "secret": style.references[1]})
    is_refused(await hub.send(path, style.sign(BODY, style.secrets[0])), "does not fit")
    assert (await hub.send(path, style.sign(BODY, style.secrets[1]))).status_code == 200


@pytest.mark.parametrize("name", ["stripe", "standard"])
async def test_what_was_signed_long_ago_may_be_a_copy(hub: Hooks, id: str, name: str) -> None:
    style = STYLES[name]
    path = await hub.define(style, id)
    secret, now_s = style.secrets[0], time.time()
    is_refused(await hub.send(path, style.sign(BODY, secret, now_s - 400)), "s ago; 300 s are allowed")
    is_refused(await hub.send(path, style.sign(BODY, secret, now_s + 400)), "ahead of our clock")
    assert (await hub.send(path, style.sign(BODY, secret, now_s - 200))).status_code == 200
    await hub.define(style, id, settings={**style.settings, "secret": style.references[0], "tolerance_s": 100})
    is_refused(await hub.send(path, style.sign(BODY, secret, now_s - 200)), "100 s are allowed")


async def test_without_an_id_each_delivery_is_a_message_of_its_own(hub: Hooks, id: str) -> None:
    path = await hub.define(UNCHECKED, id, settings={"signature": "none"})
    uuid = "018f3d5e-0000-7000-8000-000000000001"
    for headers in ({}, {}, {"Hub-Payload-Id": uuid}):
        assert (await hub.send(path, headers)).status_code == 200
    ids = {record["id"] for record in await hub.records(id)}
    assert len(ids) == 3
    assert uuid not in ids


async def test_an_id_that_nobody_would_expect_is_an_id(hub: Hooks, id: str) -> None:
    path = await hub.define(UNCHECKED, id, settings={"signature": "none", "id_header": "X-Id"}, mapping=None)
    body = json.dumps({"events": [{"type": "a"}]}).encode()
    for delivery in ("i" * 5_000, "i" * 5_000, "caf\xe9 \x85"):
        assert (await hub.send(path, {"X-Id": delivery}, body)).json() == {"taken": "event"}
    assert len({record["id"] for record in await hub.records(id)}) == 2


async def test_compressed_bodies_whichever_form_was_signed(hub: Hooks, id: str) -> None:
    path = await hub.define(STYLES["github"], id)
    packed = gzip.compress(BODY)
    for number, signed in enumerate((BODY, packed)):
        headers = {**github(signed, id=f"d-{number}"), "Content-Encoding": "gzip"}
        assert (await hub.send(path, headers, packed)).status_code == 200
    is_refused(await hub.send(path, {**github(b"other"), "Content-Encoding": "gzip"}, packed), "does not fit")
    damaged = await hub.send(path, {**github(BODY), "Content-Encoding": "gzip"}, packed[:20])
    assert (damaged.status_code, damaged.json()["reason"]) == (400, "bad_encoding")
    large = b"x" * (Limits().body_bytes + 1)
    for more, body in (({"Content-Encoding": "gzip"}, gzip.compress(large)), ({}, large)):
        answer = await hub.send(path, {**github(body), **more}, body)
        assert (answer.status_code, answer.json()["reason"]) == (413, "body_too_large")
    assert len(await hub.records(id)) == 2


async def test_a_form_is_an_object_of_its_fields(hub: Hooks, id: str) -> None:
    mapping = {"profile": "who", "event": {"type": "'form'", "properties": {"all": "@", "path": "meta('path')"}}}
    path = await hub.define(STYLES["github"], id, mapping=mapping)
    body = b"who=ann&tag=a&tag=b&text=caf%C3%A9+x&empty="
    headers = {**github(body), "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    assert (await hub.send(f"{path}?a=b", headers, body)).json() == {"taken": "event"}
    [record] = await hub.records(id)
    [event] = record["body"][1]["events"]  # type: ignore[typeddict-item]
    form = {"who": "ann", "tag": ["a", "b"], "text": "café x", "empty": ""}
    assert json.loads(event["properties"]) == {"all": form, "path": path}
    # what curl calls a form unless it is told otherwise
    assert (await hub.send(path, {**headers, **github(BODY, id="d-2")})).json() == {"taken": "event"}
    body = b"who=%FF"
    assert (await hub.send(path, {**headers, **github(body)}, body)).json()["reason"] == "undecodable_message"


async def test_where_there_is_no_webhook(hub: Hooks, id: str) -> None:
    style = STYLES["github"]
    off = await hub.define(style, f"{id}/off", enabled=False)
    queue = {"type": "kafka", "source": "shop", "settings": {"bootstrap": "b:1", "topics": "t"}}
    await hub.api.define("bridge", f"{id}-queue", **queue)
    for path in (f"/webhooks/{id}", "/webhooks/", off, f"/webhooks/{id}-queue"):
        answer = await hub.send(path, github(BODY))
        assert (answer.status_code, answer.json()["reason"]) == (404, "not_found")
    await hub.define(style, f"{id}/off")
    assert (await hub.send(off, github(BODY))).status_code == 200
    assert (await hub.api.admin.post(f"/bridges/{id}/off/pause")).json()["state"] == "paused"
    assert (await hub.send(off, github(BODY))).status_code == 404
    assert (await hub.api.admin.post(f"/bridges/{id}/off/start")).json()["state"] == "running"
    assert (await hub.send(off, github(BODY))).status_code == 200
    await hub.api.admin.delete(f"/definitions/bridge/{id}/off")
    assert (await hub.send(off, github(BODY))).status_code == 404
    answer = await hub.api.public.get(off)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert (await hub.api.public.get("/webhooks")).status_code == 401  # everything else wants the key


async def test_how_it_is_doing(hub: Hooks, id: str) -> None:
    path = await hub.define(STYLES["github"], id)
    first = await hub.seen(id)
    assert (first["state"], first["received"], first["last_message_at"]) == ("running", 0, None)
    assert path in first["hint"]
    await hub.send(path, github(BODY))
    await hub.send(path, github(b"no json", id="d-2"), b"no json")
    await hub.send(path, {})
    seen = await hub.seen(id)
    assert (seen["received"], seen["forwarded"], seen["refused"], seen["in_flight"]) == (2, 2, 1, 0)
    assert seen["last_message_at"] is not None
    assert id in [item["id"] for item in (await hub.api.admin.get("/bridges")).json()["items"]]
    metrics = (await hub.api.public.get("/metrics")).text
    assert f'hub_bridge_received_messages_total{{bridge="{id}"}} 2.0' in metrics
    assert f'hub_bridge_refused_messages_total{{bridge="{id}",reason="not_json"}} 1.0' in metrics
    for what, given in (("test", {}), ("rewind", {"to": "beginning"})):
        answer = await hub.api.admin.post(f"/bridges/{id}/{what}", json=given)
        assert answer.status_code == 422
        assert "no queue" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("secret", "signature", "words"),
    [
        ("env:NOT_THERE", "github", "NOT_THERE"),
        ("env:EMPTY", "github", "anybody could sign"),
        ("env:S", "standard", "base64"),
        ("sealed:0:abcd", "stripe", "HUB_SECRET_KEY"),
    ],
)
async def test_a_secret_that_cannot_be_used_lets_nobody_in(
    hub: Hooks, id: str, secret: str, signature: str, words: str
) -> None:
    path = await hub.define(UNCHECKED, id, settings={"signature": signature, "secret": secret})
    answer = await hub.send(path, github(BODY, ""))
    assert (answer.status_code, answer.json()["port"]) == (503, "bridge")
    assert words not in answer.text
    seen = await hub.seen(id)
    assert seen["state"] == "failed"
    assert words in seen["last_error"]
    assert await hub.records(id) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "signature"),
        ({"signature": "github"}, "secret"),
        ({"signature": "github", "secret": []}, "secret"),
        ({"signature": "github", "secret": ["env:S", ""]}, "secret"),
        ({"signature": "github", "secret": "in the open"}, "secret"),
        ({"signature": "hmac", "secret": "env:S"}, "header"),
        ({"signature": "github", "secret": "env:S", "header": "X-Mine"}, "header"),
        ({"signature": "none", "secret": "env:S"}, "secret"),
        ({"signature": "none", "tolerance_s": 0}, "tolerance_s"),
        ({"signature": "none", "port": 80}, "port"),
    ],
)
async def test_settings_that_make_no_sense_are_refused(
    hub: Hooks, id: str, settings: dict[str, Any], words: str
) -> None:
    answer = await hub.api.define("bridge", id, type="webhook", source="shop", settings=settings)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


async def test_more_than_the_rate_limit_is_to_come_again(hub: Hooks, id: str) -> None:
    path = await hub.define(STYLES["github"], id, rate_limit=0.01)
    answers = [await hub.send(path, github(BODY, id=f"d-{number}")) for number in range(3)]
    assert [answer.status_code for answer in answers] == [200, 503, 503]
    assert answers[1].json()["port"] == "bridge"
    assert int(answers[1].headers["retry-after"]) >= 1


async def test_a_kafka_that_is_away_is_no_2xx(namespace: str, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        kafka = Kafka(bootstrap=f"127.0.0.1:{unused.getsockname()[1]}", delivery_timeout_s=0.5)
        catalogue = Catalogue()
        spec = {"type": "webhook", "source": "shop", "settings": {"signature": "github", "secret": "env:S"}}
        for offset, (key, value) in enumerate(((b"source/shop", {}), (b"bridge/hook", spec))):
            catalogue.apply(key, json.dumps({"spec": value, "updated_at_ms": 1}).encode(), offset)
        async with running(kafka, namespace, tmp_path, catalogue=catalogue, environ=VARIABLES) as api:
            hub = Hooks(api)
            for body in (BODY, b'{"events": [{"type": "a"}]}'):  # a dead letter waits for Kafka as well
                answer = await hub.send("/webhooks/hook", github(body), body)
                assert (answer.status_code, answer.json()["port"]) == (503, "kafka")
                assert int(answer.headers["retry-after"]) >= 1
            seen = await hub.seen("hook")
            assert (seen["state"], seen["forwarded"], seen["in_flight"]) == ("waiting_for_kafka", 0, 0)
            is_refused(await hub.send("/webhooks/hook", {}), "header")


async def until(api: Running, path: str, q: str, count: int) -> None:
    async with asyncio.timeout(60):
        while (await api.admin.get(f"{path}/count", params={"q": q})).json()["count"] != count:  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.05)


async def test_stored_once_and_what_makes_no_event_is_a_dead_letter_that_comes_back(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    async with opened(kafka, namespace, tmp_path) as hub:
        admin = hub.api.admin
        path = await hub.define(STYLES["github"], "hook")
        with collector(kafka, namespace, tmp_path):
            for _ in range(3):
                await hub.send(path, github(BODY))
            odd = b'{"who": "ann", "n": [2]} and more'
            headers = {**github(odd, id="d-2"), "X-Trace": "t", "Authorization": "Bearer x"}
            for _ in range(2):
                answer = await hub.send(f"{path}?a=b", headers, odd)
                assert answer.status_code == 200
                letter = answer.json()
                assert (letter["taken"], letter["reason"]) == ("dead_letter", "not_json")
            await until(hub.api, "/dead-letters", "status = open", 1)
            found = (await admin.get(f"/dead-letters/{letter['id']}")).json()
            assert (found["body"], found["origin"]) == (odd.decode(), "bridge:hook:hook/d-2")
            assert found["headers"]["x-trace"] == "t"
            assert "authorization" not in found["headers"]
            assert (await admin.get(f"/dead-letters/{letter['id']}/body")).content == odd
            assert (await admin.get("/events/count")).json()["count"] == 1

            names = ("method", "path", "query", "headers")
            event = {"type": "'mended'", "properties": {name: f"meta('{name}')" for name in names}}
            mended = {"format": "text", "profile": "'ann'", "event": event}
            await hub.define(STYLES["github"], "hook", mapping=mended)
            replayed = (await admin.post("/dead-letters/replay", json={"q": ""})).json()
            assert (replayed["sent"], replayed["refused"]) == (1, 0)
            await until(hub.api, "/dead-letters", "status = resolved", 1)
            [stored] = (await admin.get("/events", params={"q": "type = mended"})).json()["items"]
            given = stored["properties"]
            assert (given["method"], given["path"], given["query"]) == ("POST", path, "a=b")
            assert given["headers"]["x-trace"] == "t"
            assert not [name for name in given["headers"] if name.startswith(":")]
            sheet = (await admin.get("/balance", params={"verify": "true"})).json()
            assert sheet["balanced"], sheet
            assert (sheet["totals"]["stored"], sheet["totals"]["duplicate"]) == (2, 2)
