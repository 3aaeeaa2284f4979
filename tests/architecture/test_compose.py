"""The container files are what engines take, and name settings, commands and versions that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from hub.stack import kafka
from tests.architecture import composed
from tests.architecture.composed import COMPOSE, FILES, UID, ours, seconds, services

VARIABLE: Final = re.compile(r"^(?:# )?(HUB_\w+)=", re.MULTILINE)
OFFICIAL: Final = re.compile(r"[a-z0-9./-]+:\d+\.\d+(\.\d+)?")

every_file = pytest.mark.parametrize("name", FILES)


@every_file
def test_the_specification_allows_it(name: str) -> None:
    assert composed.faults(name) == []


def test_the_specification_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = tmp_path / "hub.yaml"
    wrong.write_text((COMPOSE / "hub.yaml").read_text().replace("read_only: true", "readonly: true", 1))
    monkeypatch.setitem(FILES, "hub", wrong)
    assert any("readonly" in fault for fault in composed.faults("hub"))


@every_file
def test_docker_compose_takes_it(name: str, tmp_path: Path) -> None:
    """With variables filled in, where the tool is; where it is not, the test above has looked."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        return
    given = tmp_path / "given.env"
    given.write_text("HUB_ADMIN_KEY=key\nCOMPOSE_PROFILES=backends\n")
    said = subprocess.run(
        ["docker", "compose", "--env-file", given, "-f", FILES[name], "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr


@every_file
def test_every_variable_is_a_setting(name: str) -> None:
    for service in ours(name).values():
        assert set(service["environment"]) <= composed.settings()


def test_every_variable_of_the_examples_is_a_setting() -> None:
    """Those that are commented out, too."""
    for example in COMPOSE.glob("*.env.example"):
        assert set(VARIABLE.findall(example.read_text())) <= composed.settings(), example
    assert set(VARIABLE.findall((COMPOSE / ".env.example").read_text())) == {"HUB_ADMIN_KEY"}


@every_file
def test_every_process_runs(name: str) -> None:
    """A worker that starts others on demand stands for the scheduler."""
    run = {service["command"][0] for service in ours(name).values()}
    assert ours(name)["worker"]["environment"]["HUB_TASKS__ON_DEMAND"] == "true"
    assert run | {"scheduler"} == composed.processes()


def test_production_runs_each_process_more_than_once() -> None:
    replicas = {each: service["deploy"]["replicas"] for each, service in ours("production").items()}
    assert replicas.keys() == composed.processes()
    assert min(replicas.values()) >= 2


@every_file
def test_nothing_of_ours_can_do_more_than_it_has_to(name: str) -> None:
    for each, service in ours(name).items():
        assert service["user"] == f"{UID}:{UID}", each
        assert service["read_only"] is True, each
        assert "/tmp" in service["tmpfs"], each
        assert service["init"] is True, each


@every_file
def test_every_container_is_held(name: str) -> None:
    """No root, no capabilities, no way to get any; limits of memory and processes; looked after; back after a fault."""
    for each, service in services(name).items():
        assert service["cap_drop"] == ["ALL"], each
        assert service["security_opt"] == ["no-new-privileges:true"], each
        assert service["user"].split(":")[0] not in ("", "0", "root"), each
        assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys(), each
        assert service["healthcheck"]["test"], each
        assert service["restart"] in ("on-failure", "unless-stopped"), each
        assert "privileged" not in service, each


@every_file
def test_only_the_api_can_be_reached_and_from_this_machine_alone(name: str) -> None:
    published = {each: service["ports"] for each, service in services(name).items() if "ports" in service}
    assert published.keys() == {"api"}
    assert all(port.startswith("127.0.0.1:") for port in published["api"])
    for each, service in services(name).items():
        assert ("outside" in service["networks"]) == (each in ours(name)), each


@every_file
def test_versions_are_named(name: str) -> None:
    images = {service["image"] for service in services(name).values()}
    assert [image for image in images if not OFFICIAL.fullmatch(image)] == []


@every_file
def test_brokers_are_those_that_the_tests_run_on(name: str) -> None:
    used = {service["image"] for each, service in services(name).items() if each.startswith("kafka")}
    assert used == {f"apache/kafka:{kafka.VERSION}"}


@every_file
def test_brokers_hand_on_partitions_as_those_of_hub_up_do(name: str) -> None:
    embedded = dict(line.split("=", 1) for line in kafka.SERVER.splitlines())
    groups = {each: value for each, value in embedded.items() if each.startswith("group.")}
    assert groups
    for each, service in services(name).items():
        if each.startswith("kafka"):
            assert groups.items() <= composed.broker_properties(service["environment"]).items()


@every_file
def test_containers_get_the_time_to_end(name: str) -> None:
    """SIGKILL comes later than the last end that a process has for itself."""
    for each, service in ours(name).items():
        assert seconds(service["stop_grace_period"]) > composed.longest_end_s(), each


def test_production_keeps_each_acknowledged_record_twice() -> None:
    """Also with one of three brokers away."""
    brokers = [service["environment"] for each, service in services("production").items() if each.startswith("kafka")]
    assert len(brokers) == 3
    for broker in brokers:
        assert broker["KAFKA_DEFAULT_REPLICATION_FACTOR"] == "3"
        assert broker["KAFKA_MIN_INSYNC_REPLICAS"] == "2"
        assert broker["KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE"] == "false"
    assert len({broker["KAFKA_NODE_ID"] for broker in brokers}) == 3
    assert len({broker["KAFKA_ADVERTISED_LISTENERS"] for broker in brokers}) == 3
    hub = ours("production")["collector"]["environment"]
    assert hub["HUB_KAFKA__REPLICATION"] == "${HUB_KAFKA__REPLICATION:-3}"
    assert ours("production")["collector"]["deploy"]["replicas"] <= 12


def test_secrets_of_production_are_in_files() -> None:
    """Not in variables; and not where definitions may name files."""
    for service in ours("production").values():
        environment: dict[str, Any] = service["environment"]
        for variable in ("HUB_ADMIN_KEY", "HUB_SECRET_KEY", "HUB_IDENTITY__KEY", "HUB_REDIS__PASSWORD"):
            reference = environment[variable]
            assert reference.startswith("file:/run/secrets/"), variable
            assert Path(reference.removeprefix("file:")).parent != Path(environment["HUB_SECRET_FOLDER"])
