"""What the tests of clients share: the clients, and a hub for each module of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.installed import Installed, installed
from tests.live.whole_hub import WholeHub, whole_hub


@pytest.fixture(scope="session")
def clients() -> Installed:
    return installed()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeHub]:
    with whole_hub(tmp_path_factory.mktemp("clients") / "data") as hub:
        yield hub
