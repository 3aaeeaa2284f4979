"""Definitions as files: one a file, in a folder named after its kind, or with `kind`, `id` and `spec` in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

import yaml
from pydantic import ValidationError

from hub.cli.flow_file import FlowFile
from hub.definitions.kinds import KINDS
from hub.edge.mapping.problems import Problem

SUFFIXES: Final = (".yaml", ".yml", ".json")
WRAPPED: Final = frozenset({"kind", "id", "spec"})
HERE_ALONE: Final = "api-key"
"""Of one hub: what is kept of a key is a hash that only the hub itself has."""


class Named(NamedTuple):
    """What a definition is called."""

    kind: str
    id: str

    def __str__(self) -> str:
        """As a path."""
        return f"{self.kind}/{self.id}"


class Wanted(NamedTuple):
    """A definition of a file. `spec`: whole, with what the file leaves out at its default."""

    file: Path
    spec: dict[str, Any]


class Unusable(ValueError):
    """A file that holds no definition; the message has file and line."""


def files_in(paths: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """
    All files, and of each the path that says what its definition is called.

    Raises: Unusable: a path leads nowhere, or to a folder without any.
    """
    for path in paths:
        if path.is_file():
            yield path, Path(path.absolute().parent.name, path.name)
            continue
        found = sorted(each for each in path.rglob("*") if each.suffix in SUFFIXES and each.is_file())
        if not found:
            words = "no .yaml, .yml or .json file is in it" if path.is_dir() else "there is no such file or folder"
            raise Unusable(f"{path}: {words}")
        for each in found:
            # `hub apply flow`, too, where `flow` is the folder of a kind
            below = each.relative_to(path)
            yield each, below if below.parts[0] in KINDS else Path(path.absolute().name, below)


def read(file: Path, within: Path) -> tuple[Named, Wanted]:
    """
    One definition.

    Args: within: KIND/ID.yaml, unless the file says itself what it is called.

    Raises: Unusable.
    """
    source = FlowFile(str(file))
    value = source.value
    inside: tuple[str, ...] = ()
    if isinstance(value, dict) and value.keys() == WRAPPED:
        named = Named(str(value["kind"]), str(value["id"]))
        value, inside = value["spec"], ("spec",)
    else:
        parts = within.with_suffix("").parts
        named = Named(parts[0], unquote("/".join(parts[1:])))
    if named.kind not in KINDS:
        raise Unusable(
            f"{file}: what kind of definition is it? Put it into a folder of that name, as in flow/tea.yaml, or write "
            f"`kind`, `id` and `spec`. The kinds are {', '.join(KINDS)}"
        )
    try:
        spec = whole(named.kind, value)
    except ValidationError as exc:
        raise Unusable("\n".join(_lines(source, exc, inside))) from exc
    except (TypeError, ValueError) as exc:
        raise Unusable(f"{file}: {exc}") from exc
    return named, Wanted(file, spec)


def whole(kind: str, spec: Any) -> dict[str, Any]:
    """A definition with all its fields. Raises ValidationError; TypeError, ValueError: it is no JSON."""
    text = json.dumps(spec, allow_nan=False)
    return KINDS[kind].model_validate_json(text).model_dump(mode="json")


def text_of(kind: str, spec: dict[str, Any]) -> str:
    """A definition as YAML, without what has its default."""
    short = KINDS[kind].model_validate(spec).model_dump(mode="json", exclude_defaults=True)
    if whole(kind, short) != spec:  # a member that says which of several models is meant has a default, too
        short = spec
    return yaml.safe_dump(short, sort_keys=False, allow_unicode=True, width=120)


def place_of(named: Named) -> Path:
    """Where `hub export` puts it: whatever its id is, in the folder of its kind."""
    name = quote(named.id, safe=" @+,=")
    return Path(named.kind, f"{'%2E' + name[1:] if name.startswith('.') else name}.yaml")


def _lines(source: FlowFile, error: ValidationError, inside: tuple[str, ...]) -> Iterator[str]:
    for found in error.errors(include_url=False):
        words = "there is no such field" if found["type"] == "extra_forbidden" else found["msg"]
        yield source.line(Problem((*inside, *found["loc"]), words.removeprefix("Value error, ")))
