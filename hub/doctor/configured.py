"""The settings: which are set, where each comes from, and which are traps. What is secret stays so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from hub.doctor.finding import OK, WARN, Finding
from hub.settings import Settings

REFERENCES: Final = ("env:", "file:")
SHOWN: Final = 60
_QUIET: Final = ("password", "secret", "key", "token", "options", "url", "headers", "endpoint")
"""In names of settings whose values nobody is shown: they are secrets, or may have some in them."""


def settings(given: Settings, environ: Mapping[str, str], leftovers: Sequence[str]) -> Iterator[Finding]:
    """Args: environ: what they were read from. leftovers: variables that no setting reads."""
    names = sorted(name for name in environ if name.startswith("HUB_") and not name.startswith("HUB_TEST_"))
    for name in names:
        if name not in leftovers:
            yield Finding(OK, f"setting {name}", f"{_shown(name, given)}, from {_origin(environ[name])}")
    defaults = sum(1 for _ in _leaves(Settings)) - len(names) + len(leftovers)
    yield Finding(OK, "settings", f"{len(names) - len(leftovers)} of the environment, {max(0, defaults)} by default")
    for name in leftovers:
        yield Finding(WARN, f"setting {name}", "no setting has this name", "See docs/settings.md; unset it")
    yield from _traps(given)


def _traps(given: Settings) -> Iterator[Finding]:
    """What works on one machine and not on several."""
    if not given.kafka.bootstrap:
        return
    mend = "Set it, the same in all processes of all machines, before there are events"
    for name, key in (
        ("HUB_IDENTITY__KEY", given.identity.key),
        ("HUB_SECRET_KEY", given.secret_key),
        ("HUB_ADMIN_KEY", given.admin_key),
    ):
        if key is None:
            yield Finding(WARN, name, f"is not set: this machine has one of its own, in {given.data}", mend)
    if not given.redis.url:
        why = "is not set: no agents, workers and flows, and each bridges process runs all bridges"
        yield Finding(WARN, "HUB_REDIS__URL", why, "Set it to a Redis or Valkey")


def _shown(name: str, given: Settings) -> str:
    value: Any = given
    for part in name.removeprefix("HUB_").lower().split("__"):
        value = getattr(value, part, None) if isinstance(value, BaseModel) else None
    if isinstance(value, SecretStr) or any(word in name.lower() for word in _QUIET):
        return "is set"
    text = str(value)
    return f"is {text if len(text) <= SHOWN else text[:SHOWN] + '…'}"


def _origin(text: str) -> str:
    for prefix in REFERENCES:
        if text.startswith(prefix):
            return text if prefix == "file:" else f"the variable {text.removeprefix(prefix)}"
    return "the environment"


def _leaves(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _leaves(field.annotation)
        else:
            yield name
