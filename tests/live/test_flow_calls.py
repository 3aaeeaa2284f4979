"""Calls of flows, to real servers: what comes of each, and that nothing that the other side does gets through."""

import asyncio
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bridges.outward.calls import Calls
from hub.flows.effects import Answer, CallHttp
from hub.settings import Flows
from tests.servers import tls

LOOPBACK = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
SECRET = "s3cret-of-the-test"


def ask(url: str, **more: Any) -> CallHttp:
    given: dict[str, Any] = {
        "id": "i",
        "method": "GET",
        "headers": {},
        "secrets": {},
        "body": None,
        "content_type": "",
        "timeout_s": 5.0,
        "attempts": 1,
        "idempotency_key": "",
        "passes": [(200, 299)],
    }
    return CallHttp(url=url, **{**given, **more})


class Server:
    """Answers each path in its own way. Attributes: seen: requests; most: at the same time."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}
        self.now = self.most = 0
        self.go = asyncio.Event()
        self.arrived = asyncio.Event()
        self.url = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append((request.path_qs, dict(request.headers), body))
        match request.path:
            case "/drip":
                response = web.StreamResponse()
                await response.prepare(request)
                while True:
                    await response.write(b" ")
                    await asyncio.sleep(0.02)
            case "/large":
                return web.Response(body=b"x" * 10_000_000)
            case "/bomb":
                packed = gzip.compress(b"0" * 50_000_000)
                return web.Response(body=packed, headers={"Content-Encoding": "gzip"})
            case "/packed":
                packed = zlib.compress(b'{"a": 1}')
                return web.json_response(body=packed, headers={"Content-Encoding": "deflate"})
            case "/odd":
                return web.Response(body=b"x", headers={"Content-Encoding": "br"})
            case "/away":
                return web.Response(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data"})
            case "/text":
                return web.Response(body="grün".encode("latin-1"), content_type="text/plain", charset="latin-1")
            case "/liar":
                return web.Response(body=b"{no json", content_type="application/json")
            case "/echo":
                return web.json_response(dict(request.headers), headers={"X-Back": request.headers["X-Key"]})
            case "/cookie":
                response = web.json_response({})
                response.set_cookie("session", "lets-others-in")
                return response
            case "/wait":
                self.now += 1
                self.most = max(self.most, self.now)
                self.arrived.set()
                await self.go.wait()
                self.now -= 1
                return web.json_response({})
            case "/broken":
                assert request.transport is not None
                request.transport.abort()
        status = self.answers.pop(0) if self.answers else 200
        return web.json_response({"status": status}, status=status, headers=self.headers)


@asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"{'https' if context else 'http'}://{host}:{port}"
    try:
        yield server
    finally:
        server.go.set()
        await runner.cleanup()


@asynccontextmanager
async def calling(clock: Callable[[], float] | None = None, **settings: Any) -> AsyncIterator[Calls]:
    environ = {"THEIR_KEY": SECRET, "TWO_LINES": "a\nb"}
    given = Flows(**{"private_networks": LOOPBACK, **settings})
    calls = Calls(given, environ) if clock is None else Calls(given, environ, clock)
    try:
        yield calls
    finally:
        await calls.close()


async def test_what_is_sent_and_what_comes_back() -> None:
    async with serving() as server, calling() as calls:
        given = ask(
            f"{server.url}/x?a=1%202#part",
            method="POST",
            headers={"X-One": "1"},
            secrets={"Authorization": "THEIR_KEY"},
            body='{"b": 2}',
            content_type="application/json",
            idempotency_key="once",
        )
        answer = await calls.call(given)
        assert (answer.status, answer.body, answer.error) == (200, {"status": 200}, "")
        assert answer.headers["content-type"].startswith("application/json")
        ((path, headers, body),) = server.seen
        assert (path, body) == ("/x?a=1%202", b'{"b": 2}')
        assert (headers["Authorization"], headers["Idempotency-Key"], headers["X-One"]) == (SECRET, "once", "1")
        assert headers["Content-Type"] == "application/json"
        assert (await calls.call(ask(f"{server.url}/text"))).body == "grün"
        assert (await calls.call(ask(f"{server.url}/liar"))).body == "{no json"
        assert (await calls.call(ask(f"{server.url}/packed"))).body == {"a": 1}
        assert (await calls.call(ask(f"{server.url}/packed", method="HEAD"))).body == ""
        # what lets others in is not kept
        assert "set-cookie" not in (await calls.call(ask(f"{server.url}/cookie"))).headers
        await calls.call(ask(f"{server.url}/x"))
        assert "Cookie" not in server.seen[-1][1]


async def test_secrets_are_nowhere_to_be_seen() -> None:
    async with serving() as server, calling() as calls:
        echoed = await calls.call(ask(f"{server.url}/echo", secrets={"X-Key": "THEIR_KEY"}))
        assert server.seen[0][1]["X-Key"] == SECRET
        assert (echoed.body["X-Key"], echoed.headers["x-back"]) == ("***", "***")
        missing = await calls.call(ask(f"{server.url}/x", secrets={"X-Key": "NOBODY_HAS_IT"}))
        assert "NOBODY_HAS_IT" in missing.error
        assert "hub agents" in missing.error
        ours = await calls.call(ask(f"{server.url}/x", secrets={"X-Key": "HUB_ADMIN_KEY"}))
        assert "the hub's own secret" in ours.error
        odd = await calls.call(ask(f"{server.url}/x", secrets={"X-Key": "TWO_LINES"}))
        assert (odd.error, len(server.seen)) == ("headers.X-Key: a line break cannot stand in a header", 1)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:{port}/",
        "http://127.0.0.1:{port}/",
        "http://127.1:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f000001:{port}/",
        "http://0177.0.0.1:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://0.0.0.0:{port}/",
        "http://user:password@127.0.0.1:{port}/",
        "http://127。0。0。1:{port}/",
        "http://127.0.0.1:{port}\\@example.com/",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "http://",
    ],
)
async def test_what_is_not_of_the_public_internet_is_not_connected_to(url: str) -> None:
    async with serving() as server, calling(private_networks=[]) as calls:
        answer = await calls.call(ask(url.format(port=server.url.rpartition(":")[2]), attempts=3))
        assert answer.status == 0
        assert answer.error
        assert not server.seen


async def test_networks_that_may_be_called() -> None:
    async with serving() as server, calling(private_networks=["10.0.0.0/8"]) as calls:
        answer = await calls.call(ask(server.url))
        assert "HUB_FLOWS__PRIVATE_NETWORKS" in answer.error
    async with serving() as server, calling(private_networks=["127.0.0.1/32", "::1/128"]) as calls:
        assert (await calls.call(ask(server.url.replace("127.0.0.1", "localhost")))).status == 200
        assert server.seen[0][1]["Host"].startswith("localhost:")


async def test_a_redirect_is_an_answer() -> None:
    async with serving() as server, calling() as calls:
        answer = await calls.call(ask(f"{server.url}/away"))
        assert (answer.status, answer.headers["location"]) == (302, "http://169.254.169.254/latest/meta-data")
        assert len(server.seen) == 1


async def test_servers_that_take_all_they_can_get() -> None:
    async with serving() as server, calling(answer_bytes=100_000, failures=1) as calls:
        drip = await calls.call(ask(f"{server.url}/drip", timeout_s=0.3))
        assert (drip.status, drip.error) == (0, f"no answer from {server.url} within 0.3 s")
    async with serving() as server, calling(answer_bytes=100_000, failures=1) as calls:
        for path, words in (("large", "larger than 100,000 bytes"), ("bomb", "unpacked"), ("odd", "br is not one of")):
            answer = await calls.call(ask(f"{server.url}/{path}", attempts=3))
            assert answer.status == 0
            assert words in answer.error
        assert [path for path, _, _ in server.seen] == ["/large", "/bomb", "/odd"]  # to ask again would not help
        assert (await calls.call(ask(f"{server.url}/x"))).status == 200  # and the host is not left alone


async def test_it_is_tried_again_while_that_may_help() -> None:
    async with serving() as server, calling() as calls:
        server.answers = [503, 429, 200]
        assert (await calls.call(ask(server.url, attempts=3))).status == 200
        server.answers = [502, 504, 200]
        assert (await calls.call(ask(server.url, attempts=2))).status == 504
        server.answers = [500, 200]
        assert (await calls.call(ask(server.url, attempts=3))).status == 500
        server.answers = [503, 200]
        assert (await calls.call(ask(server.url, attempts=3, passes=[(200, 299), (503, 503)]))).status == 503
        # it wants to be left alone for longer than anybody waits
        server.answers, server.headers = [429, 200], {"Retry-After": "3600"}
        assert (await calls.call(ask(server.url, attempts=3))).status == 429
        asked = len(server.seen)
        broken = await calls.call(ask(f"{server.url}/broken", attempts=2))
        assert (broken.status, len(server.seen)) == (0, asked + 2)
        assert f"no answer from {server.url}" in broken.error


async def test_retry_after_is_waited_for() -> None:
    async with serving() as server, calling() as calls:
        server.answers, server.headers = [429, 200], {"Retry-After": "1"}
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        assert (await calls.call(ask(server.url, attempts=2))).status == 200
        assert loop.time() - began_s >= 1.0


async def test_a_host_that_does_not_answer_is_left_alone_for_a_while() -> None:
    now_s = 0.0

    def clock() -> float:
        return now_s

    async with serving() as server:
        dead, alive = server.url, server
    async with serving() as alive, calling(clock, failures=3, rest_s=10) as calls:
        first = await calls.call(ask(f"{dead}/a", attempts=2))
        assert first.error == f"no answer from {dead}: nobody listens there"
        second = await calls.call(ask(f"{dead}/b", attempts=5))  # the third attempt of all was the last one
        assert second.error == f"{dead} did not answer 3 times in a row: it is left alone for 10.0 s"
        now_s = 9.0
        assert "left alone for 1.0 s" in (await calls.call(ask(dead, attempts=5))).error
        assert (await calls.call(ask(alive.url))).status == 200  # others are none the worse
        now_s = 10.5
        assert "nobody listens" in (await calls.call(ask(dead))).error  # one is let through
        assert "left alone for 10.0 s" in (await calls.call(ask(dead))).error
        # 503 is not the answer of a server that is there; one that is lets everybody through
        alive.answers = [503, 503, 503, 200, 200]
        for _ in range(3):
            assert (await calls.call(ask(alive.url))).status == 503
        assert "left alone" in (await calls.call(ask(alive.url))).error
        now_s = 25.0
        assert [(await calls.call(ask(alive.url))).status for _ in range(2)] == [200, 200]


async def test_while_one_is_let_through_the_others_are_not() -> None:
    now_s = 0.0
    async with serving() as server, calling(lambda: now_s, failures=1, rest_s=10) as calls:
        server.answers = [503]
        await calls.call(ask(server.url))
        now_s = 11.0
        trial = asyncio.create_task(calls.call(ask(f"{server.url}/wait")))
        await server.arrived.wait()
        assert "left alone" in (await calls.call(ask(server.url))).error
        server.go.set()
        assert (await trial).status == 200
        assert (await calls.call(ask(server.url))).status == 200


async def test_a_host_gets_so_many_calls_at_a_time() -> None:
    async with serving() as server, calling(calls_per_host=2) as calls:
        waiting = [asyncio.create_task(calls.call(ask(f"{server.url}/wait"))) for _ in range(6)]
        await server.arrived.wait()
        late = await calls.call(ask(f"{server.url}/x", timeout_s=0.2))
        assert "too many calls are under way" in late.error
        server.go.set()
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [200] * 6
        assert server.most == 2


async def test_tls(tmp_path: Path) -> None:
    tls.make(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    names: list[str | None] = []
    context.sni_callback = lambda _, name, __: names.append(name)  # type: ignore[assignment]
    async with serving(context) as server:
        named = server.url.replace("127.0.0.1", "localhost")
        async with calling(ca_file=tmp_path / "ca.pem") as calls:
            assert (await calls.call(ask(f"{named}/x"))).status == 200
            assert names == ["localhost"]
        async with calling() as calls:
            answer = await calls.call(ask(f"{named}/x", attempts=3))
            assert "is not trusted" in answer.error
            assert "HUB_FLOWS__CA_FILE" in answer.error
        async with calling(ca_file=tmp_path / "none.pem") as calls:
            assert "HUB_FLOWS__CA_FILE" in (await calls.call(ask(f"{named}/x"))).error


async def test_what_is_no_http() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    async with server, calling() as calls:
        host, port = server.sockets[0].getsockname()
        answer = await calls.call(ask(f"http://{host}:{port}/"))
        assert answer == Answer(0, error=answer.error)
        assert "no HTTP" in answer.error


async def test_our_own_client_knows_the_limits_of_the_test() -> None:
    """Else the tests above would be of a server that sends nothing."""
    async with serving() as server, aiohttp.ClientSession() as session:
        assert len(await (await session.get(f"{server.url}/large")).read()) == 10_000_000
