"""The container files name settings and commands that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer.main
import yaml

from hub.__main__ import app
from tests.architecture.tables import settings

COMPOSE = Path(__file__).parents[2] / "compose" / "hub.yaml"


def _services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return {name: service for name, service in services.items() if service["image"] == "thamesthrive-hub"}


def test_every_variable_is_a_setting() -> None:
    listed = settings()
    for service in _services().values():
        assert all(f"`{name}`" in listed for name in service["environment"])


def test_every_process_is_a_command() -> None:
    group = typer.main.get_group(app)
    commands = {command for service in _services().values() for command in service["command"]}
    assert commands == {"collector", "api", "bridges", "agents", "worker"}
    assert commands <= set(group.commands)
