"""What a replay has done."""

from __future__ import annotations

import msgspec

from hub.replay.diff import Diff
from hub.replay.promotion import Promoted


class Partition(msgspec.Struct):
    """Which offsets of a partition were wanted; before `log_begin` they are read from the store."""

    partition: int
    first: int
    last: int
    log_begin: int


class Report(msgspec.Struct):
    """
    How it went.

    `whole`: all that was ever taken was wanted. `read`: records, `log` and `store`. `skipped`: records read and not
    sent, by why. `shadow`: events of the shadow: received, stored, duplicate, dropped, dead. `not_promoted`: why the
    shadow was not put in live's place, although that was wanted.
    """

    namespace: str
    into: str
    dry_run: bool
    whole: bool
    partitions: list[Partition]
    read: dict[str, int]
    skipped: dict[str, int]
    records: int = 0
    events: int = 0
    took_s: float = 0.0
    shadow: dict[str, int] | None = None
    diff: Diff | None = None
    promoted: Promoted | None = None
    not_promoted: str = ""
