"""The committed tracker is what its source builds to, is small, and its parts keep their promises."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from hub.api.tracker import SCRIPT
from tests.clients.installed import Installed

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

FOLDER: Final = SCRIPT.parent
TESTS: Final = Path(__file__).parent / "tracker"
MOST_BYTES: Final = 6_000


def run(clients: Installed, folder: Path, *command: str) -> str:
    """A command with Node.js of the clients; what it printed."""
    path = os.pathsep.join((str(clients.bin), os.environ.get("PATH", "")))
    done = subprocess.run(
        [str(clients.bin / command[0]), *command[1:]],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_committed_script_is_what_the_source_builds_to(clients: Installed, tmp_path: Path) -> None:
    """If this fails: `npm ci && npm run build` in hub/tracker, and commit what that makes."""
    folder = tmp_path / "tracker"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("node_modules", SCRIPT.name))
    run(clients, folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    run(clients, folder, "npm", "run", "check")
    run(clients, folder, "npm", "run", "build")
    assert (folder / SCRIPT.name).read_bytes() == SCRIPT.read_bytes()


def test_the_parts_of_the_tracker(clients: Installed) -> None:
    """In Node.js, without a browser: queue and sender against a world that the tests make."""
    run(clients, TESTS, "node", "--test", *(str(file) for file in sorted(TESTS.glob("*.test.mts"))))


def test_a_page_loads_less_than_6_kb() -> None:
    assert len(gzip.compress(SCRIPT.read_bytes())) < MOST_BYTES
