"""The documentation lists what the code has, no more and no less."""

from __future__ import annotations

import pytest

from tests.architecture.tables import DOCS, TABLES, insert


@pytest.mark.parametrize("name", TABLES)
def test_table_is_what_the_code_says(name: str) -> None:
    """If this fails: `.venv/bin/python -m tests.architecture.tables` writes the tables anew."""
    page, make = TABLES[name]
    text = (DOCS / page).read_text()
    assert insert(text, name, make()) == text
