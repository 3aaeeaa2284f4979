"""How a hub serves the tracker for pages."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import pytest

from hub.api.tracker import SCRIPT
from hub.settings import Kafka
from tests.live.api import Running, running


@pytest.fixture
async def hub(kafka, namespace, tmp_path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        yield hub


@pytest.mark.parametrize("name", ["tracker.js", "liliput.min.js"])
async def test_a_page_of_any_site_loads_the_tracker(hub, name):
    answer = await hub.public.get(f"/tracker/{name}", headers={"Origin": "https://shop.example"})
    assert (answer.status_code, answer.content) == (200, SCRIPT.read_bytes())
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "max-age=3600" in answer.headers["cache-control"]


async def test_a_browser_loads_it_once(hub):
    first = await hub.public.get("/tracker/tracker.js")
    etag = first.headers["etag"]
    for known in (etag, f'"other", {etag}', "*"):
        again = await hub.public.get("/tracker/tracker.js", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = await hub.public.get("/tracker/tracker.js", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


async def test_it_comes_packed_to_who_can_unpack_it(hub):
    for encoding, packed in [("gzip, br", True), ("identity", False)]:
        async with hub.public.stream("GET", "/tracker/tracker.js", headers={"Accept-Encoding": encoding}) as answer:
            body = b"".join([part async for part in answer.aiter_raw()])
        assert (answer.headers.get("content-encoding") == "gzip") is packed
        assert answer.headers["vary"] == "Accept-Encoding"
        assert (gzip.decompress(body) if packed else body) == SCRIPT.read_bytes()
        assert int(answer.headers["content-length"]) == len(body)


async def test_there_is_nothing_else_beside_it(hub):
    """The source lies in the same folder."""
    for path in ("/tracker/", "/tracker/package.json", "/tracker/src/index.ts", "/tracker/../tracker.py"):
        answer = await hub.public.get(path)
        assert answer.status_code in (401, 404), path
    head = await hub.public.head("/tracker/tracker.js")
    assert (head.status_code, head.content) == (200, b"")
    assert (await hub.public.post("/tracker/tracker.js")).status_code == 405
