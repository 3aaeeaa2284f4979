"""`hub api` as a process: how it starts, and how it stops without breaking a request off."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from hub.log.admin import LogAdmin, ensure_topics
from hub.settings import Kafka
from hub.store.factory import open_store
from tests import stores
from tests.live.api import ADMIN, KEY
from tests.plain_http import NO_TLS

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def api(kafka: str, namespace: str, folder: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    ensure_topics(Kafka(bootstrap=kafka), namespace)
    open_store(stores.store_url(folder, namespace)).close()
    settings = {
        "HUB_KAFKA__BOOTSTRAP": kafka,
        "HUB_NAMESPACE": namespace,
        "HUB_DATA": str(folder),
        "HUB_ADMIN_KEY": KEY,
        "HUB_API__PORT": "0",
        **env,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "hub", "api"],
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        match = re.search(r"http://[\d.]+:\d+", line)
        if match:
            return match[0]
    raise AssertionError("the API ended before it listened")


def client_of(process: subprocess.Popen[str]) -> httpx.Client:
    """With the admin key; waits for the port, which is told some moments before it is listened to."""
    return httpx.Client(
        base_url=url_of(process), headers=ADMIN, timeout=20, transport=httpx.HTTPTransport(verify=NO_TLS, retries=5)
    )


def test_a_stop_finishes_the_requests_that_are_under_way(kafka, namespace, tmp_path):
    # Kafka's acknowledgement takes a second, so the signal comes in the middle
    with api(kafka, namespace, tmp_path, HUB_KAFKA__LINGER_MS="1500") as process, client_of(process) as admin:
        assert admin.put("/definitions/source/shop", json={}).status_code == 201
        with socket.create_connection(("127.0.0.1", admin.base_url.port)) as request:
            body = b'{"source":"shop","events":[{"type":"view"}]}'
            request.sendall(b"POST /track HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            # the server's loop reads in the order of arrival: when it answers this, it has the request before
            assert admin.get("/live").status_code == 200
            process.send_signal(signal.SIGTERM)
            request.settimeout(20)
            assert request.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert process.wait(10) == 0
    assert sum(LogAdmin(Kafka(bootstrap=kafka), namespace).end_offsets().values()) == 1


def test_a_port_that_is_taken_is_named(kafka, namespace, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with api(kafka, namespace, tmp_path, HUB_API__PORT=port) as process:
            assert process.stdout is not None
            assert f"port {port}" in process.stdout.read()
            assert process.wait(20) == 78, "a person has to act"
