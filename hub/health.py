"""The health port of a process that is no API: /live, /ready and /metrics."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import SERVICE_UNAVAILABLE
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from hub.errors import Refused
from hub.settings import Health

SLOW_S: Final = 10.0
"""Who sends nothing for so long is let go: each connection is a thread."""

_told: list[Callable[[], dict[str, Any]]] = []
"""What `serve_health` was given last, while its block runs."""


def state() -> dict[str, Any] | None:
    """What /ready says, whether it is served or not; None: this process has none."""
    return _told[-1]() if _told else None


@contextmanager
def serve_health(health: Health, ready: Callable[[], dict[str, Any]], *, elsewhere: int = 404) -> Iterator[None]:
    """
    Serve while the block runs; with port 0 nobody can ask but `state`.

    Args: ready: a JSON object whose `ready` is true or false; the rest says why. Called on a thread of its own.
    elsewhere: the status of all other paths and methods; 503 asks to come again.

    Raises: Refused: the port cannot be had.
    """
    _told.append(ready)
    try:
        with _served(health, ready, elsewhere):
            yield
    finally:
        _told.remove(ready)


@contextmanager
def _served(health: Health, ready: Callable[[], dict[str, Any]], elsewhere: int) -> Iterator[None]:
    if health.port == 0:
        yield
        return

    class Handler(BaseHTTPRequestHandler):
        timeout = SLOW_S

        def do_GET(self) -> None:
            if self.path == "/live":
                self._answer(200, "application/json", b'{"live": true}')
            elif self.path == "/ready":
                state = ready()
                self._answer(200 if state["ready"] else 503, "application/json", json.dumps(state).encode())
            elif self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
            else:
                self._elsewhere()

        def _elsewhere(self) -> None:
            self._answer(elsewhere, "text/plain", b"try /live, /ready or /metrics\n")

        do_POST = do_PUT = do_DELETE = do_OPTIONS = _elsewhere  # noqa: N815 - http.server's names

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if status == SERVICE_UNAVAILABLE:
                self.send_header("Retry-After", "1")
            try:
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:
                # whoever asked has not waited, as the supervisor does not on a busy machine, and asks again
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """A probe a second is no news."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in health.host else socket.AF_INET
        daemon_threads = True

    try:
        server = Server((health.host, health.port), Handler)
    except OSError as exc:
        raise Refused("health", f"cannot listen on {health.host} port {health.port}: {exc.strerror}") from exc
    thread = Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
