"""The kinds of bridge, each imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Final, cast

from pydantic import ValidationError

from bridges.base import BridgeSpec
from hub.definitions.kinds import Bridge
from hub.edge.mapping import MappingError, compile_mapping

MODULES: Final = {"kafka": "bridges.kafka"}


class BridgeError(ValueError):
    """A bridge definition that cannot work; the message names the field."""


def spec_of(kind: str) -> BridgeSpec:
    """The spec of a kind. Raises BridgeError: unknown, or its client library is not installed."""
    if kind not in MODULES:
        raise BridgeError(f"type: there is no bridge of type {kind!r}; there are: {', '.join(sorted(MODULES))}")
    try:
        return cast("BridgeSpec", import_module(MODULES[kind]).SPEC)
    except ImportError as exc:
        raise BridgeError(f"type: the client library of {kind!r} is not installed: {exc}") from exc


def validate(definition: Bridge) -> None:
    """What a definition's own types do not say: kind known, settings valid, mapping compiles. Raises BridgeError."""
    spec = spec_of(definition.type)
    try:
        spec.settings.model_validate(definition.settings)
    except ValidationError as exc:
        problems = (f"settings.{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors())
        raise BridgeError("; ".join(problems)) from exc
    if definition.mapping is not None:
        try:
            compile_mapping(definition.mapping)
        except MappingError as exc:
            raise BridgeError(f"mapping.{exc}") from exc
