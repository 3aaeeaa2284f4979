"""Who is erased or suppressed in live is so in a shadow, before anything is sent to it."""

from __future__ import annotations

from contextlib import closing
from typing import Final

from hub.replay.source import ReplayStore
from hub.store.factory import open_store

PAGE: Final = 5_000


def keep_privacy(live: ReplayStore, store_url: str) -> int:
    """
    Args: store_url: of the shadow, whose collector does not run yet.

    Returns: running number of the first request that is not in force there yet. Raises Unavailable, Refused.
    """
    newest = live.orders(1, None)
    with closing(open_store(store_url)) as shadow:
        shadow.keep_voids((), live.expired())
        after = ("", -1)
        while voids := live.voids_after(after, PAGE):
            shadow.keep_voids(voids, ())
            after = (voids[-1].mark, voids[-1].since_ms)
    return newest[0].seq + 1 if newest else 1
