"""/collect, /redirect, /customer/consent and PUT /track; and what an event source says about what may come."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from hub.definitions.catalogue import Catalogue
from hub.ids import derived
from hub.settings import Kafka
from tests.live.api import Running, running
from tests.live.collector import collector

PAGE = "https://shop.example/spring?from=mail#top"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def hub(kafka, namespace, tmp_path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        await hub.define("source", "shop", type=["rest", "webhook", "redirect"], channel="web")
        yield hub


def is_problem(response: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    assert (body["status"], body["reason"]) == (status, reason)
    return body


async def events(hub: Running) -> list[dict[str, Any]]:
    """Of the log, each with what it shares with its record."""
    return [
        {
            **event,
            "properties": json.loads(event["properties"]),
            "profile": record["profile_id"],
            "session": record["body"][1]["session_id"],
            "origin": record["origin"],
            "request": json.loads(record["body"][1]["request"]),
        }
        for record in await hub.records()
        for event in record["body"][1]["events"]
    ]


async def outcomes(hub: Running, outcome: str) -> float:
    found = re.search(
        rf'^hub_redirects_total{{outcome="{outcome}"}} (\S+)', (await hub.public.get("/metrics")).text, re.MULTILINE
    )
    return float(found[1]) if found else 0.0


async def test_pages_of_other_sites_may_not_send_where_a_source_names_its_own(hub):
    await hub.define("source", "page", type=["rest", "webhook"], allowed_origins=["https://shop.example"])
    await hub.define("consent-type", "mails")
    payload = {"source": {"id": "page"}, "profile": {"id": "p"}, "events": [{"type": "a"}]}
    consent = {"source": {"id": "page"}, "session": {"id": "s"}, "profile": {"id": "p"}, "consents": {"mails": True}}
    for path, body in [("/track", payload), ("/collect/a/page", {}), ("/customer/consent", consent)]:
        other = await hub.public.post(path, json=body, headers={"Origin": "https://evil.example"})
        assert is_problem(other, 403, "origin_not_allowed")["where"] == "Origin"
    assert await events(hub) == []
    for headers in ({"Origin": "https://Shop.example"}, {}):
        assert (await hub.public.post("/track", json=payload, headers=headers)).status_code == 200
        assert (await hub.public.post("/collect/a/page", json={}, headers=headers)).status_code == 200
    assert len(await events(hub)) == 4


async def eventually(hub: Running, path: str, holds: Any) -> Any:
    """What the store has at `path`, once `holds` of it."""
    async with asyncio.timeout(30):
        while True:
            answer = await hub.admin.get(path)
            if answer.is_success and holds(answer.json()):
                return answer.json()
            await asyncio.sleep(0.05)


async def test_a_webhooks_body_becomes_the_properties_of_an_event(hub):
    post, sent = hub.public.post, {"a": 1, "b": ["x"]}
    for content, headers, expected in [
        (json.dumps(sent), {"Content-Type": "application/json; charset=utf-8"}, sent),
        (json.dumps(sent), {"Content-Type": "text/plain;charset=UTF-8"}, sent),
        (gzip.compress(json.dumps(sent).encode()), {"Content-Encoding": "gzip"}, sent),
        ("a=1&b=x&b=y+z&c=", FORM, {"a": "1", "b": ["x", "y z"], "c": ""}),
        ("hello {there}", {"Content-Type": "text/plain"}, {"text": "hello {there}"}),
        (b"", {}, {}),
    ]:
        answer = await post("/collect/Form Sent/shop", content=content, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["profile"] == answer.json()["session"] == {"id": None}
        found = next(
            event for event in await events(hub) if event["id"] == derived("event", answer.json()["task"], "0")
        )
        assert (found["type"], found["properties"]) == ("form-sent", expected)
        assert (found["profile"], found["session"], found["origin"]) == ("", None, "collect")
    parts = await post("/collect/form-sent/shop", data={"a": "1"}, files={"b": (None, "ä")})
    assert parts.status_code == 200
    assert [event for event in await events(hub) if event["properties"] == {"a": "1", "b": "ä"}]


async def test_a_body_that_cannot_be_read_is_refused_and_not_emptied(hub):
    """The predecessor took it for `{}`, and the data were gone."""
    await hub.define("source", "pages")
    for path, content, headers, status, reason in [
        ("/collect/sent/shop", b'{"a": ', {}, 422, "not_json"),
        ("/collect/sent/shop", b"[1]", {}, 422, "not_json"),
        ("/collect/sent/shop", b"{oh", {"Content-Type": "text/plain"}, 422, "not_json"),
        ("/collect/sent/shop", b"\xff", {"Content-Type": "text/plain"}, 422, "wrong_type"),
        ("/collect/sent/shop", b"<a/>", {"Content-Type": "application/xml"}, 422, "wrong_type"),
        ("/collect/sent/shop", b"a=%00", FORM, 422, "nul_character"),
        ("/collect/sent/nobody", b"{}", {}, 401, "unknown_source"),
        ("/collect/sent/pages", b"{}", {}, 401, "source_type"),
        ("/collect/sent", b"{}", {}, 404, "not_found"),
        ("/collect/sent/shop/s/more", b"{}", {}, 404, "not_found"),
    ]:
        answer = await hub.public.post(path, content=content, headers=headers)
        is_problem(answer, status, reason)
        assert answer.headers["access-control-allow-origin"] == "*"
    is_problem(await hub.public.put("/collect/sent/shop", content=b"{}"), 405, "method_not_allowed")
    assert await events(hub) == []
    rows = (await hub.admin.get("/balance")).json()["refused"]["rows"]
    assert sum(row["payloads"] for row in rows if row["source"] == "shop") == 6


async def test_a_pixel_counts_and_is_an_image(hub):
    by_accept = await hub.public.get(
        "/collect/opened/shop?mail=1&tag=a&tag=b", headers={"Accept": "image/avif,image/webp,*/*;q=0.8"}
    )
    by_name = await hub.public.get("/collect/opened/shop/s1.gif?mail=2")
    for answer in (by_accept, by_name):
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
        assert answer.content.startswith(b"GIF89a")
        assert answer.headers["cache-control"] == "no-store"
    assert (await hub.public.get("/collect/opened/shop?mail=3")).json()["profile"] == {"id": None}
    found = sorted(await events(hub), key=lambda event: event["properties"]["mail"])
    assert [event["properties"] for event in found] == [{"mail": "1", "tag": ["a", "b"]}, {"mail": "2"}, {"mail": "3"}]
    assert [event["session"] for event in found] == [None, "s1", None]


async def test_with_a_session_there_is_a_profile(hub):
    answers = [
        await hub.public.post("/collect/seen/shop/s%207", json={"n": 1}),
        await hub.public.get("/collect/seen/shop/s%207?n=2"),
    ]
    profile = derived("session", "s 7")
    assert [answer.json()["profile"]["id"] for answer in answers] == [profile] * 2
    assert {(event["profile"], event["session"]) for event in await events(hub)} == {(profile, "s 7")}


async def test_a_link_sends_an_event_and_then_the_person(hub):
    saved = await hub.define(
        "redirect",
        "spring",
        url=PAGE,
        source="shop",
        event_type="link-clicked",
        properties={"mail": "params.m", "sum": "number(body.sum)", "link": "'spring'", "session": "session.id"},
    )
    assert saved.status_code == 201, saved.text
    for method, path, status, body, session, said in [
        ("GET", "/redirect/spring?m=7", 307, None, None, {"mail": "7"}),
        ("GET", "/redirect/spring/s1?m=8", 307, None, "s1", {"mail": "8"}),
        ("POST", "/redirect/spring?m=9", 303, {"sum": "2.5"}, "from-cookie", {"mail": "9", "sum": 2.5}),
        ("PUT", "/redirect/spring/s2", 303, {}, "s2", {}),
        ("DELETE", "/redirect/spring/s3", 303, None, "s3", {}),
    ]:
        cookie = {"Cookie": "a=b; tracardi-session-id=from-cookie"} if session == "from-cookie" else {}
        answer = await hub.public.request(method, path, headers=cookie, json=body)
        assert (answer.status_code, answer.headers["location"]) == (status, PAGE)
        assert answer.headers["cache-control"] == "no-store"
        (found,) = [event for event in await events(hub) if event["session"] == session]
        assert found["type"] == "link-clicked"
        assert found["properties"] == {**said, "link": "spring", **({"session": session} if session else {})}
        assert found["profile"] == (derived("session", session) if session else "")
        assert (found["origin"], found["request"]["redirect"]) == ("redirect", "spring")
    is_problem(await hub.public.get("/redirect/nowhere"), 404, "not_found")
    await hub.define("redirect", "spring", url=PAGE, source="shop", event_type="x", enabled=False)
    is_problem(await hub.public.get("/redirect/spring"), 404, "not_found")


async def test_a_person_is_redirected_even_when_the_event_cannot_be_taken(hub):
    await hub.define("redirect", "bad", url=PAGE, source="shop", event_type="x", properties={"n": "number(params.n)"})
    await hub.define("redirect", "lost", url=PAGE, source="nobody", event_type="x")
    before = await outcomes(hub, "refused")
    for method, path, content in [
        ("GET", "/redirect/bad?n=many", None),
        ("GET", "/redirect/bad/%01", None),
        ("GET", "/redirect/lost", None),
        ("POST", "/redirect/bad", b"{"),
        ("POST", "/redirect/bad", b" " * 2_000_000),
    ]:
        answer = await hub.public.request(method, path, content=content)
        assert answer.headers["location"] == PAGE, (path, answer.text)
    assert await outcomes(hub, "refused") == before + 5
    assert await events(hub) == []
    refused = (await hub.admin.get("/balance")).json()["refused"]["by_reason"]
    assert refused == {"mapping_failed": 1, "bad_id": 1, "unknown_source": 1, "not_json": 1, "body_too_large": 1}


@pytest.mark.slow
async def test_a_person_does_not_wait_for_a_kafka_that_is_away(namespace, tmp_path):
    catalogue = Catalogue()
    for offset, (key, spec) in enumerate(
        {
            "source/shop": {"type": ["redirect"]},
            "redirect/spring": {"url": PAGE, "source": "shop", "event_type": "x"},
        }.items()
    ):
        catalogue.apply(key.encode(), json.dumps({"spec": spec, "updated_at_ms": 1}).encode(), offset)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        kafka = Kafka(bootstrap=f"127.0.0.1:{unused.getsockname()[1]}", delivery_timeout_s=60)
        async with running(kafka, namespace, tmp_path, catalogue=catalogue) as hub:
            answer = await hub.public.get("/redirect/spring")  # the client's patience is far below what Kafka is given
            assert answer.headers["location"] == PAGE
            assert await outcomes(hub, "late") >= 1


async def test_programs_that_look_at_links_do_not_count(hub):
    await hub.define("redirect", "spring", url=PAGE, source="shop", event_type="x")
    for method, headers in [
        ("HEAD", {}),
        ("GET", {"User-Agent": "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"}),
        ("GET", {"User-Agent": "Mozilla/5.0 (X11) BingPreview/1.0b"}),
        ("GET", {"Sec-Purpose": "prefetch;prerender"}),
    ]:
        answer = await hub.public.request(method, "/redirect/spring", headers=headers)
        assert (answer.status_code, answer.headers["location"]) == (307, PAGE)
    assert await events(hub) == []
    person = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    await hub.public.get("/redirect/spring", headers=person)
    assert len(await events(hub)) == 1


async def test_a_redirect_that_cannot_work_is_refused_when_it_is_saved(hub):
    for wrong in [
        {"url": "javascript:alert(1)"},
        {"url": "https://a.example/\r\nSet-Cookie: a=b"},
        {"properties": {"a": "params.("}},
        {"properties": {"a": "nothing(params)"}},
    ]:
        spec = {"url": PAGE, "source": "shop", "event_type": "x", **wrong}
        assert (await hub.define("redirect", "r", **spec)).status_code == 422, wrong


async def test_consents_need_a_session_of_the_profile(hub, kafka, namespace, tmp_path):
    await hub.define("consent-type", "mail", revokable=True, auto_revoke="1w2d")
    await hub.define("consent-type", "calls")
    await hub.define("consent-type", "old", enabled=False)
    assert (await hub.define("consent-type", "x", revokable=True)).status_code == 422

    def asked(session: str, profile: str, consents: Any = None) -> dict[str, Any]:
        ids = {"source": {"id": "shop"}, "session": {"id": session}, "profile": {"id": profile}}
        return ids if consents is None else {**ids, "consents": consents}

    with collector(kafka, namespace, tmp_path):
        for profile in ("ann", "bob"):
            seen = {"source": "shop", "session": {"id": f"{profile}-s"}, "profile": {"id": profile}}
            await hub.public.post("/track", json={**seen, "events": [{"type": "page-view"}]})
            await eventually(hub, f"/sessions/{profile}-s", lambda _: True)
        post = hub.public.post
        given = await post("/customer/consent", json=asked("ann-s", "ann", {"mail": True, "calls": False}))
        assert (given.status_code, given.json()["profile"]) == (200, {"id": "ann"})
        for body, status, reason in [
            (asked("bob-s", "ann", {"mail": True}), 403, "not_their_session"),
            (asked("none", "ann", {"mail": True}), 403, "not_their_session"),
            (asked("ann-s", "nobody", {"mail": True}), 403, "not_their_session"),
            (asked("ann-s", "ann", {"old": True}), 422, "unknown_consent"),
            (asked("ann-s", "ann", {"mail": "yes"}), 422, "wrong_type"),
            (asked("ann-s", "ann"), 422, "missing_field"),
            ({**asked("ann-s", "ann", {}), "source": {"id": "nobody"}}, 401, "unknown_source"),
        ]:
            is_problem(await post("/customer/consent", json=body), status, reason)
        found = await eventually(hub, "/profiles/ann", lambda profile: profile["consents"])
        consents = found["consents"]
        assert consents["calls"] == {"granted": False, "revoke": None}
        assert consents["mail"]["granted"]
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", consents["mail"]["revoke"])
        assert (await post("/customer/consent?all=true", json=asked("bob-s", "bob"))).status_code == 200
        bob = await eventually(hub, "/profiles/bob", lambda profile: profile["consents"])
        assert {id for id, consent in bob["consents"].items() if consent["granted"]} == {"mail", "calls"}
        # the hub's channels and ephemeral sources, while a collector is here
        session = (await hub.admin.get("/sessions/ann-s")).json()
        assert session["metadata"]["channel"] == "web"
        event = (await hub.admin.get("/events", params={"q": 'type = "page-view"'})).json()["items"][0]
        assert event["metadata"]["channel"] == "web"
        await hub.define("source", "fleeting", type=["rest"], transitional=True)
        sent = {"source": "fleeting", "session": {"id": "cy-s"}, "profile": {"id": "cy"}, "events": [{"type": "seen"}]}
        assert (await post("/track", json=sent)).status_code == 200
        cy = await eventually(hub, "/profiles/cy", lambda _: True)
        assert cy["stats"]["events"] == 1
        assert (await hub.admin.get("/sessions/cy-s")).status_code == 404
        assert (await hub.admin.get("/events/count", params={"q": 'profile.id = "cy"'})).json() == {"count": 0}
        balance = (await hub.admin.get("/balance?verify=true")).json()
        assert balance["balanced"], balance["causes"]
        assert balance["totals"]["dropped"] == 1


async def test_put_is_post(hub):
    sent = {"source": "shop", "profile": {"id": "ann"}, "events": [{"type": "seen"}]}
    answer = await hub.public.put("/track", content=json.dumps(sent), headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["profile"]) == (200, {"id": "ann"})
    assert len(await events(hub)) == 1


async def test_a_source_that_sends_too_fast_is_told_when_to_come_again(hub):
    await hub.define("source", "slow", type=["rest", "webhook"], rate_limit=0.01, write_keys=["wk"])
    sent = {"source": "slow", "events": [{"type": "a"}, {"type": "b"}]}
    assert (await hub.public.post("/track", json=sent)).status_code == 200, "a payload cannot be cut"
    for answer in [
        await hub.public.post("/track", json=sent),
        await hub.public.post("/collect/a/slow", json={}),
        await hub.public.post("/v1/track", json={"event": "a", "userId": "ann", "writeKey": "wk"}),
    ]:
        problem = is_problem(answer, 429, "rate_limited")
        assert problem["limit"] == {"name": "source.rate_limit", "value": 0.01}
        assert 190 <= int(answer.headers["retry-after"]) <= 200, "two events have to be paid off"
    assert (await hub.public.post("/collect/a/shop", json={})).status_code == 200, "others are not held up"
    assert len(await events(hub)) == 3
    await hub.define("source", "slow", rate_limit=0)
    assert (await hub.public.post("/track", json=sent)).status_code == 200


async def test_a_source_with_a_smaller_body(hub):
    await hub.define("source", "small", type=["rest", "webhook"], body_bytes=120)
    sent = {"source": "small", "events": [{"type": "a", "properties": {"x": "y" * 100}}]}
    for answer in [
        await hub.public.post(
            "/track", content=gzip.compress(json.dumps(sent).encode()), headers={"Content-Encoding": "gzip"}
        ),
        await hub.public.post("/collect/a/small", json={"x": "y" * 120}),
    ]:
        limit = is_problem(answer, 413, "body_too_large")["limit"]
        assert limit == {"name": "source.body_bytes", "value": 120}
    sent["events"] = [{"type": "a"}]
    assert (await hub.public.post("/track", json=sent)).status_code == 200


async def test_a_source_with_permanent_ids_wants_to_be_told_them(hub):
    await hub.define("source", "crm", type=["rest"], permanent_profile_id=True)
    sent: dict[str, Any] = {"source": "crm", "session": {"id": "s"}, "events": [{"type": "a"}]}
    assert is_problem(await hub.public.post("/track", json=sent), 422, "missing_field")["where"] == "profile.id"
    answer = await hub.public.post("/track", json={**sent, "profile": {"id": "p-1"}})
    assert answer.json()["profile"] == {"id": "p-1"}
