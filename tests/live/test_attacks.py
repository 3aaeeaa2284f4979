"""What somebody does who wants the API to stand still: it goes on for the others, and lets go of whoever does it."""

from __future__ import annotations

import gzip
import json
import re
import secrets
import socket
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import repeat
from typing import Any, Final, NamedTuple

import httpx
import psutil
import pytest

from tests.live.api import ADMIN
from tests.live.test_api_process import api, url_of
from tests.plain_http import NO_TLS
from tests.waiting import wait_for

HEAD: Final = b"POST /track HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
SENT: Final = {"source": "shop", "session": {"id": "s"}, "profile": {"id": "ann"}, "events": [{"type": "view"}]}
MOST: Final = 60
"""Connections."""
ANSWER_S: Final = 30.0
LONG: Final = pytest.mark.long
"""Much like one that is not; `make live` has all."""
MUCH_BYTES: Final = 100_000_000
"""More memory than any of this may cost."""


class Target(NamedTuple):
    """An API process with tight limits. `http`: of the honest ones; `port`: for whoever is not."""

    process: subprocess.Popen[str]
    http: httpx.Client
    port: int

    def connected(self) -> socket.socket:
        """One more connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_S)

    def serves(self) -> None:
        """An honest sender, on a connection of its own, is answered as ever."""
        with httpx.Client(base_url=self.http.base_url, timeout=ANSWER_S, verify=NO_TLS) as honest:
            answer = honest.post("/track", json=SENT)
        assert answer.status_code == 200, answer.text

    def memory(self) -> int:
        """Bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


