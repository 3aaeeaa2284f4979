"""The committed console is what its source builds to, and a wheel has it without what it was built with."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from hub.api.console import DIST
from tests.clients.installed import Installed
from tests.clients.test_tracker_build import run

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

FOLDER: Final = DIST.parent
ROOT: Final = FOLDER.parents[1]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_committed_files_are_what_the_source_builds_to(clients: Installed, tmp_path: Path) -> None:
    """If this fails: `npm ci --ignore-scripts && npm run build` in hub/console, and commit what that makes."""
    folder = tmp_path / "console"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    run(clients, folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    run(clients, folder, "npm", "run", "build")
    built, committed = contents(folder / "dist"), contents(DIST)
    assert sorted(built) == sorted(committed)
    assert built == committed


def test_a_wheel_has_the_console_and_nothing_that_it_was_built_with(tmp_path: Path) -> None:
    uv = ROOT / ".venv" / "tools" / "bin" / "uv"
    done = subprocess.run(
        [uv, "build", "--wheel", "-q", "--python", sys.executable, "--out-dir", tmp_path, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("hub/console/")]
    assert {f"hub/console/dist/{name}" for name in contents(DIST)} <= set(names)
    assert [name for name in names if "node_modules" in name] == []
