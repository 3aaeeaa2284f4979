"""The files of compose/, read as container engines and Kubernetes read them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import typer.main
import yaml
from pydantic import BaseModel

from bridges import run as bridges_run
from hub.__main__ import app
from hub.api.server import GRACE_S
from hub.collector.loop import CLOSE_S
from hub.settings import Kafka, Settings
from hub.stack.process import Program
from workers.agents import run as agents_run

COMPOSE: Final = Path(__file__).parents[2] / "compose"
FILES: Final = {"hub": COMPOSE / "hub.yaml", "production": COMPOSE / "production.yaml"}
DOCKERFILE: Final = COMPOSE / "Dockerfile"
MANIFESTS: Final = COMPOSE / "kubernetes"
SCHEMA: Final = Path(__file__).with_name("compose-spec.json")
"""The Compose Specification's own schema (github.com/compose-spec/compose-spec, Apache-2.0), as it is there."""
IMAGE: Final = "thamesthrive-hub:"
UID: Final = 10001
UNITS: Final = {"s": 1, "m": 60}


def services(name: str) -> dict[str, dict[str, Any]]:
    """Those of one compose file."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(FILES[name].read_text())["services"]
    return found


def ours(name: str) -> dict[str, dict[str, Any]]:
    """The services among them that are processes of the hub."""
    return {each: service for each, service in services(name).items() if service["image"].startswith(IMAGE)}


def faults(name: str) -> list[str]:
    """What the Compose Specification does not allow in a file."""
    validator = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text()))
    document = yaml.safe_load(FILES[name].read_text())
    return [f"{'/'.join(map(str, each.instance_path))}: {each.message}" for each in validator.iter_errors(document)]


def manifests() -> list[dict[str, Any]]:
    """All resources that `kubectl apply -k compose/kubernetes` makes."""
    kustomization = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())
    return [
        resource
        for file in kustomization["resources"]
        for resource in yaml.safe_load_all((MANIFESTS / file).read_text())
    ]


def workloads() -> dict[str, dict[str, Any]]:
    """What runs pods, by the name of the process."""
    return {each["metadata"]["name"]: each for each in manifests() if each["kind"] in ("Deployment", "StatefulSet")}


def kinds(kind: str) -> list[dict[str, Any]]:
    """Resources of one kind."""
    return [each for each in manifests() if each["kind"] == kind]


def seconds(text: str) -> int:
    """Of a duration as compose files have it: 60s, 2m."""
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([sm])", text))


def processes() -> set[str]:
    """Commands that serve."""
    commands = typer.main.get_group(app).commands
    return {name for name, each in commands.items() if getattr(each, "rich_help_panel", None) == "Processes"}


def settings() -> set[str]:
    """Every variable that the hub reads."""
    return set(_settings(Settings, "HUB_"))


def _settings(model: type[BaseModel], prefix: str) -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        variable = prefix + name.upper()
        inner = field.annotation
        is_part = isinstance(inner, type) and issubclass(inner, BaseModel)
        found += _settings(inner, variable + "__") if is_part else [variable]  # type: ignore[arg-type]
    return found


def broker_properties(environment: dict[str, str]) -> dict[str, str]:
    """What Kafka's image makes of its variables: server.properties."""
    return {
        name.removeprefix("KAFKA_").replace("_", ".").lower(): value
        for name, value in environment.items()
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
    }


def dockerfile() -> list[tuple[str, str]]:
    """Instructions and their arguments, continued lines put together, comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line.strip() and not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    pairs = [line.split(maxsplit=1) for line in text.splitlines()]
    return [(word, " ".join(rest.split())) for word, rest in pairs]


def longest_end_s() -> float:
    """After SIGTERM every process of the hub has ended by then, by itself."""
    return max(bridges_run.END_S, agents_run.END_S, CLOSE_S, Kafka().delivery_timeout_s + GRACE_S, Program.stop_s)