@pytest.fixture(scope="module")
def target(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    limits = {
        "HUB_API__CONNECTIONS": str(MOST),
        "HUB_API__HEAD_S": "1.5",
        "HUB_API__BODY_S": "1.5",
        "HUB_API__STALLED_S": "1.5",
    }
    with api(kafka, f"t{secrets.token_hex(6)}", tmp_path_factory.mktemp("api"), **limits) as process:
        base = url_of(process)
        said = threading.Thread(target=lambda: [None for _ in process.stdout or ()], daemon=True)
        said.start()  # else the pipe is full some time
        transport = httpx.HTTPTransport(verify=NO_TLS, retries=6)
        with httpx.Client(base_url=base, timeout=ANSWER_S, transport=transport, headers=ADMIN) as http:
            assert http.put("/definitions/source/shop", json={}).status_code == 201
            yield Target(process, http, int(base.rpartition(":")[2]))
        process.terminate()
        assert process.wait(30) == 0
        said.join(10)


def status(answer: bytes) -> int:
    """Of the first answer; 0: none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def rest(connection: socket.socket) -> bytes:
    """All that comes until it is closed."""
    parts = []
    with suppress(ConnectionError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def poured(connection: socket.socket, first: bytes, then: bytes) -> bytes:
    """Send without end; what comes back until it is closed."""
    connection.sendall(first)
    with suppress(ConnectionError):
        for piece in repeat(then, 160_000_000 // len(then)):
            connection.sendall(piece)
        raise AssertionError("all of it was taken")
    return rest(connection)


@contextmanager
def many(target: Target, begin: bytes, count: int = 40) -> Iterator[list[socket.socket]]:
    """Connections on which something has begun."""
    with ExitStack() as stack:
        made = [stack.enter_context(closing(target.connected())) for _ in range(count)]
        for each in made:
            each.sendall(begin)
        yield made


@pytest.mark.parametrize(
    ("begin", "answered"),
    [
        pytest.param(b"", 408, id="silent", marks=LONG),
        pytest.param(HEAD + b"X-A: ", 408, id="head"),
        pytest.param(HEAD + b"Content-Length: 1000\r\n\r\n{", 408, id="body"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", 408, id="chunks", marks=LONG),
        pytest.param(HEAD + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", 100, id="expecting", marks=LONG),
    ],
)
def test_slow_senders_are_let_go_and_hold_nobody_up(target: Target, begin: bytes, answered: int) -> None:
    with many(target, begin) as slow:
        target.serves()
        assert {status(rest(each)) for each in slow} == {answered}
        target.serves()


def test_a_byte_now_and_then_gives_no_more_time(target: Target) -> None:
    with closing(target.connected()) as slow:
        slow.settimeout(0.2)
        slow.sendall(HEAD + b"X-A: ")
        answer = b""
        for _ in range(200):
            try:
                answer = slow.recv(65_536)
                break
            except TimeoutError:
                slow.sendall(b"a")
        assert status(answer) == 408
    assert 'hub_cut_connections_total{why="slow_head"}' in target.http.get("/metrics").text


def test_who_takes_no_answer_is_let_go(target: Target) -> None:
    """Of answers that wait for somebody who reads none."""
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: hub\r\n\r\n" * 200
    with closing(target.connected()) as slow:
        slow.sendall(asked)
        wanted = 'hub_cut_connections_total{why="stalled"}'
        wait_for("it is cut off", lambda: wanted in target.http.get("/metrics").text, 60)
        target.serves()
        assert len(rest(slow)) < 200 * len(target.http.get("/openapi.json").content)


def test_connections_that_only_wait_make_room(target: Target) -> None:
    with many(target, b"", 3 * MOST):
        for _ in range(3):
            target.serves()
    assert 'hub_cut_connections_total{why="evicted"}' in target.http.get("/metrics").text


@pytest.mark.parametrize(
    ("first", "then", "answered"),
    [
        pytest.param(HEAD + b"X-A: ", b"a" * 65_536, {431}, id="a header without end"),
        pytest.param(b"GET /", b"a" * 65_536, {431}, id="a path without end", marks=LONG),
        pytest.param(b"GET /profiles?q=", b"%28" * 20_000, {431}, id="a query without end", marks=LONG),
        pytest.param(HEAD, b"X-A: b\r\n" * 8_000, {431}, id="headers without end", marks=LONG),
        pytest.param(HEAD + b"Content-Length: 99999999999\r\n\r\n", b"a" * 65_536, {413}, id="a body without end"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
            b"10000\r\n" + b"a" * 65_536 + b"\r\n",
            {413},
            id="chunks",
            marks=LONG,
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: ",
            b"a" * 65_536,
            {413, 408},
            id="a trailer without end",
            marks=LONG,
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 8_000, {431}, id="trailers without end"
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;x=",
            b"a" * 65_536,
            {413, 408},
            id="a chunk that explains itself",
            marks=LONG,
        ),
        pytest.param(
            b"POST /profile/select HTTP/1.1\r\nHost: hub\r\n%b: %b\r\nContent-Length: 99999999999\r\n\r\n"
            % tuple(part.encode() for part in next(iter(ADMIN.items()))),
            b" " * 65_536,
            {413, 422},
            id="a body without end, with a key",
        ),
    ],
)
def test_what_has_no_end_is_cut_and_costs_no_memory(
    target: Target, first: bytes, then: bytes, answered: set[int]
) -> None:
    before = target.memory()
    with closing(target.connected()) as endless:
        answer = poured(endless, first, then)
        # whoever sends on while the answer comes may lose it: their system drops it when the connection is closed
        assert status(answer) in answered | {0}
        assert target.memory() < before + MUCH_BYTES
    target.serves()


def test_heads_up_to_the_limit_are_taken(target: Target) -> None:
    assert target.http.get("/live", headers={"X-A": "a" * 60_000}).status_code == 200
    assert target.http.get("/live", headers={f"X-{n}": "a" for n in range(90)}).status_code == 200
    assert target.http.get("/live", headers={"X-A": "a" * 66_000}).status_code == 431
    assert target.http.get("/live", headers={f"X-{n}": "a" for n in range(101)}).status_code == 431


def members(count: int) -> bytes:
    """A gzip file that is made of files."""
    return gzip.compress(b"a" * 1_000_000, 9) * count


@pytest.mark.parametrize(
    ("encoding", "made", "answered"),
    [
        pytest.param("gzip", lambda: gzip.compress(bytes(500_000_000), 1), 413, id="gzip"),
        pytest.param(
            "gzip", lambda: gzip.compress(gzip.compress(bytes(100_000_000))), 422, id="gzip in gzip", marks=LONG
        ),
        pytest.param("gzip", lambda: members(900), 413, id="gzip of many members", marks=LONG),
        pytest.param("gzip", lambda: gzip.compress(b"") * 45_000, 400, id="gzip of empty members"),
        pytest.param("deflate", lambda: zlib.compress(bytes(100_000_000)), 413, id="deflate", marks=LONG),
        pytest.param("gzip, gzip", lambda: gzip.compress(b"{}"), 400, id="twice", marks=LONG),
        pytest.param("br", lambda: b"\x5b\xff\xff\x03\x60\x02\x20\x1e\x0b\x28\xf7\x7e\x00", 400, id="br"),
        pytest.param("zstd", lambda: b"\x28\xb5\x2f\xfd\x04\x00", 400, id="zstd", marks=LONG),
    ],
)
def test_bombs_cost_no_more_than_honest_bodies(
    target: Target, encoding: str, made: Callable[[], bytes], answered: int
) -> None:
    body = made()  # here: as parameters they would be packed by each process that collects this test
    before = target.memory()
    for path in ("/track", "/v1/batch", "/cloudevents", "/definitions/source/bomb"):
        method = "PUT" if path.startswith("/definitions") else "POST"
        answer = target.http.request(method, path, content=body, headers={"Content-Encoding": encoding})
        assert answer.status_code in {answered, 413 if len(body) > 1_048_576 else answered, 401, 400}, (
            path,
            answer.text,
        )
    assert target.memory() < before + MUCH_BYTES
    target.serves()


def deep(levels: int, open: str = "[", close: str = "]") -> bytes:
    return (open * levels + close * levels).encode()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(deep(400_000), id="lists"),
        pytest.param(deep(100_000, '{"a":', "}").replace(b":}", b":1}"), id="objects", marks=LONG),
        pytest.param(b'{"where": ' + deep(300_000) + b"}", id="lists in a member"),
        pytest.param(b'{"a": 1' + b"0" * 900_000 + b"}", id="a number of many digits", marks=LONG),
        pytest.param(b"[" + b"1," * 400_000 + b"1]", id="a long list", marks=LONG),
        pytest.param(b"{" + b",".join(b'"%d":1' % n for n in range(70_000)) + b"}", id="many members", marks=LONG),
    ],
)
def test_json_of_any_shape_is_taken_or_refused_in_words(target: Target, body: bytes) -> None:
    for method, path in (
        ("POST", "/track"),
        ("PUT", "/definitions/source/deep"),
        ("PUT", "/definitions/flow/deep"),
        ("PUT", "/definitions/mapping/deep"),
        ("PUT", "/definitions/segment/deep"),
        ("POST", "/profile/select"),
        ("POST", "/conditions/explain"),
        ("POST", "/segments/preview"),
        ("POST", "/flows/check"),
        ("POST", "/tasks"),
        ("POST", "/imports"),
        ("POST", "/api-keys"),
    ):
        answer = target.http.request(method, path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, (path, answer.text[:300])
        assert answer.is_success or answer.headers["content-type"] == "application/problem+json"
        assert len(answer.content) < 20_000, (path, "an answer is no echo")
    target.serves()


def some(all: Iterable[str], *always: str) -> list[Any]:
    """Parameters, those that are not `always` tried as long ones."""
    return [pytest.param(each, marks=() if each in always else LONG, id=each) for each in all]


QUERIES: Final = {
    "parentheses": "(" * 9_000 + "type = 'a'" + ")" * 9_000,
    "not": "not " * 10_000 + "type = 'a'",
    "and": " and ".join(["type = 'a'"] * 1_500),
    "or": " or ".join(f"properties.a{n} = '{n}'" for n in range(1_000)),
    "a regular expression": "type matches '(a+)+$'",
    "a regular expression that grows": "type matches '((a{1,99}){1,99}){1,99}'",
    "wildcards": "type = '" + "*a" * 12_000 + "'",
    "a long path": "properties." + "a." * 20_000 + "a = 1",
    "a long list": "type in [" + ",".join(["'a'"] * 5_000) + "]",
    "digits": "properties.a = " + "9" * 50_000,
    "quotes": "'" * 19_001,
    "SQL": "type = 'a' union select * from profiles --",
}


@pytest.mark.parametrize(
    "query", some(QUERIES, "parentheses", "a regular expression", "a regular expression that grows")
)
def test_queries_of_any_shape_are_answered_or_refused(target: Target, query: str) -> None:
    for path in ("/events", "/events/count", "/profiles", "/sessions"):
        answer = target.http.get(path, params={"q": QUERIES[query]})
        assert answer.status_code in (200, 404, 414, 422, 431), (path, answer.text[:300])
        assert len(answer.content) < 200_000
    target.serves()


EXPRESSIONS: Final = {
    "brackets": "[" * 30_000,
    "projections": "a" + "[*]" * 20_000,
    "or": "||".join(["a"] * 20_000),
    "not": "!" * 30_000 + "a",
    "parentheses": "(" * 30_000 + "a" + ")" * 30_000,
    "calls": "to_string(" * 10_000 + "a" + ")" * 10_000,
    "literals": "`" + "[" * 30_000 + "]" * 30_000 + "`",
    "dots": ".".join(["a"] * 30_000),
}


@pytest.mark.parametrize("expression", some(EXPRESSIONS, "brackets", "projections"))
def test_expressions_of_any_shape_are_taken_or_refused(target: Target, expression: str) -> None:
    text = EXPRESSIONS[expression]
    definitions: list[tuple[str, dict[str, Any]]] = [
        ("mapping", {"events": [{"type": "view"}], "profile": {"id": text}}),
        ("segment", {"name": "x", "condition": text}),
        ("event-validation", {"event_type": "view", "schema": {"type": "object"}, "condition": text}),
    ]
    for kind, spec in definitions:
        answer = target.http.put(f"/definitions/{kind}/bomb", json=spec)
        assert answer.status_code < 500, (kind, answer.text[:300])
        if answer.is_success:
            target.http.delete(f"/definitions/{kind}/bomb")
    target.serves()


SMUGGLED: Final = b"GET /profiles HTTP/1.1\r\nHost: hub\r\n\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
SHAPES: Final = {
    "two lengths": HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
    "the same length twice": HEAD + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": HEAD + b"Content-Length: 4, 4\r\n\r\nabcd",
    "a length with a sign": HEAD + b"Content-Length: +4\r\n\r\nabcd",
    "a negative length": HEAD + b"Content-Length: -4\r\n\r\nabcd",
    "a length in hex": HEAD + b"Content-Length: 0x4\r\n\r\nabcd",
    "a length beyond 64 bits": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nabcd",
    "a length and chunks": HEAD + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "chunks and a length": HEAD + CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "nearly chunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked, then not": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked, then another header": HEAD + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked behind a tabulator": HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a space before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a folded header": HEAD + b"X-A: a\r\n Transfer-Encoding: chunked\r\n\r\n",
    "lines that end in LF": HEAD.replace(b"\r\n", b"\n") + b"\n" + SMUGGLED,
    "a lone CR": HEAD + b"X-A: a\rX-B: b\r\n\r\n" + SMUGGLED,
    "NUL in a header": HEAD + b"X-A: a\0b\r\n\r\n",
    "LF in what explains a chunk": HEAD + CHUNKED + b"\r\n1;a\nb\r\nx\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk of negative size": HEAD + CHUNKED + b"\r\n-1\r\nx\r\n0\r\n\r\n",
    "a chunk size with 0x": HEAD + CHUNKED + b"\r\n0x1\r\nx\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": HEAD + CHUNKED + b"\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n",
    "a chunk longer than it says": HEAD + CHUNKED + b"\r\n1\r\nxy0\r\n\r\n" + SMUGGLED,
    "bytes that are no ASCII in the path": b"GET /\xff HTTP/1.1\r\nHost: hub\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 100,
    "a proxy's CONNECT": b"CONNECT hub:22 HTTP/1.1\r\nHost: hub\r\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_request_is_hidden_in_another(target: Target, shape: str) -> None:
    """One answer, 400, and the connection is over: so nothing of it is taken for a request of its own."""
    with closing(target.connected()) as sly:
        sly.sendall(SHAPES[shape])
        answer = rest(sly)
    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"application/problem+json" in answer


def answered(target: Target, *pieces: bytes) -> list[int]:
    """The status of each answer to what is sent piece by piece; the last one asks for the end."""
    with closing(target.connected()) as connection:
        for piece in (*pieces, b"GET /live HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n"):
            connection.sendall(piece)
            target.http.get("/live")  # so that the next one is a packet of its own
        return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+) ", rest(connection))]


def test_a_trailer_is_no_header(target: Target) -> None:
    """Who is in front of the hub has not looked at it."""
    name, value = next(iter(ADMIN.items()))
    asked = b"GET /profiles HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    assert answered(target, asked + f"{name}: {value}\r\n\r\n".encode()) == [401, 200]


def test_the_offer_of_another_protocol_hides_nothing(target: Target) -> None:
    """The body of such a request is one, in whichever pieces it comes; clients that offer HTTP/2 may send events."""
    offer = HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    hidden = offer + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED)
    assert answered(target, hidden + SMUGGLED) == [422, 200]
    assert answered(target, hidden, SMUGGLED) == [422, 200]
    body = json.dumps(SENT).encode()
    assert answered(target, offer + b"Content-Length: %d\r\n\r\n" % len(body), body) == [200, 200]
