"""
From one version of a store to the next: what there is to do, doing it beside the old one, and going back.

In a file `hub.store.sqlite` does it, in a search engine `hub.store.elastic`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeAlias

from hub.errors import Refused
from hub.search_engine import address_of, is_engine
from hub.store.factory import engine_of, file_of
from hub.store.sqlite import beside, rollback
from hub.store.sqlite.beside import Step, Tell, gigabytes

if TYPE_CHECKING:
    from hub.store.elastic.beside import Outlook as EngineOutlook
    from hub.store.elastic.beside import Upgraded as EngineUpgraded
    from hub.store.elastic.client import Engine
    from hub.store.elastic.rollback import Kept
    from hub.store.elastic.rollback import RolledBack as EngineRolledBack

    Outlook: TypeAlias = beside.Outlook | EngineOutlook
    Upgraded: TypeAlias = beside.Upgraded | EngineUpgraded
    File: TypeAlias = rollback.File | Kept
    RolledBack: TypeAlias = rollback.RolledBack | EngineRolledBack

__all__ = ["Step", "Tell", "discard", "due", "files", "gigabytes", "look", "now_ms", "roll_back", "upgrade"]


def due(url: str) -> bool:
    """
    Whether the store has to be upgraded before a process opens it for writing, or somebody is at it. Says it within
    seconds.

    Small changes are made in place when it is opened.

    Args: url: as of `open_store`; so of all below. Raises: Refused, Unavailable.
    """
    if (path := file_of(url)) is not None:
        return path.exists() and not beside.look(path).is_instant
    if not is_engine(url):
        return False
    from hub.store.elastic.beside import is_due  # noqa: PLC0415 - its client takes a second to load

    with closing(engine_of(url, is_soon=True)) as engine:
        return is_due(engine)


def look(url: str) -> Outlook:
    """What there is to do. Changes nothing. Raises: Refused: it is newer. Unavailable: there is none."""
    if (path := file_of(url)) is not None:
        return beside.look(path)
    with _engine(url) as engine:
        from hub.store.elastic.beside import look as look_at  # noqa: PLC0415

        return look_at(engine)


def upgrade(
    url: str, *, now_ms: Callable[[], int], tell: Tell = lambda _: None, is_trial: bool = False
) -> Upgraded | None:
    """
    Bring the store to this version, beside the old one.

    Args: is_trial: do all but the last step, keep nobody waiting, and remove the new one.

    Returns: None: there was nothing to do. Raises: Refused, Unavailable: nothing has changed.
    """
    if (path := file_of(url)) is not None:
        return beside.upgrade(path, now_ms=now_ms, tell=tell, is_trial=is_trial)
    with _engine(url) as engine:
        from hub.store.elastic.beside import upgrade as upgrade_in  # noqa: PLC0415

        return upgrade_in(url, engine, address_of(url).layout, now_ms=now_ms, tell=tell, is_trial=is_trial)


def files(url: str) -> Sequence[File]:
    """All files, or generations of indices, of a store. Raises Refused, Unavailable."""
    if (path := file_of(url)) is not None:
        return rollback.files(path)
    with _engine(url) as engine:
        from hub.store.elastic.rollback import files as files_of  # noqa: PLC0415

        return files_of(engine)


def roll_back(url: str, *, now_ms: Callable[[], int], is_forced: bool = False) -> RolledBack:
    """
    Put what was there before the last upgrade in force again.

    Args: is_forced: also if the log does not reach back so far. Raises: Refused, Unavailable: nothing has changed.
    """
    if (path := file_of(url)) is not None:
        return rollback.roll_back(path, now_ms=now_ms, is_forced=is_forced)
    with _engine(url) as engine:
        from hub.store.elastic.rollback import roll_back as roll_back_in  # noqa: PLC0415

        return roll_back_in(engine, now_ms=now_ms, is_forced=is_forced)


def discard(url: str) -> Sequence[File]:
    """Remove all that is not in force. Returns: what was removed. Raises Refused, Unavailable."""
    if (path := file_of(url)) is not None:
        return rollback.discard(path)
    with _engine(url) as engine:
        from hub.store.elastic.rollback import discard as discard_in  # noqa: PLC0415

        return discard_in(engine)


def now_ms() -> int:
    """The clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    """Raises Refused for a store that has no versions."""
    if not is_engine(url):
        raise Refused("store", "only a store in a file or a search engine has versions: correct HUB_STORE__URL")
    with closing(engine_of(url)) as engine:
        yield engine
