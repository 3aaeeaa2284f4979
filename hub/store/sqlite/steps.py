"""What the steps from one schema to the next cost and change, read off their SQL."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from hub.errors import Unavailable

_NAME: Final = r"\"?(\w+)\"?"
_NEW_TABLE: Final = re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?{_NAME}", re.IGNORECASE)
_NEW_COLUMN: Final = re.compile(rf"ALTER TABLE {_NAME} ADD (?:COLUMN )?", re.IGNORECASE)
_NEW_INDEX: Final = re.compile(rf"CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?{_NAME} ON {_NAME}", re.IGNORECASE)
_ROWS: Final = re.compile(rf"(INSERT(?: OR \w+)? INTO|DELETE FROM|DROP TABLE) {_NAME}", re.IGNORECASE)
_VALUES: Final = re.compile(r"INSERT(?: OR \w+)? INTO \S+ (?:\([^)]*\) )?VALUES\b", re.IGNORECASE)
_UPDATE: Final = re.compile(rf"UPDATE {_NAME} SET (.*)", re.IGNORECASE)
_ASSIGNED: Final = re.compile(rf"(?:^|, ){_NAME} = ")


class Changes(NamedTuple):
    """
    What steps change in what is stored.

    `dropped`, `counted`: tables that go, and those that may have other rows than before. `columns`: by table, those
    that get other values in rows that stay.
    """

    dropped: frozenset[str]
    counted: frozenset[str]
    columns: dict[str, frozenset[str]]


def is_instant(steps: Iterable[Sequence[str]]) -> bool:
    """
    Whether the steps read and write no more than a few pages, however much is stored.

    What is not known to be so counts as not.
    """
    made: set[str] = set()
    for statement in _flat(steps):
        if new := _NEW_TABLE.match(statement):
            if re.search(r"\bAS SELECT\b", statement, re.IGNORECASE):
                return False
            made.add(new[1])
        elif index := _NEW_INDEX.match(statement):
            if index[2] not in made:
                return False
        elif not (_NEW_COLUMN.match(statement) or _VALUES.match(statement)):
            return False
    return True


def require_instant(version: int, migrations: Sequence[Sequence[str]], path: Path) -> None:
    """
    Raises Unavailable for a file whose upgrade takes longer than an open may: `hub.store.sqlite.beside` does it.

    Args: version: of the file; 0: it is new, and empty.
    """
    if version and not is_instant(migrations[version:]):
        raise Unavailable(
            "store",
            f"{path} has schema {version}, not yet {len(migrations)}: start the collector, it upgrades; "
            "or run `hub migrate store`",
        )


def changes(steps: Iterable[Sequence[str]]) -> Changes:
    """What they change."""
    dropped: set[str] = set()
    counted: set[str] = set()
    columns: defaultdict[str, set[str]] = defaultdict(set)
    for statement in _flat(steps):
        if rows := _ROWS.match(statement):
            (dropped if rows[1].upper() == "DROP TABLE" else counted).add(rows[2])
        elif update := _UPDATE.match(statement):
            columns[update[1]].update(_ASSIGNED.findall(_without_brackets(update[2])))
    return Changes(frozenset(dropped), frozenset(counted), {table: frozenset(some) for table, some in columns.items()})


def _flat(steps: Iterable[Sequence[str]]) -> Iterable[str]:
    return (" ".join(statement.split()) for statements in steps for statement in statements)


def _without_brackets(text: str) -> str:
    """`doc = json_set(doc, 'a', b), x = 1` → `doc = json_set, x = 1`: what is not within brackets."""
    depth, kept = 0, []
    for character in text:
        depth -= character == ")"
        if depth == 0 and character != ")":
            kept.append(character if character != "(" else "")
        depth += character == "("
    return "".join(kept)
