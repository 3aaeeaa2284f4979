"""The health port of a process."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

import pytest

from hub.health import serve_health
from hub.settings import Health
from hub.stack.ports import free_port

RESET = struct.pack("ii", 1, 0)


def test_who_hangs_up_before_the_answer_leaves_nothing_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    """A supervisor waits for an answer for a while only, and a busy machine may take longer."""
    asked, gone = threading.Event(), threading.Event()
    answering: list[threading.Thread] = []

    def ready() -> dict[str, Any]:
        answering.append(threading.current_thread())
        asked.set()
        assert gone.wait(30)
        return {"ready": True}

    port = free_port()
    with serve_health(Health(port=port), ready):
        with socket.create_connection(("127.0.0.1", port)) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            caller.sendall(b"GET /ready HTTP/1.1\r\nHost: hub\r\n\r\n")
            assert asked.wait(30)
        gone.set()
        answering[0].join(30)
    assert capsys.readouterr().err == ""
