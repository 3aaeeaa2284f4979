"""
The store in one: a class of all its parts.

How a batch is written whole or not at all: `hub.store.elastic.head`.
"""

from __future__ import annotations

from hub.search_engine import Layout
from hub.store.elastic import generations
from hub.store.elastic.apply import Applying
from hub.store.elastic.blobs import BlobSide
from hub.store.elastic.books import BooksSide
from hub.store.elastic.client import Engine
from hub.store.elastic.copies import CopySide
from hub.store.elastic.flow_runs import FlowRunSide
from hub.store.elastic.head import HeadDocument
from hub.store.elastic.identity import IdentitySide
from hub.store.elastic.keys import KeySide
from hub.store.elastic.privacy import PrivacySide
from hub.store.elastic.promotion import PromotionSide
from hub.store.elastic.read import ReadSide
from hub.store.elastic.scan import ScanSide
from hub.store.elastic.schema import STEPS, Steps
from hub.store.elastic.segments import SegmentSide
from hub.store.elastic.tasks import TaskSide
from hub.store.elastic.versions import VersionSide
from hub.store.elastic.walk import Settled, WalkSide
from hub.store.elastic.write import WriteSide


class ElasticStore(
    WriteSide,
    IdentitySide,
    PrivacySide,
    PromotionSide,
    BooksSide,
    ReadSide,
    SegmentSide,
    ScanSide,
    WalkSide,
    CopySide,
    TaskSide,
    FlowRunSide,
    VersionSide,
    KeySide,
    BlobSide,
):
    """What there is of the port, on one namespace of a cluster. Any number of them may write."""

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        readonly: bool = False,
        layout: Layout = Layout(),  # noqa: B008 - frozen
        steps: Steps = STEPS,
        generation: str = "",
    ) -> None:
        """
        Make what is not there yet. One that is read-only does not connect yet: until somebody has made the indices, all
        that it is asked raises Unavailable.

        Args:
            url: `hub.search_engine.address_of`.
            layout: of new indices. steps: of the schema that is known.
            generation: to read instead of the one in force.

        Raises: Refused: also that it was made by a newer hub. Unavailable: also that it has to be upgraded first.
        """
        self._engine = Engine(url, namespace, readonly=readonly)
        if generation:
            self._engine.locate = lambda: generation
        else:
            generations.follow(self._engine, steps=steps)
        self._head = HeadDocument(self._engine)
        self._applying = Applying(self._engine, self._head)
        self._settled = Settled(self._engine)
        self._done: list[str] = []
        try:
            self._promotions = 0
            if not readonly:
                generations.opened(self._engine, layout, steps)
                self._promotions = self._head.read().promotions
                self.sweep()
        except BaseException:
            self._engine.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._engine.close()
