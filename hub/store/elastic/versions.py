"""Every version of every definition: rows that are made once and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hub.store.elastic.client import Engine
from hub.store.elastic.rows import PAGE, Fields, Table, between, equal
from hub.store.port import DefinitionVersion, check_size


class VersionSide:
    """`Versions` of the port."""

    _engine: Engine

    def keep_versions(self, versions: Iterable[DefinitionVersion]) -> None:
        """See the port: those that are kept already have a conflict, and stay. Raises Unavailable: some may be kept."""
        self._versions.apply(self._versions.creating(_key(one), one._asdict()) for one in versions)

    def versions(self, kind: str, id: str, size: int, before: int | None) -> list[DefinitionVersion]:
        """See the port. Raises Unavailable."""
        check_size(size)
        return self._find(kind, id, [] if before is None else [between("version", lt=before)], size)

    def version(self, kind: str, id: str, version: int) -> DefinitionVersion | None:
        """See the port. Raises Unavailable."""
        return next(iter(self._find(kind, id, [equal("version", version)], 1)), None)

    def ever_defined(self, kind: str) -> set[str]:
        """See the port. Raises Unavailable."""
        self._versions.refresh()
        found: set[str] = set()
        last: str | None = None
        while some := self._versions.distinct([equal("kind", kind)], "id", PAGE, last):
            found.update(some)
            last = some[-1]
        return found

    @property
    def _versions(self) -> Table:
        return Table(self._engine, "versions")

    def _find(self, kind: str, id: str, where: Sequence[dict[str, Any]], size: int) -> list[DefinitionVersion]:
        rows = self._versions.find([equal("kind", kind), equal("id", id), *where], ["-version", "-at_ms"], size)
        return [_version(row.fields) for row in rows]


def _key(one: DefinitionVersion) -> str:
    """Also by when: the offsets of a topic that is made anew begin at 0 again."""
    return f"{one.kind}/{one.version}/{one.at_ms}/{one.id}"


def _version(row: Fields) -> DefinitionVersion:
    return DefinitionVersion(row["kind"], row["id"], row["version"], row["at_ms"], row["spec"])
