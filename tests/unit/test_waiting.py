"""What is waited for by a process that begins, and what is not, as waiting cannot help."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

import httpx
import pytest

from hub.errors import Refused, Unavailable
from hub.health import serve_health
from hub.log.reaching import Reaching
from hub.settings import Health, Kafka, Store
from hub.stack.ports import free_port
from hub.waiting import open_when_there
from tests.plain_http import NO_TLS

CLOSED: Final = b'{"error": {"type": "security_exception", "reason": "missing credentials"}, "status": 401}'
NO_PORT: Final = Health(port=0)


@contextmanager
def server(status: int, kind: str, body: bytes) -> Iterator[str]:
    """Answers everything so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{serving.server_port}"
        finally:
            serving.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, "application/json", CLOSED), "does not let us in"),
        ((200, "text/html", b"<p>Welcome</p>"), "is no search engine: correct HUB_STORE__URL"),
        ((404, "text/html", b"<p>Not here</p>"), "answers 404"),
    ],
)
def test_who_says_no_is_not_waited_for(answer: tuple[int, str, bytes], words: str) -> None:
    with server(*answer) as place:
        url = Store(url=f"opensearch+http://{place}").located("hub")
        with pytest.raises(Refused, match=words):
            open_when_there(url, NO_PORT)


def test_a_url_that_names_no_store_is_not_waited_for() -> None:
    with pytest.raises(Refused, match="supported"):
        open_when_there("mysql://a/b", NO_PORT)


def test_kafka_that_is_away_or_not_known_is_named() -> None:
    for place, words in [("127.0.0.1:1", "Connection refused"), ("no-such-host.invalid:9092", "Failed to resolve")]:
        with pytest.raises(Unavailable, match=words) as error:
            Reaching(Kafka(bootstrap=place))()
        assert f"{place} (HUB_KAFKA__BOOTSTRAP)" in str(error.value)


def test_options_that_there_cannot_be_are_refused() -> None:
    with pytest.raises(Refused, match="nonsense"):
        Reaching(Kafka(bootstrap="127.0.0.1:1", options={"sasl.nonsense": "x"}))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_api_that_waits_asks_senders_to_come_again(host: str) -> None:
    """404 would tell them that there is no such address."""
    with serve_health(Health(host=host, port=(port := free_port())), lambda: {"ready": False}, elsewhere=503):
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        assert httpx.get(f"{url}/live", verify=NO_TLS).status_code == 200
        answers = [
            httpx.get(f"{url}/ready", verify=NO_TLS),
            httpx.post(f"{url}/track", json={}, verify=NO_TLS),
            httpx.put(f"{url}/definitions/x/y", verify=NO_TLS),
        ]
        assert [(one.status_code, one.headers["Retry-After"]) for one in answers] == [(503, "1")] * 3


def test_a_health_port_that_is_taken_is_named() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as taken:
        port = taken.server_port
        with pytest.raises(Refused, match=f"port {port}"), serve_health(Health(port=port), lambda: {"ready": True}):
            raise AssertionError("it is served")
