"""The secrets of bridge definitions: sealed when they come in, never shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from bridges.registry import BridgeError, spec_of
from hub.definitions.kinds import Bridge, Destination
from hub.definitions.sealed import PLACEHOLDER, Seal
from hub.definitions.sealed import PREFIX as SEALED
from hub.definitions.secrets import MASK, is_reference, masked, with_secrets

Typed = TypeVar("Typed", Bridge, Destination)


def _of_bridges(kind: str) -> type[BaseModel]:
    return spec_of(kind).settings


class BridgeVault:
    """The API's `Vault` of definitions whose type says what their settings are: of bridges, unless told otherwise."""

    def __init__(self, key: str, settings_of: Callable[[str], type[BaseModel]] = _of_bridges) -> None:
        """Args: key: what to seal with, not empty. settings_of: a type's; raises BridgeError if there is none such."""
        self._seal = Seal(key)
        self._settings_of = settings_of

    def sealed(self, spec: Typed, old: Typed | None) -> Typed:
        """See Vault. Raises BridgeError, which says where."""
        try:
            model = self._settings_of(spec.type)
        except BridgeError:
            return spec  # what is wrong with it is for the validation to say
        before: dict[str, str] = {}

        def note(where: str, value: str) -> str:
            before[where] = value
            return value

        if old is not None and old.type == spec.type:
            with_secrets(model, old.settings, note, "settings")

        def keep(where: str, value: str) -> str:
            if value == PLACEHOLDER or (value.startswith(SEALED) and before.get(where) != value):
                if value != PLACEHOLDER or where not in before:
                    raise BridgeError(
                        f"{where}: {value.partition(':')[0]!r} stands for a secret that is kept already, and here is "
                        "none: write the secret itself, or env:NAME"
                    )
                return before[where]
            return value if is_reference(value) else self._seal.seal(value)

        settings = with_secrets(model, spec.settings, keep, "settings")
        if old is not None:
            settings = _unmasked(settings, old.settings)
        return spec.model_copy(update={"settings": settings})

    def shown(self, spec: dict[str, Any]) -> dict[str, Any]:
        """See Vault."""
        try:
            model: type[BaseModel] | None = self._settings_of(spec.get("type", ""))
        except BridgeError:
            model = None
        settings = spec.get("settings", {})
        if model is not None:
            settings = with_secrets(
                model, settings, lambda _, value: value if is_reference(value) else PLACEHOLDER, "settings"
            )
        return {**spec, "settings": _hidden(settings)}


def _hidden(value: Any) -> Any:
    """Whatever is sealed, wherever it stands, and passwords in URLs."""
    if isinstance(value, str):
        return PLACEHOLDER if value.startswith(SEALED) else masked(value)
    if isinstance(value, Mapping):
        return {name: _hidden(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_hidden(each) for each in value]
    return value


def _unmasked(value: Any, old: Any) -> Any:
    """A URL that was sent back as it is shown is the one that is there."""
    if isinstance(value, str) and isinstance(old, str):
        return old if MASK in value and value == masked(old) else value
    if isinstance(value, dict) and isinstance(old, Mapping):
        return {name: _unmasked(each, old.get(name)) for name, each in value.items()}
    if isinstance(value, list) and isinstance(old, list) and len(value) == len(old):
        return [_unmasked(each, before) for each, before in zip(value, old, strict=True)]
    return value
