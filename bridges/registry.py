"""The kinds of bridge, each imported when it is first asked for."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any, Final, cast

from pydantic import ValidationError

from bridges.base import BridgeSpec
from bridges.packages import BRIDGES
from hub.definitions.kinds import Bridge
from hub.definitions.wording import said
from hub.edge.mapping import MappingError, compile_mapping
from hub.edge.mapping.cases import TooSlow, run
from hub.packages import PackageError

MODULES: Final = {
    "imap": "bridges.imap",
    "kafka": "bridges.kafka",
    "rabbitmq": "bridges.rabbitmq",
    "mqtt": "bridges.mqtt",
    "nats": "bridges.nats",
    "postgres": "bridges.postgres",
    "redis_list": "bridges.redis_list",
    "redis_streams": "bridges.redis_streams",
    "sqs": "bridges.sqs",
    "webhook": "bridges.webhook",
}
"""Our own. Installed packages add theirs: see bridges/packages.py."""

SHOWN_DIFFERENCES: Final = 3


class BridgeError(ValueError):
    """A bridge definition that cannot work; the message names the field."""


def spec_of(kind: str) -> BridgeSpec:
    """The spec of a kind. Raises BridgeError: unknown, or its client library is not installed."""
    if kind not in MODULES:
        return _of_a_package(kind)
    try:
        return cast("BridgeSpec", import_module(MODULES[kind]).SPEC)
    except ImportError as exc:
        raise BridgeError(f"type: the client library of {kind!r} is not installed: {exc}") from exc


def described() -> list[dict[str, Any]]:
    """
    Every kind of bridge, by name.

    `settings`: the JSON Schema, in which secrets have the format `password`; null, with `error`, for a kind whose
    client library is not installed. `brought`: as of `is_brought`.
    """
    return [_described(kind) for kind in sorted({*MODULES, *BRIDGES.names()})]


def _described(kind: str) -> dict[str, Any]:
    try:
        spec = spec_of(kind)
    except BridgeError as exc:
        return {"type": kind, "summary": "", "settings": None, "rewinds_to": [], "brought": False, "error": str(exc)}
    return {
        "type": kind,
        "summary": spec.summary,
        "settings": spec.settings.model_json_schema(),
        "rewinds_to": sorted(spec.rewinds_to),
        "brought": spec.receiver is not None,
        "error": "",
    }


def is_brought(kind: str) -> bool:
    """Whether messages of this kind are brought to the API; all others are pulled by a bridge process."""
    try:
        return spec_of(kind).receiver is not None
    except BridgeError:
        return False


def _of_a_package(kind: str) -> BridgeSpec:
    try:
        spec = BRIDGES.load(kind)
    except PackageError as exc:
        raise BridgeError(f"type: {exc}") from exc
    if spec is None:
        there_are = ", ".join(sorted({*MODULES, *BRIDGES.names()}))
        raise BridgeError(f"type: there is no bridge of type {kind!r}; there are: {there_are}")
    return spec


def validate(definition: Bridge, *, tests: bool = True) -> None:
    """
    What a definition's own types do not say: kind known, settings valid, mapping compiles and passes its own tests.

    Args:
        tests: Whether to run the mapping's tests: when it is saved, not whenever the bridge starts.

    Raises: BridgeError.
    """
    spec = spec_of(definition.type)
    try:
        spec.settings.model_validate(definition.settings)
    except ValidationError as exc:
        raise BridgeError(faults(exc)) from exc
    if definition.mapping is None:
        return
    try:
        compile_mapping(definition.mapping)
        if tests and not isinstance(definition.mapping, str):
            _test(definition.mapping)
    except MappingError as exc:
        raise BridgeError(
            "; ".join(f"mapping.{problem}" if problem.path else str(problem) for problem in exc.problems)
        ) from exc


def faults(error: ValidationError) -> str:
    """What is wrong with settings, each with its name."""
    return "; ".join(
        f"settings.{'.'.join(map(str, found['loc']))}: "
        + ("there is no such setting" if found["type"] == "extra_forbidden" else said(found))
        for found in error.errors()
    )


def _test(mapping: dict[str, Any]) -> None:
    try:
        for result in run(mapping, time.monotonic):
            if result.differences:
                shown = "; ".join(map(str, result.differences[:SHOWN_DIFFERENCES]))
                raise BridgeError(f"mapping.tests: {result.name!r} fails (expected → got): {shown}")
    except TooSlow as exc:
        raise BridgeError(f"mapping.tests: {exc}") from exc
