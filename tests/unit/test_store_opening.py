"""What a collector makes of a store that answers and is none of ours: it does not wait for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

import pytest

from hub.collector.opening import open_when_there
from hub.errors import Refused
from hub.settings import Health, Store

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
            open_when_there(url, NO_PORT, threading.Event())


def test_a_url_that_names_no_store_is_not_waited_for() -> None:
    with pytest.raises(Refused, match="supported"):
        open_when_there("mysql://a/b", NO_PORT, threading.Event())


def test_who_is_to_stop_does_not_wait() -> None:
    stop = threading.Event()
    stop.set()
    assert open_when_there(Store(url="opensearch+http://127.0.0.1:1").located("hub"), NO_PORT, stop) is None
