"""Batches that the store's contract tests write."""

from __future__ import annotations

from typing import Any

import msgspec

from hub.model import (
    Batch,
    CounterKey,
    Counts,
    DeadLetter,
    Position,
    Profile,
    Progress,
    Session,
    StoredEvent,
    partition_of,
)

NOW_MS = 1_764_000_000_000  # 2025-11-24T16:00:00Z
MONTH_MS = 31 * 86_400_000


def event(
    id: str,
    *,
    time_ms: int = NOW_MS,
    profile_id: str = "p1",
    session_id: str = "s1",
    type: str = "purchase",
    **properties: Any,
) -> StoredEvent:
    """An event whose document agrees with its columns, as the pipeline makes it."""
    document = {
        "id": id,
        "type": type,
        "source": {"id": "shop"},
        "profile": {"id": profile_id} if profile_id else None,
        "session": {"id": session_id} if session_id else None,
        "properties": properties,
    }
    return StoredEvent(
        id=id,
        partition=partition_of(time_ms, NOW_MS),
        profile_id=profile_id,
        session_id=session_id,
        type=type,
        source="shop",
        time_ms=time_ms,
        received_at_ms=NOW_MS,
        position=Position(1, 0, 7, 0),
        digest=b"0123456789abcdef",
        profile_version=7,
        doc=msgspec.json.encode(document),
    )


def profile(id: str, version: int = 1, **traits: Any) -> Profile:
    return Profile(id, version, {"id": id, "traits": traits})


def session(id: str, version: int = 1, profile_id: str = "p1", **context: Any) -> Session:
    return Session(id, profile_id, version, {"id": id, "profile": {"id": profile_id}, "context": context})


def letter(
    id: str, body: bytes = b"{oops", *, at_ms: int = NOW_MS, sha256: str | None = None, size: int = -1
) -> DeadLetter:
    return DeadLetter(
        id=id,
        source="shop",
        reason="not_json",
        detail="no JSON",
        stage="bridge",
        origin="bridge:orders:0/5",
        at_ms=at_ms,
        attempts=1,
        body=body,
        body_sha256=sha256,
        body_size=len(body) if size < 0 else size,
        headers=b'{"x-id": "42"}',
        position=Position(1, 0, 5, 0),
        payload_id=f"payload-{id}",
        key="ä".encode("latin-1"),
        time_ms=NOW_MS - 5,
        meta=b'{"topic": "orders"}',
    )


def batch(
    *documents: StoredEvent | Profile | Session | DeadLetter,
    progress: dict[int, tuple[int, int]] | None = None,
    counters: dict[CounterKey, Counts] | None = None,
    epoch: int = 1,
    failed_again: list[DeadLetter] | None = None,
    resolved: dict[str, int] | None = None,
) -> Batch:
    """A batch of these, each put where its type belongs."""
    return Batch(
        epoch=epoch,
        progress={partition: Progress(*step) for partition, step in (progress or {}).items()},
        events=[one for one in documents if isinstance(one, StoredEvent)],
        profiles=[one for one in documents if isinstance(one, Profile)],
        sessions=[one for one in documents if isinstance(one, Session)],
        dead_letters=[one for one in documents if isinstance(one, DeadLetter)],
        counters=counters or {},
        failed_again=failed_again or [],
        resolved=resolved or {},
    )


def whole(number: int, events: int) -> Batch:
    """The batch `number` (from 0) of a run of batches of this many events; something of every kind."""
    first = number * events
    return batch(
        *(event(f"e{first + n}", time_ms=NOW_MS - n % 3 * MONTH_MS, profile_id=f"p{n}") for n in range(events)),
        *(profile(f"p{n}", number + 1, batch=number) for n in range(events)),
        session("s1", number + 1, batch=number),
        letter(f"d{number}"),
        progress={0: (first, first + events)},
        counters={CounterKey(1, 0, "shop", 1): Counts(received=events, stored=events)},
    )
