"""Records that ask the owner of a profile to look at its segments, or to let it into some."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hub.pipeline.histories import SOURCE
from hub.pipeline.membership import By
from hub.pipeline.patches import ChangeSegments, Operation, Reevaluate
from schemas.records import PATCH, Inbound, Patch


def reevaluate(
    profile_id: str, segments: Sequence[str] | None, *, id: str, at_ms: int, definitions_offset: int
) -> Inbound:
    """
    Ask for another look at a profile: no verdict, as whoever asks does not own it. To ask twice does no harm.

    Args:
        segments: Which; None: all.
        id: Of the record.
        at_ms: When the question is asked, milliseconds since 1970: what the conditions take for now.
        definitions_offset: The collector waits until it knows definitions that are as new as this.
    """
    operation = Reevaluate(None if segments is None else list(segments))
    return _patch(profile_id, operation, id, at_ms, definitions_offset)


def join_or_leave(
    profile_id: str,
    add: Sequence[str],
    remove: Sequence[str],
    *,
    by: By,
    id: str,
    at_ms: int,
    definitions_offset: int,
) -> Inbound:
    """
    Let a profile into segments without a condition, and out of others. A second time changes nothing.

    Args: by: whether somebody's list says so, or a flow. The others: as of `reevaluate`.
    """
    return _patch(profile_id, ChangeSegments(list(add), list(remove), by), id, at_ms, definitions_offset)


def _patch(profile_id: str, operation: Operation, id: str, at_ms: int, definitions_offset: int) -> Inbound:
    body: Patch = {"cause": id, "operations": msgspec.json.encode([operation])}
    return {
        "id": id,
        "source": SOURCE,
        "profile_id": profile_id,
        "received_at_ms": at_ms,
        "definitions_offset": definitions_offset,
        "origin": "segments",
        "body": (PATCH, body),
    }
