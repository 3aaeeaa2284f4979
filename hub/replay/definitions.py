"""Which definitions a shadow namespace works with: those of live, some of them replaced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
from pydantic import ValidationError

from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import KINDS

Key: TypeAlias = tuple[str, str]
"""Kind and id."""
Specs: TypeAlias = dict[Key, dict[str, Any]]
Files: TypeAlias = Mapping[Key, "dict[str, Any] | None"]
"""What replaces live's definitions; None takes one out."""

Changes: TypeAlias = "dict[Key, dict[str, Any] | None]"
"""Definitions to write; None for those that have to go."""

LEFT_OUT: Final = frozenset({"bridge", "destination", "flow", "flow-draft", "api-key"})
"""
Kinds that a shadow does not get: with live's bridges it would take messages away from live, with live's destinations
and flows do what live has done. Keys are of one namespace.
"""


class DefinitionError(ValueError):
    """A file is no definition; the message says which one, and why."""


def specs_of(catalogue: Catalogue) -> Specs:
    """What a namespace has, but for LEFT_OUT."""
    return {
        (kind, id): entry.spec.model_dump(mode="json")
        for kind in KINDS
        if kind not in LEFT_OUT
        for id, entry in catalogue.entries(kind).items()
    }


def read_folder(folder: Path) -> Files:
    """
    Definitions from files `KIND/ID.json`, each the body of a `PUT /definitions/KIND/ID`; `null` takes one out.

    Raises: DefinitionError.
    """
    found: dict[Key, dict[str, Any] | None] = {}
    for path in sorted(folder.glob("*/**/*.json")):
        kind, _, id = path.relative_to(folder).with_suffix("").as_posix().partition("/")
        if kind not in KINDS or kind in LEFT_OUT:
            allowed = ", ".join(sorted(KINDS.keys() - LEFT_OUT))
            raise DefinitionError(f"{path}: a shadow has no definitions of kind {kind}; it has {allowed}")
        try:
            document = msgspec.json.decode(path.read_bytes())
            found[kind, id] = None if document is None else KINDS[kind].model_validate(document).model_dump(mode="json")
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, ValidationError) as exc:
            raise DefinitionError(f"{path}: {exc}") from exc
    if not found:
        raise DefinitionError(f"{folder} has no files like mapping/spending.json")
    return found


def wanted_specs(live: Specs, shadow: Specs, files: Files | None) -> Specs:
    """
    What a shadow works with.

    Args: files: what replaces live's; None: what the shadow has stays, and if it has nothing it gets live's.
    """
    if files is None:
        return shadow or live
    replaced = {key: spec for key, spec in files.items() if spec is not None}
    return {key: spec for key, spec in live.items() if key not in files} | replaced


def changes(present: Specs, wanted: Specs) -> Changes:
    """What has to be written to come from what is present to what is wanted."""
    written: Changes = {key: spec for key, spec in wanted.items() if present.get(key) != spec}
    return written | {key: None for key in present if key not in wanted}
