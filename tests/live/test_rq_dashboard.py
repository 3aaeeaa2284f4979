"""The queues are ordinary RQ: rq-dashboard shows them (tests/live/test_tasks.py has `rq info`)."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from hub.jobs.flow_queue import FlowQueue
from hub.jobs.queue import Call, JobQueue
from hub.redis import client
from schemas.jobs import DO, QUEUES, RESUME, SCHEDULER, queue_name
from tests.kafka_tools import eventually
from tests.plain_http import NO_TLS
from tests.servers import running


def test_it_shows_all_queues_their_jobs_and_when_flows_go_on(
    namespace: str, shared_folder: Path, tmp_path: Path
) -> None:
    with running.shared("valkey", shared_folder / "valkey") as url, client(url) as redis:
        for number, queue in enumerate(QUEUES):
            JobQueue(redis, namespace, queue).enqueue([Call(DO, f"t{number}", 0)])
        second = int(time.time()) + 1_000
        FlowQueue(redis, namespace, lambda: time.time_ns() // 1_000_000).at([second])
        with dashboard(url, tmp_path) as site:
            shown = {one["name"]: one for one in site("queues.json")["queues"]}
            for queue in QUEUES:
                name = queue_name(namespace, queue)
                assert shown[name]["count"] == 1
                (job,) = site(f"jobs/{name}/queued/8/asc/1.json")["jobs"]
                assert DO in job["description"]
            (job,) = site(f"jobs/{queue_name(namespace, SCHEDULER)}/scheduled/8/asc/1.json")["jobs"]
            assert job["description"] == f"{RESUME}('due', {second})"


@contextmanager
def dashboard(redis_url: str, folder: Path) -> Iterator[Any]:
    """As docs/tasks.md has it. Yields what gives the JSON behind a page."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("rq-dashboard")),
        *("--json", "--redis-url", redis_url, "--bind", "127.0.0.1", "--port", str(port)),
    ]
    with (folder / "dashboard.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:

        def get(path: str) -> Any:
            return httpx.get(f"http://127.0.0.1:{port}/0/data/{path}", verify=NO_TLS).raise_for_status().json()

        def answers() -> bool:
            assert process.poll() is None, (folder / "dashboard.log").read_text()
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", port)) == 0

        eventually(answers)
        yield get
    finally:
        process.kill()
        process.wait()
