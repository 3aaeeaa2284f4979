"""
A hub with its store in a search engine: events by REST, two ids that are one person, search, export, a replay into live
and into a shadow, an erasure, a balance that adds up. `test_engine_whole.py` and `test_engine_suites.py` do more.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import stores
from tests.live.test_privacy import test_who_is_erased_stays_away as on_its_store


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_who_is_erased_stays_away_on_a_search_engine(
    kafka: str, namespace: str, shared_folder: Path, tmp_path: Path
) -> None:
    with stores.engine("elasticsearch", shared_folder):
        try:
            await on_its_store(kafka, namespace, tmp_path)
            assert files(tmp_path) == [], "its folder has no store, and none of the shadow"
        finally:
            stores.forget(namespace)


def files(folder: Path) -> list[Path]:
    """Of stores."""
    return list(folder.glob("*.sqlite*"))
