"""The whole kill matrix: minutes a broker. `python -m tests.matrix` does the same, and writes its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.matrix.brokers import NAMES
from tests.matrix.run import Options, run


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_every_promise_is_kept(name: str, tmp_path: Path) -> None:
    result = run(name, Options(), tmp_path, print)
    assert result.good, result
