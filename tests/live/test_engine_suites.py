"""Suites of live tests once more, with the stores of their hubs in a search engine (HUB_TEST_STORE)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests import stores
from tests.live.whole_hub import ROOT
from tests.servers.running import shared

pytestmark = [pytest.mark.long, pytest.mark.timeout(3_000)]

SUITES: Final = (
    "test_collector",
    "test_collector_crash",
    "test_collector_flows",
    "test_dead_letters",
    "test_dead_letters_whole",
    "test_flow_changes",
    "test_flow_runs",
    "test_flow_slices",
    "test_flows_outward",
    "test_hot_partition",
    "test_identity",
    "test_imports",
    "test_ownership",
    "test_paused_runs",
    "test_privacy",
    "test_segments",
    "test_segments_over_time",
    "test_segments_whole",
    "test_task_routes",
    "test_tasks",
    "test_trace",
)
"""By module of this folder. Tests that are about the file itself are marked `sqlite`."""


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", ["elasticsearch", "opensearch"])
def test_a_suite_holds_on_a_search_engine(
    name: str, suite: str, kafka: str, shared_folder: Path, tmp_path: Path
) -> None:
    with shared(name, shared_folder / name) as url:
        environment = {
            **{variable: value for variable, value in os.environ.items() if not variable.startswith("PYTEST_")},
            stores.NAME: name,
            f"HUB_TEST_{name.upper()}_URL": url,
            "HUB_TEST_KAFKA_URL": kafka,
        }
        wanted = ("-m", "not sqlite and not chaos and not bench", f"--basetemp={tmp_path / 'base'}")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *wanted, f"tests/live/{suite}.py"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
