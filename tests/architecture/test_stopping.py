"""The table of docs/operations.md on how processes stop says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from bridges.run import END_S as BRIDGES_S
from hub.api.server import GRACE_S
from hub.collector.loop import CLOSE_S
from hub.settings import Kafka
from hub.stack import kafka
from hub.stack.process import Program
from workers.agents.run import END_S as AGENTS_S

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text().partition("## Stopping")[2]


def test_times_to_end_are_those_of_the_code() -> None:
    own = Program(name="", argv=("",), ready=lambda: True).stop_s
    broker = kafka.program(kafka.Broker(Path("/nowhere"), [Path(__file__)], kafka.Listeners(1, 2))).stop_s
    for process, seconds in (
        ("`api`", Kafka().delivery_timeout_s + GRACE_S),
        ("`bridges`", BRIDGES_S),
        ("`agents`", AGENTS_S),
        ("Valkey", own),
        ("Kafka", broker),
    ):
        (row,) = re.findall(rf"^\| {process} \| .* \| (.*) \|$", PAGE, re.MULTILINE)
        assert row.startswith(f"{seconds:g} s"), (process, seconds, row)
    assert f"{CLOSE_S:g} s to leave a group" in PAGE
    assert f"each of its processes {own:g} s, Kafka {broker:g} s" in PAGE
