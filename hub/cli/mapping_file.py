"""Mappings as commands are given them: a YAML or JSON file, or the name of one that comes with the hub."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import typer

from hub.edge.mapping.library import NAMES, text_of
from hub.edge.mapping.lint import mapping_in
from hub.edge.mapping.places import Source, Unreadable
from hub.edge.mapping.problems import Path as Within


class MappingFile(NamedTuple):
    """
    A file that was read.

    Attributes:
        label: What it is called in messages.
        mapping: What it holds, which may be wrong in any way.
        within: The mapping's path in the file: a bridge's definition has it inside.
    """

    label: str
    source: Source
    mapping: Any
    within: Within


def read(given: str) -> MappingFile:
    """
    A file, `-` for standard input, or a ready-made mapping.

    Raises: OSError, Unreadable; UnicodeDecodeError: it is not UTF-8.
    """
    if given in NAMES:
        source = Source(text_of(given), is_json=True)
        return MappingFile(given, source, source.value, ())
    text = sys.stdin.read() if given == "-" else Path(given).read_text(encoding="utf-8")
    suffix = Path(given).suffix
    is_json = suffix == ".json" or (suffix not in (".yaml", ".yml") and text.lstrip()[:1] == "{")
    source = Source(text, is_json=is_json)
    mapping, within = mapping_in(source.value)
    return MappingFile(given, source, mapping, within)


def mapping_document(given: str) -> dict[str, Any] | str:
    """What `--mapping` names. Raises typer.BadParameter."""
    if given in NAMES:
        return given
    try:
        mapping = read(given).mapping
    except (OSError, UnicodeDecodeError) as exc:
        known = f"; ready-made ones are {', '.join(NAMES)}" if isinstance(exc, FileNotFoundError) else ""
        raise typer.BadParameter(f"{given}: {exc}{known}", param_hint="--mapping") from exc
    except Unreadable as exc:
        raise typer.BadParameter(f"{given}:{exc.place.line}:{exc.place.column}: {exc}", param_hint="--mapping") from exc
    if not isinstance(mapping, (dict, str)):
        raise typer.BadParameter(f"{given}: expected an object with `event` or `events`", param_hint="--mapping")
    return mapping
