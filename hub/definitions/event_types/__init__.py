"""The event types that come with the hub: one file a group, in the shape of the definitions that people write."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

import yaml

try:
    from yaml import CSafeLoader as _SafeLoader  # by libyaml, ten times as fast: each collector reads them at its start
except ImportError:  # PyYAML was built without it
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

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
    return {id: EventType.model_validate(spec) for id, spec in yaml.load(text, _SafeLoader).items()}


@cache
def built_in() -> Mapping[str, EventType]:
    """All of them, by their id."""
    return {id: spec for name in GROUPS for id, spec in group(name).items()}
