"""Every version of every definition."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hub.store.port import DefinitionVersion, check_size
from hub.store.sqlite.database import Database

_COLUMNS: Final = "kind, id, version, at_ms, spec"


class VersionSide:
    """`Versions` of the port."""

    _db: Database

    def keep_versions(self, versions: Iterable[DefinitionVersion]) -> None:
        """See the port."""
        with self._db.transaction() as connection:
            connection.executemany(
                f"INSERT INTO definition_versions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", versions
            )

    def versions(self, kind: str, id: str, size: int, before: int | None) -> list[DefinitionVersion]:
        """See the port."""
        check_size(size)
        with self._db.reading() as connection:
            rows = connection.execute(
                f"""SELECT {_COLUMNS} FROM definition_versions WHERE kind = ? AND id = ? AND version < ?
                    ORDER BY version DESC, at_ms DESC LIMIT ?""",
                (kind, id, 2**63 - 1 if before is None else before, size),
            ).fetchall()
        return [DefinitionVersion(*row) for row in rows]

    def version(self, kind: str, id: str, version: int) -> DefinitionVersion | None:
        """See the port."""
        with self._db.reading() as connection:
            row = connection.execute(
                f"""SELECT {_COLUMNS} FROM definition_versions WHERE kind = ? AND id = ? AND version = ?
                    ORDER BY at_ms DESC LIMIT 1""",
                (kind, id, version),
            ).fetchone()
        return None if row is None else DefinitionVersion(*row)

    def ever_defined(self, kind: str) -> set[str]:
        """See the port."""
        with self._db.reading() as connection:
            rows = connection.execute("SELECT DISTINCT id FROM definition_versions WHERE kind = ?", (kind,))
            return {id for (id,) in rows}
