"""Heartbeats as the collector sees them: events of a source of the hub's own, of people whom it knows."""

from __future__ import annotations

from typing import Final

from hub.pipeline.touched import Touched
from schemas.records import Inbound

SOURCE: Final = "@heartbeat"
"""Their event source: so they are counted by themselves, as what anybody else sends."""


def is_vain(inbound: Inbound, touched: Touched) -> bool:
    """
    Whether the profile has gone since somebody saw that it was there: it was erased.

    What a heartbeat is for are people who are there; it makes nobody.
    """
    return inbound["source"] == SOURCE and not touched.has(inbound["profile_id"])
