"""The kinds of destination, each imported when it is first asked for; is a definition valid?"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, cast

from pydantic import BaseModel, ValidationError

from bridges.outward.base import TargetSpec
from bridges.outward.shape import Shape
from bridges.registry import BridgeError, faults
from hub.definitions.kinds import Destination
from hub.edge.mapping import MappingError
from hub.store.query import QueryError

MODULES: Final = {
    "clickhouse": "bridges.outward.clickhouse",
    "http": "bridges.outward.http",
    "kafka": "bridges.outward.kafka",
    "mqtt": "bridges.outward.mqtt",
    "nats": "bridges.outward.nats",
    "postgres": "bridges.outward.postgres",
    "rabbitmq": "bridges.outward.rabbitmq",
    "redis_streams": "bridges.outward.redis_streams",
    "s3": "bridges.outward.s3",
    "smtp": "bridges.outward.smtp",
    "sqs": "bridges.outward.sqs",
}


def spec_of(kind: str) -> TargetSpec:
    """The spec of a kind. Raises BridgeError: unknown, or its client library is not installed."""
    if kind not in MODULES:
        raise BridgeError(f"type: there is no destination of type {kind!r}; there are: {', '.join(sorted(MODULES))}")
    try:
        return cast("TargetSpec", import_module(MODULES[kind]).SPEC)
    except ImportError as exc:
        raise BridgeError(f"type: the client library of {kind!r} is not installed: {exc}") from exc


def described() -> list[dict[str, Any]]:
    """Every kind of destination, by name; as bridges.registry.described."""
    return [_described(kind) for kind in sorted(MODULES)]


def _described(kind: str) -> dict[str, Any]:
    try:
        spec = spec_of(kind)
    except BridgeError as exc:
        return {"type": kind, "summary": "", "settings": None, "error": str(exc)}
    return {"type": kind, "summary": spec.summary, "settings": spec.settings.model_json_schema(), "error": ""}


def settings_of(kind: str) -> type[BaseModel]:
    """Settings of a kind. Raises BridgeError."""
    return spec_of(kind).settings


def validate(definition: Destination) -> None:
    """
    What a definition's own types do not say: kind known, settings valid, condition and expressions can be used.

    Raises: BridgeError, which names the field.
    """
    spec = spec_of(definition.type)
    try:
        settings = spec.settings.model_validate(definition.settings)
    except ValidationError as exc:
        raise BridgeError(faults(exc)) from exc
    if definition.retry.longest_s < definition.retry.first_s:
        raise BridgeError("retry.longest_s: it is less than retry.first_s")
    try:
        Shape(definition)
    except QueryError as exc:
        raise BridgeError(f"condition: {exc}") from exc
    except MappingError as exc:
        raise BridgeError("; ".join(map(str, exc.problems))) from exc
    if spec.check is not None:
        try:
            spec.check(settings, definition.model_dump(mode="json"))
        except ValueError as exc:
            raise BridgeError(str(exc)) from exc
