"""Secrets in a bridge's settings are references, looked up when the bridge starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hub.errors import Refused

PREFIX: Final = "env:"


def resolve(value: Any, environ: Mapping[str, str]) -> Any:
    """`env:NAME` becomes the variable's value, anything else stays. Raises Refused: the variable is not set."""
    if not isinstance(value, str) or not value.startswith(PREFIX):
        return value
    name = value.removeprefix(PREFIX)
    if name not in environ:
        raise Refused("bridge", f"the setting refers to the variable {name}, which this process does not have")
    return environ[name]
