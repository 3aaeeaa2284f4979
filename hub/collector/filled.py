"""What is read from the store for segments: histories that profiles lack, and what records led to that come again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from hub.conditions.history import State
from hub.model import Position, Profile
from hub.pipeline.histories import lacking, made_of, types_of
from hub.pipeline.records import Decoded
from hub.pipeline.segment_events import id_at, month_of
from hub.pipeline.segments import Segments
from hub.store.port import Writing
from schemas.records import MERGE

NOTHING: Final[Mapping[str, Mapping[str, State]]] = {}


def fill(
    records: Sequence[Decoded],
    profiles: Mapping[str, Profile],
    segments: Segments,
    store: Writing,
    finish: Callable[[], None],
) -> Mapping[str, Mapping[str, State]]:
    """
    By profile, the histories that it lacks, made of its events in the store: which has all up to its version.

    Args:
        profiles: Those of the batch, as they were before.
        segments: Those in force.
        finish: Waits until the store has everything; called when something is read.

    Raises: Unavailable.
    """
    series = segments.series
    if not series or _is_put_together(records):
        return NOTHING
    now_ms = min((one.inbound["received_at_ms"] for one in records if one.inbound is not None), default=0)
    filled: dict[str, Mapping[str, State]] = {}
    for id, document in (*((one.id, one.doc) for one in profiles.values()), *_losers(records)):
        if _is_whole(document, segments):
            continue
        missing = lacking(document, series, now_ms)
        if missing:
            finish()
            documents = store.history(id, types_of(missing))
            filled[id] = made_of(documents, document["ids"], missing, now_ms)
    return filled


def told_before(
    records: Iterable[Decoded], epoch: int, progress: Mapping[int, int], store: Writing
) -> Iterator[tuple[str, bytes]]:
    """
    (id, document) of the events on segments that records led to that are told again.

    They are numbered, so one is asked for after the other, of all records at once. Raises Unavailable.
    """
    again = {
        Position(epoch, one.record.partition, one.record.offset, 0): month_of(one.inbound)
        for one in records
        if one.inbound is not None and one.record.offset < progress.get(one.record.partition, 0)
    }
    number = 0
    while again:
        found = store.outcomes([(id_at(position, number), month) for position, month in again.items()])
        yield from found.items()
        again = {position: month for position, month in again.items() if id_at(position, number) in found}
        number += 1


def _is_whole(document: Mapping[str, Any], segments: Segments) -> bool:
    """Whether it has been judged by all that is defined: then it lacks nothing that it had at that time."""
    metadata = document["metadata"]
    if metadata.get("judged") != segments.newest:
        return False
    history, series = metadata.get("history", NOTHING), segments.series
    # to compare all keys takes as long as some judging; since it was judged by the newest there are at most fewer
    return len(history) == len(series) or series.keys() <= history.keys()


def _is_put_together(records: Sequence[Decoded]) -> bool:
    """Whether profiles are made anew of what was before a merge: what is stored now would not be theirs."""
    return len(records) == 1 and records[0].stands_alone


def _losers(records: Iterable[Decoded]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Profiles whose data a merge brings, and their documents."""
    for decoded in records:
        inbound = decoded.inbound
        if inbound is not None and inbound["body"][0] == MERGE and inbound["body"][1]["step"] == "data":
            body = inbound["body"][1]
            yield body["loser_id"], msgspec.json.decode(body["snapshot"])
