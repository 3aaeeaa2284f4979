"""What a copy is asked for with."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from hub.store.query import prepare


class IndexArguments(BaseModel, extra="forbid", frozen=True):
    """Of `copy-properties-to-traits`."""

    where: Annotated[str, Field(description="Which events (docs/query.md); empty: all.")] = ""
    dry_run: Annotated[bool, Field(description="Only count what would be done, and show some of it.")] = False


class CopyArguments(IndexArguments):
    """Of `copy-events-to-profiles`."""

    mappings: Annotated[list[str], Field(description="Ids of the mappings; empty: all that are in force.")] = []


def check(arguments: IndexArguments) -> None:
    """Raises QueryError: of what is searched for."""
    prepare(arguments.where, "events")
