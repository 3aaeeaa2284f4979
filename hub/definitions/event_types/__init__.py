"""The event types that come with the hub: one file a group, in the shape of the definitions that people write."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

import yaml

from hub.definitions.kinds import EventType

GROUPS: Final = (
    "profile",
    "identity",
    "ecommerce",
    "dispatch",
    "finance",
    "loyalty",
    "marketing",
    "messaging",
    "preferences",
    "interests",
    "satisfaction",
    "traffic",
    "system",
)


@cache
def group(name: str) -> Mapping[str, EventType]:
    """The event types of one file, by their id. Args: name: one of GROUPS."""
    text = (files(__package__) / f"{name}.yaml").read_text(encoding="utf-8")
    return {id: EventType.model_validate(spec) for id, spec in yaml.safe_load(text).items()}


@cache
def built_in() -> Mapping[str, EventType]:
    """All of them, by their id."""
    return {id: spec for name in GROUPS for id, spec in group(name).items()}
