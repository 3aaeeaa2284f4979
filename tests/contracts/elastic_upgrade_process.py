"""An upgrade that is killed: `python -m tests.contracts.elastic_upgrade_process URL NAMESPACE POINT`."""

from __future__ import annotations

import sys

from hub.store.elastic import beside, generations
from hub.store.elastic.client import Engine
from tests.contracts.batches import NOW_MS
from tests.contracts.elastic_process import die
from tests.contracts.test_elastic_upgrade import LAYOUT, STEPS


def main(url: str, namespace: str, point: str) -> None:
    """Upgrade, and die there."""

    def at(here: beside.Point) -> None:
        if here == point:
            die()

    engine = Engine(url, namespace)
    generations.follow(engine)
    beside.upgrade(url, engine, LAYOUT, now_ms=lambda: NOW_MS, steps=STEPS, at=at)


if __name__ == "__main__":
    main(*sys.argv[1:])
