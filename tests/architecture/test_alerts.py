"""The alert rules of docs/alerts.yaml are about metrics that there are, and say what to do."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.architecture.tables import DOCS, metrics

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((DOCS / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
NAME = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
FUNCTIONS = {"vector", "absent"}


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_a_rule_names_only_metrics_that_exist(rule: dict[str, Any]) -> None:
    """Prometheus says nothing of a metric that it has never seen: the alert would be silent for ever."""
    there = set(re.findall(r"^\| `(\w+)` \|", metrics(), re.MULTILINE))
    named = set(NAME.findall(rule["expr"])) - FUNCTIONS
    assert named
    assert named <= there
    assert rule["expr"].count("(") == rule["expr"].count(")")


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_a_rule_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "action"}


def test_the_page_on_operations_has_every_alert() -> None:
    """Whoever is woken looks there."""
    page = (DOCS / "operations.md").read_text()
    assert [rule["alert"] for rule in RULES if f"`{rule['alert']}`" not in page] == []
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
