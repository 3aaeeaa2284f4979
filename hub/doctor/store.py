"""The store: there, readable to this version, with room, and not behind what the log still has."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from hub.doctor.finding import FAIL, OK, WARN, Finding, Level
from hub.errors import PortError, Refused, Unavailable
from hub.log.admin import LogAdmin
from hub.settings import Kafka
from hub.store.factory import file_of, has_store, open_store
from hub.store.port import Store
from schemas.topics import EVENTS

LEAST_BYTES: Final = 1_000_000_000
GOOD_BYTES: Final = 5_000_000_000


def store(url: str, kafka: Kafka | None, namespace: str) -> Iterator[Finding]:
    """Args: url: as `open_store` takes it. kafka: None: it is not to be asked."""
    file = file_of(url)
    if file is not None:
        yield from _file(file)
    try:
        if not has_store(url):
            level: Level = OK if kafka is None else WARN
            yield Finding(level, "store", f"{_place(file)} is not there yet: the collector makes it when it starts")
            return
        with closing(open_store(url, readonly=True)) as opened:
            opened.ping()
            yield from _position(opened, kafka, namespace, _place(file))
    except Refused as exc:
        mend = "docs/upgrading.md: `hub migrate status` says which release it is of"
        yield Finding(FAIL, "store", exc.detail, mend)
    except Unavailable as exc:
        yield Finding(
            FAIL, "store", f"{_place(file)} does not answer: {exc.detail}", "Check HUB_STORE__URL, and who has it"
        )


def _place(file: Path | None) -> str:
    return "the search engine of HUB_STORE__URL" if file is None else str(file)


def _file(file: Path) -> Iterator[Finding]:
    folder = next((path for path in file.absolute().parents if path.exists()), Path("/"))
    locked = [path for path in (folder, file) if path.exists() and not os.access(path, os.W_OK, effective_ids=True)]
    if locked:
        mend = "Give the user of the collector the right to write there; is the disk mounted read-only?"
        yield Finding(FAIL, "store folder", f"nobody may write to {locked[0]} as this user", mend)
    free = shutil.disk_usage(folder).free
    level: Level = FAIL if free < LEAST_BYTES else WARN if free < GOOD_BYTES else OK
    mend = "" if level == OK else "Make room, or set a retention (docs/privacy.md)"
    yield Finding(level, "store disk", f"{free / 1e9:.1f} GB free at {folder}", mend)


def _position(opened: Store, kafka: Kafka | None, namespace: str, place: str) -> Iterator[Finding]:
    epoch, done = opened.latest_progress()
    at = sum(done.values())
    yield Finding(OK, "store", f"{place}: readable to this version, {at:,} records applied")
    if kafka is None:
        return
    admin = LogAdmin(kafka, namespace)
    try:
        topic_id, log = admin.topic_id(EVENTS), admin.offsets(EVENTS)
    except PortError:
        return  # said elsewhere
    if done and opened.known_epoch(topic_id) != epoch:
        why = "events.v1 is not the topic that was applied last: it was made anew, or this is another Kafka"
        mend = "If that is meant, nothing: the collector begins at its beginning. Else check HUB_KAFKA__BOOTSTRAP"
        yield Finding(WARN, "store position", why, mend)
        return
    yield _behind(done, log)


def _behind(done: Mapping[int, int], log: Mapping[int, tuple[int, int]]) -> Finding:
    """Args: done: by partition, the first offset that is not applied. log: where it begins and ends."""
    if not done:
        return Finding(OK, "store position", "nothing is applied yet")
    ahead = sorted(number for number, at in done.items() if number in log and at > log[number][1])
    if ahead:
        why = f"the store has more of partitions {ahead} than the log: another Kafka, or one that lost records"
        return Finding(FAIL, "store position", why, "Check HUB_KAFKA__BOOTSTRAP and HUB_NAMESPACE; docs/operations.md")
    gaps = {number: (at, log[number][0]) for number, at in done.items() if number in log and at < log[number][0]}
    if gaps:
        where = "; ".join(f"partition {number}: {at:,} to {begin - 1:,}" for number, (at, begin) in gaps.items())
        mend = "docs/operations.md, `gap`: restore a younger store, or `hub collector --accept-gap`"
        return Finding(FAIL, "store position", f"records are gone from the log that are not stored: {where}", mend)
    waiting = sum(end - done.get(number, 0) for number, (_, end) in log.items())
    return Finding(OK, "store position", f"{waiting:,} records behind the log, all of them still there")
