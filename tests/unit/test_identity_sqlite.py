"""The random events, merges and crashes of test_identity_stateful.py, on a file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from hub.store.sqlite import SqliteStore
from tests.unit import test_identity_stateful
from tests.unit.hub_model import Hub

# what fails is made small first, and that takes longer than any test
pytestmark = pytest.mark.timeout(600)


class OnAFile(test_identity_stateful.Machine):
    """The same machine, with the store that is used."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._store = SqliteStore(Path(self._folder.name) / "hub.sqlite")
        self.hub = Hub(3, store=self._store)

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self._store.close()
            self._folder.cleanup()


OnAFile.TestCase.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
TestIdentityOnAFile = OnAFile.TestCase
