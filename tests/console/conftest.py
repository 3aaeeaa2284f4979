"""What tests of the console share: a hub with some events, and a browser that is logged in there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.installed import Installed, installed
from tests.console.filled import fill
from tests.console.tab import Tab, tab
from tests.live.whole_hub import WholeHub, whole_hub


@pytest.fixture(scope="session")
def clients() -> Installed:
    return installed()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeHub]:
    """With agents, and what `fill` puts into it."""
    with whole_hub(tmp_path_factory.mktemp("console") / "data", agents=True) as hub:
        fill(hub)
        yield hub


@pytest.fixture
def at(hub: WholeHub, clients: Installed, tmp_path: Path) -> Iterator[Tab]:
    """Logged in with the admin key. Fails if a page breaks its policy, writes to the console or asks another host."""
    with tab(hub, clients, tmp_path / "browser.log") as made:
        made.log_in()
        yield made
