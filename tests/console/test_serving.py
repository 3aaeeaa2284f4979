"""What the hub serves at /console, and its session: without a browser, so in every run."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import httpx
import pytest

from hub.api.console import DIST, NONCE
from hub.settings import Kafka
from tests.live.api import ADMIN, KEY, Running, running

CONSOLE: Final = {"Hub-Console": "1"}
MOST_LOADED: Final = 300_000
MOST_BYTES: Final = 1_000_000


@pytest.fixture
async def hub(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        yield hub


def test_what_a_browser_loads_first_is_small() -> None:
    """index.html and what it names, with gzip; and no file of all is larger than a megabyte."""
    index = (DIST / "index.html").read_text()
    named = re.findall(r'(?:src|href)="/console/(assets/[^"]+)"', index)
    assert any(name.endswith(".js") for name in named)
    assert any(name.endswith(".css") for name in named)
    assert sum(len(gzip.compress((DIST / name).read_bytes())) for name in named) < MOST_LOADED
    assert all(file.stat().st_size < MOST_BYTES for file in DIST.rglob("*") if file.is_file())
    assert list(DIST.rglob("*.map")) == []
    # nothing in the page itself that its policy would not let run
    assert re.search(r"<script(?![^>]* src=)|<style| on\w+=", index) is None
    assert NONCE.decode() in index


async def test_every_address_below_it_is_the_page_and_each_answer_has_a_nonce_of_its_own(hub: Running) -> None:
    nonces = set()
    for path in ("/console", "/console/", "/console/events/01?x=1", "/console/../console/flows"):
        answer = await hub.public.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        policy = answer.headers["content-security-policy"]
        (nonce,) = re.findall(r"'nonce-([\w-]+)'", policy)
        assert f'nonce="{nonce}"' in answer.text
        nonces.add(nonce)
        assert NONCE.decode() not in answer.text
        assert policy.replace(f" 'nonce-{nonce}'", "") == (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
            "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
        assert (answer.headers["x-content-type-options"], answer.headers["referrer-policy"]) == (
            "nosniff",
            "no-referrer",
        )
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert len(nonces) == 4
    assert (await hub.public.post("/console/events")).status_code == 405


async def test_the_address_of_the_hub_alone_leads_to_the_console(hub: Running) -> None:
    answer = await hub.public.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "console")
    assert str((await hub.public.get("/", follow_redirects=True)).url).endswith("/console")
    assert (await hub.public.post("/")).status_code == 401


async def test_assets_are_kept_by_the_browser_and_nothing_else_is_given_out(hub: Running) -> None:
    for file in (DIST / "assets").iterdir():
        answer = await hub.public.get(f"/console/assets/{file.name}")
        assert answer.content == file.read_bytes()
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        again = {"If-None-Match": answer.headers["etag"]}
        assert (await hub.public.get(f"/console/assets/{file.name}", headers=again)).status_code == 304
        if file.suffix in (".js", ".css"):
            assert answer.headers["content-encoding"] == "gzip"
            plain = await hub.public.get(f"/console/assets/{file.name}", headers={"Accept-Encoding": "identity"})
            assert (plain.content, "content-encoding" in plain.headers) == (file.read_bytes(), False)
    for name in ("none.js", "..%2findex.html", "%2e%2e/%2e%2e/package.json", ""):
        assert (await hub.public.get(f"/console/assets/{name}")).status_code in (200, 404)
        assert "hub-console" not in (await hub.public.get(f"/console/assets/{name}")).text


async def test_a_session_opens_what_its_key_opens_to_the_console_only(hub: Running) -> None:
    nobody = await hub.public.get("/console/session", headers=CONSOLE)
    assert (nobody.status_code, nobody.content) == (204, b"")
    begun = await _log_in(hub, KEY)
    assert begun.json() == {
        "key": "@admin",
        "name": "the admin key",
        "roles": ["admin"],
        "namespace": hub.namespace,
        "version": begun.json()["version"],
    }
    cookie = begun.headers["set-cookie"]
    assert cookie.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert KEY not in cookie
    own = {"Cookie": cookie.split(";")[0]}
    assert (await hub.public.get("/profiles", headers=own | CONSOLE)).status_code == 200
    assert (await hub.public.get("/console/session", headers=own | CONSOLE)).json() == begun.json()
    # what a form, an image or a script of another site can send
    for forged in ({}, {"Hub-Console": ""}, {"Hub-Console": "0"}, {"Origin": "https://evil.example"}):
        assert (await hub.public.get("/profiles", headers=own | forged)).status_code == 401
        assert (await hub.public.put("/definitions/source/x", json={}, headers=own | forged)).status_code == 401
        assert (await hub.public.request("DELETE", "/console/session", headers=own | forged)).status_code == 403
        assert (await hub.public.post("/console/session", json={"key": KEY}, headers=forged)).status_code == 403
    # nor is a browser told that it may
    for path in ("/profiles", "/console/session"):
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Headers": "hub-console"}
        answer = await hub.public.options(path, headers=asked | {"Access-Control-Request-Method": "GET"})
        assert not any(name.startswith("access-control") for name in answer.headers)
    # a key that is sent counts, also one that is wrong
    wrong = own | CONSOLE | {"Authorization": "Bearer wrong"}
    assert (await hub.public.get("/profiles", headers=wrong)).status_code == 401
    # another one's cookie
    spoiled = {"Cookie": own["Cookie"][:-4] + "AAA="}
    assert (await hub.public.get("/profiles", headers=spoiled | CONSOLE)).status_code == 401
    over = await hub.public.delete("/console/session", headers=own | CONSOLE)
    assert over.status_code == 204
    assert over.headers["set-cookie"].endswith("=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")


async def test_a_session_does_as_its_key_and_ends_with_it(hub: Running) -> None:
    made = await hub.admin.post("/api-keys", json={"id": "reader", "name": "Reader", "roles": ["read"]})
    begun = await _log_in(hub, made.json()["key"])
    assert (begun.json()["key"], begun.json()["roles"]) == ("reader", ["read"])
    own = {"Cookie": begun.headers["set-cookie"].split(";")[0], **CONSOLE}
    assert (await hub.public.get("/profiles", headers=own)).status_code == 200
    assert (await hub.public.put("/definitions/source/x", json={}, headers=own)).status_code == 403
    admin = {"Cookie": (await _log_in(hub, KEY)).headers["set-cookie"].split(";")[0], **CONSOLE}
    assert (await hub.public.put("/definitions/source/x", json={}, headers=admin)).status_code == 201
    assert (await hub.admin.delete("/api-keys/reader")).is_success
    assert (await hub.public.get("/profiles", headers=own)).status_code == 401
    assert (await hub.public.get("/console/session", headers=own)).status_code == 401


async def test_behind_tls_the_cookie_does_not_go_without_it(hub: Running) -> None:
    begun = await _log_in(hub, KEY, {"Origin": "https://hub.example"})
    assert begun.headers["set-cookie"].endswith("; SameSite=Strict; Secure")


async def test_what_is_no_login_is_refused_in_words(hub: Running) -> None:
    for body, status in (
        (b'{"key": "wrong"}', 401),
        (b'{"key": ""}', 401),
        (b'{"key": 1}', 422),
        (b"key=1", 422),
        (b"\xff", 422),
        (b'{"key": "' + b"x" * 5_000 + b'"}', 413),
    ):
        answer = await hub.public.post("/console/session", content=body, headers=CONSOLE)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert "set-cookie" not in answer.headers
    assert (await hub.public.put("/console/session", headers=CONSOLE | ADMIN)).status_code == 405


async def _log_in(hub: Running, key: str, more: Mapping[str, str] | None = None) -> httpx.Response:
    answer = await hub.public.post("/console/session", json={"key": key}, headers={**CONSOLE, **(more or {})})
    assert answer.status_code == 200, answer.text
    return answer
