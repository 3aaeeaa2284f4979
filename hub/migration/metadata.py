"""Definitions of 0.9.0, which MySQL has: rows of its tables, as the documents of 0.8 were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from hub.errors import Refused
from hub.imports.mysql import MySql
from hub.imports.sql import Server

TABLES: Final[Mapping[str, str]] = {
    "event_source": "event-source",
    "segment": "segment",
    "consent_type": "consent-type",
    "event_mapping": "event-management",
    "event_to_profile_mapping": "event-to-profile",
    "identification_point": "identification-point",
    "event_redirect": "event-redirect",
    "workflow_trigger": "rule",
    "workflow": "flow",
}
"""Tables, and the kind of document that each row was before."""
_REFS: Final = ("source", "event_type", "flow", "segment")
"""Columns such as `source_id` and `source_name` were an object."""
_BLOCK: Final = 500


def documents(server: Server, *, tenant: str, production: bool) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """
    By kind, each with its id. Only reads, of one moment. A table that is not there has no rows.

    Raises: Refused, Unavailable.
    """
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    with MySql(server) as database:
        for table, kind in TABLES.items():
            try:
                rows = _rows(database, table, tenant, production)
            except Refused as exc:
                if "doesn't exist" not in exc.detail:
                    raise
                rows = []
            found[kind] = sorted((str(row["id"]), document_of(row)) for row in rows)
    return found


def document_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a document: JSON read, bytes as text, references as objects."""
    made: dict[str, Any] = {}
    for name, value in row.items():
        if name in {"tenant", "production"}:
            continue
        made[name] = _plain(value)
    for name in _REFS:
        if f"{name}_id" in made:
            made[name] = {"id": made.pop(f"{name}_id") or "", "name": made.pop(f"{name}_name", None) or ""}
    # whether it is switched on was 0 or 1
    return {name: bool(value) if name in _FLAGS and value is not None else value for name, value in made.items()}


_FLAGS: Final = frozenset(
    {"enabled", "transitional", "permanent_profile_id", "revokable", "required", "locked", "lock", "deployed"}
)
_JSON: Final[Callable[[str], Any]] = msgspec.json.Decoder().decode


def _rows(database: MySql, table: str, tenant: str, production: bool) -> list[dict[str, Any]]:
    """Args: table: of TABLES."""
    statement = f"SELECT * FROM {table} WHERE tenant = %s AND production = %s"  # noqa: S608 - a name of ours
    values: Sequence[Any] = [tenant, int(production)]
    with database.answer(statement, values, _BLOCK) as answer:
        names = [column.name for column in answer.columns]
        return [dict(zip(names, row, strict=True)) for block in answer.rows for row in block]


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value).decode("utf-8", "replace")
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return _JSON(value)
        except msgspec.DecodeError:
            return value
    return value
