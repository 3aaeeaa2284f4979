"""The mappings that come with the hub, by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

from hub.edge.mapping.problems import MappingError, Problem
from hub.edge.mapping.spec import Document

NAMES: Final = ("cloudevents", "debezium", "json", "segment", "snowplow")


def document_of(mapping: Document) -> Mapping[str, Any]:
    """
    The document itself, or the one of a name.

    Raises: MappingError: there is none of this name, or it is no document at all.
    """
    if isinstance(mapping, Mapping):
        return mapping
    if not isinstance(mapping, str):
        raise MappingError([Problem((), "a mapping is an object with `event` or `events`")])
    if mapping not in NAMES:
        raise MappingError([Problem((), f"there is no ready-made mapping {mapping!r}; there are {', '.join(NAMES)}")])
    return _read(mapping)


def text_of(name: str) -> str:
    """The file of a ready-made mapping, to begin one's own with. Args: name: one of NAMES."""
    return (files(__package__) / "ready" / f"{name}.json").read_text()


@cache
def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(text_of(name))
    return document
