"""Whose write key is it? Event sources by the keys that other vendors' clients send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, cast

import structlog

from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Source

log: Final = structlog.get_logger()


def source_of(key: str, catalogue: Catalogue) -> str | None:
    """Id of the event source that has this write key, whether it is enabled or not; None: none has it."""
    return catalogue.compiled("source", _by_key).get(key)


def taken(source_id: str, spec: Source, catalogue: Catalogue) -> tuple[str, str] | None:
    """A write key of `spec` that another source has already, and that source's id."""
    wanted = set(spec.write_keys)
    return next(
        (pair for pair in _pairs(catalogue.entries("source")) if pair[1] != source_id and pair[0] in wanted), None
    )


def _by_key(entries: Mapping[str, Entry]) -> dict[str, str]:
    # two API processes may have saved one key for two sources in the same moment: every process decides alike
    found: dict[str, str] = {}
    for key, id in _pairs(entries):
        if found.setdefault(key, id) != id:
            log.warning("source.write_key_shared", source=id, keeps=found[key])
    return found


def _pairs(entries: Mapping[str, Entry]) -> Iterator[tuple[str, str]]:
    for id, entry in sorted(entries.items()):
        for key in cast("Source", entry.spec).write_keys:
            yield key, id
