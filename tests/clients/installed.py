"""Other vendors' official clients, as pip's and npm's locks name them: installed once a machine, outside the tree."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

from hub.stack.jars import default_cache

HERE: Final = Path(__file__).parent
REQUIREMENTS: Final = HERE / "requirements.txt"
NPM: Final = (HERE / "package.json", HERE / "package-lock.json")


class Installed(NamedTuple):
    """The virtual environment, which also has Node.js, the folder with node_modules, and a browser."""

    bin: Path
    modules: Path
    chromium: Path

    def command(self, client: str) -> list[str]:
        """What runs `sending.py` or `sending.cjs` for a client."""
        if client.endswith("-python"):
            return [str(self.bin / "python"), str(HERE / "sending.py"), client]
        return [str(self.bin / "node"), str(HERE / "sending.cjs"), client]

    @property
    def environment(self) -> dict[str, str]:
        """Ours, and where Node.js finds the clients."""
        return {**os.environ, "NODE_PATH": str(self.modules)}


def installed() -> Installed:
    """Install them, unless that has been done; tests that run beside each other wait."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in (REQUIREMENTS, *NPM))).hexdigest()[:16]
    folder = default_cache(os.environ.get("XDG_CACHE_HOME")) / f"clients-{sys.version_info[1]}-{digest}"
    found = Installed(folder / "venv" / "bin", folder / "npm" / "node_modules", folder / "chromium")
    done = folder / "done"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _install(folder, found)
            done.touch()
    return found


def _install(folder: Path, found: Installed) -> None:
    _run(sys.executable, "-m", "venv", folder / "venv")
    _run(found.bin / "python", "-m", "pip", "install", "-q", "--no-deps", "-r", REQUIREMENTS)
    npm = found.modules.parent
    npm.mkdir(exist_ok=True)
    for file in NPM:
        (npm / file.name).write_bytes(file.read_bytes())
    path = os.pathsep.join((str(found.bin), os.environ.get("PATH", "")))
    _run(found.bin / "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=npm, PATH=path)
    # it unpacks into the folder for temporary files
    _run(found.bin / "node", HERE / "browsing.mjs", NODE_PATH=str(found.modules), TMPDIR=str(folder))
    assert found.chromium.exists()


def _run(*command: str | Path, cwd: Path | None = None, **variables: str) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
