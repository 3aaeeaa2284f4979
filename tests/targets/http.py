"""An HTTP server on a thread of its own, which keeps every request and answers what it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from hub.stack import ports
from tests.sources import World
from tests.targets import Arrived, Open, Sink

NOWHERE: Final = "http://127.0.0.1:1/in"


class Received(NamedTuple):
    """A request. `headers`: by name in lower case."""

    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """What it is answered."""

    status: int = 204
    headers: Mapping[str, str] = {}
    body: bytes = b""


Decide: TypeAlias = Callable[[Received], Answer]


class HttpServer:
    """
    Attributes:
        requests: All that came, taken or not.
        taken: Those that were answered with 2xx.
        decide: What to answer; may be changed at any time.
    """

    def __init__(self, decide: Decide = lambda _: Answer(), port: int = 0) -> None:
        """Listens at once."""
        self.requests: list[Received] = []
        self.taken: list[Received] = []
        self.decide = decide
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received = Received({name.lower(): value for name, value in self.headers.items()}, body)
                outer.requests.append(received)
                answer = outer.decide(received)
                if 200 <= answer.status < 300:
                    outer.taken.append(received)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a client that breaks off is what some tests are about

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/in"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def server(decide: Decide = lambda _: Answer(), port: int = 0) -> Iterator[HttpServer]:
    made = HttpServer(decide, port)
    try:
        yield made
    finally:
        made.close()


class HttpSink:
    """See Sink."""

    kind = "http"
    exactly_once = False

    def __init__(self, made: HttpServer, batch: str) -> None:
        self._server = made
        settings = {"url": made.url, "batch": batch, "most": 7}
        self.definition: dict[str, Any] = {"settings": settings}
        self.away = {**settings, "url": f"http://127.0.0.1:{ports.free_port()}/in"}

    def arrived(self) -> Sequence[Arrived]:
        found = []
        for received in list(self._server.taken):
            contents = _contents(received)
            if "hub-event-id" in received.headers:
                assert [content["id"] for content in contents] == [received.headers["hub-event-id"]]
            found += [Arrived(content["id"], content) for content in contents]
        return found


def _contents(received: Received) -> list[Any]:
    if received.headers["content-type"] == "application/x-ndjson":
        return [msgspec.json.decode(line) for line in received.body.splitlines()]
    content = msgspec.json.decode(received.body)
    return content if isinstance(content, list) else [content]


def _way(batch: str) -> Open:
    @contextmanager
    def way(_: World) -> Iterator[Sink]:
        with server() as made:
            yield HttpSink(made, batch)

    return way


WAYS: Final[dict[str, Open]] = {"": _way("single"), "array": _way("array"), "lines": _way("lines")}
