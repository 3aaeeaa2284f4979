"""The Dockerfile: what can be said of the image without building it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import yaml

from hub import probe
from tests.architecture.composed import COMPOSE, DOCKERFILE, FILES, UID, dockerfile

ROOT: Final = Path(__file__).parents[2]
SECRET: Final = re.compile(r"KEY|PASSWORD|SECRET|TOKEN", re.IGNORECASE)


def _said(word: str) -> list[str]:
    return [rest for each, rest in dockerfile() if each == word]


def _last_stage() -> list[tuple[str, str]]:
    lines = dockerfile()
    start = max(number for number, (word, _) in enumerate(lines) if word == "FROM")
    return lines[start:]


def test_hadolint_finds_nothing() -> None:
    """Its package has no program for some machines; then the tests below are all."""
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if program is None:
        return
    found = subprocess.run([program, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_versions_are_named() -> None:
    (image,) = [rest.removeprefix("PYTHON_IMAGE=") for rest in _said("ARG") if rest.startswith("PYTHON_IMAGE=")]
    assert re.fullmatch(r"python:3\.13\.\d+-slim-\w+", image)
    assert {rest.split()[0] for rest in _said("FROM")} == {"${PYTHON_IMAGE}"}
    uv = re.findall(r"^UV=(\S+)", (ROOT / ".ci" / "setup").read_text(), re.MULTILINE)
    assert re.findall(r"uv==(\S+)", DOCKERFILE.read_text()) == uv
    (version,) = [rest.removeprefix("VERSION=") for rest in _said("ARG") if rest.startswith("VERSION=")]
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
    assert {service["image"] for service in _ours()} == {f"thamesthrive-hub:{version}"}


def _ours() -> list[dict[str, str]]:
    document = yaml.safe_load(FILES["hub"].read_text())
    return [service for service in document["services"].values() if "build" in service]


def test_it_runs_as_nobody_special() -> None:
    stage = _last_stage()
    words = [word for word, _ in stage]
    assert [rest for word, rest in stage if word == "USER"] == [f"{UID}:{UID}"]
    assert words.index("USER") > max(number for number, word in enumerate(words) if word in ("RUN", "COPY"))
    assert ("ENTRYPOINT", '["hub"]') in stage
    assert ("STOPSIGNAL", "SIGTERM") in stage


def test_it_is_the_lock_that_is_installed() -> None:
    installs = [rest for rest in _said("RUN") if "uv sync" in rest]
    assert len(installs) == 2
    for each in installs:
        assert "--frozen" in each
        assert "--no-dev" in each
    assert "--no-editable" in installs[1]
    assert not any("pip" in rest for word, rest in _last_stage() if word == "RUN")


def test_no_secret_is_in_it() -> None:
    set_here = [rest for word, rest in dockerfile() if word in ("ENV", "ARG")]
    assert [each for each in set_here if SECRET.search(each)] == []


def test_the_engine_gets_only_what_is_copied() -> None:
    lines = (COMPOSE / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    sent = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        source
        for word, rest in dockerfile()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert copied == sent
    for source in copied:
        assert (ROOT / source).exists()


def test_engines_ask_with_a_program_that_is_in_the_image() -> None:
    (check,) = _said("HEALTHCHECK")
    assert 'CMD ["python", "-m", "hub.probe", "live"]' in check
    timeout = re.search(r"--timeout=(\d+)s", check)
    assert timeout
    assert int(timeout[1]) > probe.TIMEOUT_S
    for name in FILES:
        asked = [service["healthcheck"]["test"] for service in _ours_of(name)]
        assert all(test == ["CMD", "python", "-m", "hub.probe", "ready"] for test in asked), name


def _ours_of(name: str) -> list[dict[str, dict[str, list[str]]]]:
    document = yaml.safe_load(FILES[name].read_text())
    return [service for service in document["services"].values() if "build" in service]
