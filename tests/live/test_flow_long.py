"""Nodes that take long, by a real agent and workers on a real Valkey, Kafka and store: nobody waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hub.flows import packages
from hub.flows.overdue import MOST_S
from hub.segments.timers import now_ms
from schemas.jobs import SCHEDULER
from tests.kafka_tools import eventually
from tests.live.collector import collector
from tests.live.segment_site import Site, purchase, sign_in, site, worker
from tests.live.test_paused_whole import count, define, process, traits
from tests.packages import on_path, write
from tests.servers import running

MODULE = """
from typing import Annotated
from urllib.request import urlopen

from pydantic import Field

from hub.flows.node import Call, Config, Outcome, node


class Ask(Config):
    "Whom."

    url: Annotated[str, Field(description="Where they are.")]


@node("ask-slowly", group="Other systems", long_s=300)
def ask_slowly(config: Ask, call: Call) -> Outcome:
    "Ask somebody who thinks for a long time."
    with urlopen(config.url) as answer:
        return Outcome("out", {"n": int(answer.read())})
"""


@pytest.fixture
def redis_url(shared_folder: Path) -> Iterator[str]:
    with running.shared("valkey", shared_folder / "valkey") as url:
        yield url


class Slow:
    """Another system, which answers 7 once it may. `asked`: when it was, seconds of time.monotonic."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[float] = []
        self.may_answer = threading.Event()

    @contextmanager
    def open(self) -> Iterator[None]:
        slow = self

        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                slow.asked.append(time.monotonic())
                slow.may_answer.wait()
                self.send_response(200)
                self.end_headers()
                try:
                    self.wfile.write(b"7")
                except OSError:
                    self.close_connection = True  # whoever has asked was killed

            def log_message(self, format: str, *args: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
            self.url = f"http://127.0.0.1:{server.server_port}/"
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield
            finally:
                self.may_answer.set()
                server.shutdown()
                thread.join()


@contextmanager
def slowly(at: Site, folder: Path) -> Iterator[Slow]:
    """A flow `slow` is there, for who signs in, and the package that it needs."""
    (folder / "slow_node.py").write_text(MODULE)
    write(folder, "slow-node", {"ask-slowly": "slow_node:ask_slowly"}, group=packages.GROUP)
    slow = Slow()
    with on_path(folder), slow.open():
        nodes = {
            "start": ("start", {}, "first"),
            "first": ("increment", {"field": "traits.first"}, "ask"),
            "ask": ("ask-slowly", {"url": slow.url}, "then"),
            "then": ("increment", {"field": "traits.then", "by": "payload@n"}, "tell"),
            "tell": ("raise-event", {"event_type": "told"}),
        }
        define(at, nodes, "slow", triggers=[{"type": "event", "event_type": "sign-in"}])
        yield slow


@pytest.mark.parametrize("kills", [0, pytest.param(1, marks=pytest.mark.long)])
def test_nobody_waits_for_a_node_that_takes_long(
    kafka: str, namespace: str, tmp_path: Path, redis_url: str, kills: int
) -> None:
    """The agent goes on with others; whoever is killed in the middle is followed by another, and the run ends once."""
    people = [f"p{number}" for number in range(50)]
    with (
        site(kafka, namespace, tmp_path, redis_url) as at,
        slowly(at, tmp_path) as slow,
        collector(kafka, namespace, tmp_path),
    ):
        quick = {"start": ("start", {}, "tell"), "tell": ("raise-event", {"event_type": "quickly"})}
        define(at, quick, "quick", triggers=[{"type": "event", "event_type": "purchase"}])
        with process(at, "hub", "agents"), worker(at, queue=SCHEDULER) as one, ExitStack() as stack:
            at.send(sign_in("ann", 1))
            eventually(lambda: len(slow.asked) == 1)
            at.send(*(purchase(f"e-{id}", id, now_ms()) for id in people))
            eventually(lambda: count(at, "quickly") == len(people))
            (run,) = (one for one in at.store.list_flow_runs(100, None)[0] if one.flow == "slow")
            assert run.state == "waiting"
            for _ in range(kills):
                one.kill()
                stack.enter_context(worker(at, queue=SCHEDULER))
                eventually(lambda: len(slow.asked) == 2)
                # an agent would have interrupted it
                eventually(lambda: time.monotonic() - slow.asked[-1] > MOST_S + 1)
            slow.may_answer.set()
            eventually(lambda: count(at, "told") == 1)
        eventually(lambda: traits(at)["ann"] == {"first": 1, "then": 7})
        assert len(slow.asked) == 1 + kills
        done = at.store.flow_runs([run.id])[run.id]
        assert (done.state, done.error) == ("done", "")
        (leg,) = done.legs
        (step,) = (step for step in leg.steps if step.node == "ask")
        assert (step.port, step.output) == ("out", {"n": 7})
        assert step.took_us > kills * MOST_S * 1e6


@pytest.mark.long
def test_one_that_takes_long_holds_up_no_pause(kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> None:
    """On one machine there is a second worker meanwhile, which takes none of them."""
    with (
        site(kafka, namespace, tmp_path, redis_url) as at,
        slowly(at, tmp_path) as slow,
        collector(kafka, namespace, tmp_path),
    ):
        quick: dict[str, Any] = {"start": ("start", {}, "wait"), "wait": ("pause", {"wait": "1s"}, "tell")}
        quick["tell"] = ("raise-event", {"event_type": "quickly"})
        define(at, quick, "quick", triggers=[{"type": "event", "event_type": "purchase"}])
        with process(at, "hub", "agents"), worker(at, {"HUB_TASKS__ON_DEMAND": "true"}):
            at.send(sign_in("ann", 1), sign_in("bob", 1))
            eventually(lambda: len(slow.asked) == 1)
            at.send(purchase("e1", "cid", now_ms()))
            eventually(lambda: count(at, "quickly") == 1)
            assert len(slow.asked) == 1
            slow.may_answer.set()
            eventually(lambda: count(at, "told") == 2)
        eventually(lambda: [traits(at)[id]["then"] for id in ("ann", "bob")] == [7, 7])
