"""What container engines ask a process: is it alive, is it ready?"""

from __future__ import annotations

import http.server
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from hub import probe
from hub.health import serve_health
from hub.settings import Health
from hub.stack.ports import free_port
from tests.servers import tls


def test_a_process_with_a_health_port(capsys: pytest.CaptureFixture[str]) -> None:
    state = {"ready": True}
    port = free_port()
    environ = {"HUB_HEALTH__PORT": str(port), "HUB_API__PORT": str(free_port())}
    with serve_health(Health(port=port), lambda: dict(state)):
        assert probe.main([], environ) == 0
        assert probe.main(["live"], environ) == 0
        assert probe.main(["ready"], environ) == 0
        state["ready"] = False
        assert probe.main(["ready"], environ) == 1
        assert '{"ready": false}' in capsys.readouterr().out
        assert probe.main(["live"], environ) == 0
    assert probe.main(["live"], environ) == 1
    assert f"port {port}: " in capsys.readouterr().err


def test_the_api_which_has_none() -> None:
    """The image sets a health port for all processes; the API answers on its own."""
    port = free_port()
    with serve_health(Health(port=port), lambda: {"ready": True}):
        assert probe.main(["ready"], {"HUB_API__PORT": str(port), "HUB_HEALTH__PORT": str(free_port())}) == 0
        assert probe.main(["ready"], {"HUB_API__PORT": str(port)}) == 0


def test_an_api_that_speaks_https(tmp_path: Path) -> None:
    """It is asked over loopback, where the certificate's name is nobody's."""
    tls.make(tmp_path)
    with _https(tmp_path) as port:
        environ = {"HUB_API__PORT": str(port), "HUB_API__CERT_FILE": str(tmp_path / "server.pem")}
        assert probe.main(["live"], environ) == 0
        assert probe.main(["live"], {"HUB_API__PORT": str(port)}) == 1


@contextmanager
def _https(folder: Path) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        # shaken hands when it is read, so that a client that cannot is no fault of this thread
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_an_unknown_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(["well"], {}) == 2
    assert "live, ready" in capsys.readouterr().err


def test_it_imports_nothing_of_the_hub() -> None:
    """It runs every ten seconds in each container."""
    said = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hub.probe", "nothing"], capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    loaded = [line.rpartition("|")[2].strip() for line in said.stderr.splitlines() if line.startswith("import time")]
    assert [name for name in loaded if name.startswith(("hub.", "pydantic", "typer", "structlog"))] == []
