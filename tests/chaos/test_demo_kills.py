"""`kill -9` during the demo: the supervisor starts what was killed again, and the figures are the same, to the cent."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.kafka_tools import eventually
from tests.live.whole_hub import HUB, ROOT, WholeHub, environment, whole_hub

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

ROWS: Final = 69_659


class Kill(NamedTuple):
    """
    Kill `victim` once this share of the purchases has been received: is on the log.

    The bridge has its half behind it in a second, so its kills come early; those by REST take longer.
    """

    victim: str
    share: float


PLANS: Final[dict[str, Sequence[Kill]]] = {
    **{name: [Kill(name, share) for share in (0.1, 0.55, 0.7, 0.9)] for name in ("collector", "api", "kafka")},
    "bridges": [Kill("bridges", share) for share in (0.02, 0.2, 0.4)],
    "valkey": [Kill("valkey", share) for share in (0.1, 0.7)],
}
EVERYBODY: Final = [
    Kill("bridges", 0.02),
    Kill("collector", 0.15),
    Kill("kafka", 0.3),
    Kill("valkey", 0.4),
    Kill("api", 0.55),
    Kill("kafka", 0.7),
    Kill("bridges", 0.75),
    Kill("api", 0.8),
    Kill("collector", 0.9),
]


@contextmanager
def demo(data: Path) -> Iterator[subprocess.Popen[str]]:
    """`hub demo` on the hub that runs on the folder; it does not outlive the block."""
    process = subprocess.Popen(
        [*HUB, "demo", "--data", str(data)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def survive(running: WholeHub, plan: Sequence[Kill]) -> str:
    """Run the demo and kill by the plan. Returns what it printed."""
    with demo(running.data) as process:
        for victim, share in plan:

            def is_there(victim: str = victim, share: float = share) -> bool:
                received = running.totals()["received"]
                assert process.poll() is None, f"over before {victim} was killed: {process.communicate()[0]}"
                return received >= share * ROWS

            eventually(is_there, 180)
            running.kill(victim)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def check(running: WholeHub, output: str) -> None:
    """The figures of the file, from the demo and from the hub itself."""
    print(output)
    for figure in ("23,570 customers", "69,659 purchases", "167,881 CDs", "2,500,315.63 dollars"):
        assert figure in output
    assert "WRONG" not in output
    # the demo is through when everything is stored; what a killed bridge or client has sent twice may still come
    eventually(lambda: running.totals()["in_flight"] == 0)
    sheet = running.get("/balance", verify="true")
    totals = sheet["totals"]
    assert sheet["balanced"], totals
    assert sheet["verified"] == {"stored_events": ROWS, "agrees": True}
    assert totals["stored"] == ROWS
    assert totals["received"] == ROWS + totals["duplicate"]
    assert totals["dead"] == totals["dropped"] == 0


@pytest.mark.parametrize("plan", [*PLANS.values(), EVERYBODY], ids=[*PLANS, "everybody"])
def test_the_figures_are_the_same(plan: Sequence[Kill], tmp_path: Path) -> None:
    with whole_hub(tmp_path / "data") as running:
        check(running, survive(running, plan))
        restarts = {name: process.restarts for name, process in running.processes().items()}
        victims = [kill.victim for kill in plan]
        for victim in set(victims):
            # a process that cannot go on without Kafka may end by itself and be started again
            assert restarts[victim] >= victims.count(victim), restarts
