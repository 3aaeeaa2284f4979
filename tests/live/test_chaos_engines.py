"""`hub chaos --store` as its user runs it: on an Elasticsearch and on an OpenSearch that are killed meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.live.whole_hub import hub, left_on
from tests.plain_http import NO_TLS
from tests.servers.kept_up import kept_up

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SECONDS: Final = 80
FAULTS: Final = 20


@pytest.mark.parametrize("name", ["elasticsearch", "opensearch"])
def test_a_short_run_keeps_every_promise(name: str, tmp_path: Path) -> None:
    report, data = tmp_path / "report.json", tmp_path / "data"
    with kept_up(name, tmp_path / name) as engine:
        before = _indices(engine.url)
        done = hub(
            *("chaos", "--seconds", str(SECONDS), "--faults", str(FAULTS), "--seed", "1"),
            *("--store", f"{name}+{engine.url}", "--store-pid", engine.pid_file),
            *("--data", data, "--report", report),
            timeout_s=800,
        )
        print(done.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
        assert _indices(engine.url) == before, "its indices are removed when all was well"
    result: dict[str, Any] = json.loads(report.read_text())
    assert result["good"]
    assert not any(result["violations"].values())
    assert len(result["faults"]) == FAULTS
    theirs = [fault for fault in result["faults"] if "store" in fault["target"]]
    assert {fault["kind"] for fault in theirs} >= {"kill", "pause", "freeze", "full", "cut", "stall", "slow", "block"}
    assert all(fault["stored_s"] is not None for fault in result["faults"])
    figures = result["figures"]
    assert figures["events_acknowledged"] > 30 * SECONDS
    assert figures["profiles_merged"] > 10
    assert figures["flow_changes"] > 100
    assert figures["members"] > 10
    assert result["balance"]["verified"]["agrees"]
    assert left_on(data) == []


def _indices(url: str) -> set[str]:
    return set(httpx.get(f"{url}/_all", params={"filter_path": "*.settings.index.uuid"}, verify=NO_TLS).json())
