"""The threat model names a test for each item, and each test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "THREAT_MODEL.md").read_text()
ITEM: Final = re.compile(r"^\| (API\d+) .*$", re.MULTILINE)
NAMED: Final = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_each_item_of_owasp_is_there_and_has_a_test() -> None:
    rows = {match[1]: match[0] for match in ITEM.finditer(PAGE)}
    assert list(rows) == [f"API{number}" for number in range(1, 11)]
    assert [item for item, row in rows.items() if not NAMED.search(row)] == []


def test_each_test_that_is_named_is_there() -> None:
    missing = [
        f"{file}::{name}"
        for file, name in NAMED.findall(PAGE)
        if not (ROOT / file).is_file() or name not in _functions(ROOT / file)
    ]
    assert missing == []


def _functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
