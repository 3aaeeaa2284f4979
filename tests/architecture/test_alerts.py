"""Alert rules and dashboards are about metrics that there are, with labels that they have; rules say what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import promql_parser as promql
import pytest
import yaml

from tests.architecture.tables import DOCS, metrics

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((DOCS / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((DOCS / "dashboards").glob("*.json"))
}
EVERYWHERE = {"job", "instance"}
"""What Prometheus adds when it scrapes."""
OF_PROCESSES = {
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
}
"""That prometheus_client has for each process."""


@cache
def known() -> dict[str, set[str]]:
    """Labels, by metric, as docs/metrics.md has them; a histogram by its three series."""
    found: dict[str, set[str]] = {name: set() for name in OF_PROCESSES}
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", metrics(), re.MULTILINE):
        own = set(re.findall(r"`(\w+)`", labels))
        if kind == "histogram":
            found |= {f"{name}_bucket": {*own, "le"}, f"{name}_count": own, f"{name}_sum": own}
        else:
            found[name] = own
    return found


def walk(node: Any) -> Iterator[Any]:
    """An expression and all that is in it."""
    yield node
    for name in ("expr", "lhs", "rhs", "param", "vector_selector", "vs"):
        inner = getattr(node, name, None)
        if inner is not None and not isinstance(inner, str | int | float):
            yield from walk(inner)
    for inner in getattr(node, "args", None) or ():
        yield from walk(inner)


def series(expression: str) -> dict[str, set[str]]:
    """Labels that an expression asks for, by the metrics that it names. Fails if Prometheus could not read it."""
    expression = expression.replace("$__rate_interval", "5m")
    nodes = list(walk(promql.parse(expression)))
    selectors = [node for node in nodes if isinstance(node, promql.VectorSelector)]
    found: dict[str, set[str]] = {}
    for node in selectors:
        found.setdefault(node.name or "", set()).update(matcher.name for matcher in node.matchers.matchers)
    # what it is grouped by, all of its metrics have to have that are in that group
    for node in nodes:
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            for below in walk(node.expr):
                if isinstance(below, promql.VectorSelector):
                    found[below.name or ""].update(node.modifier.labels)
    assert selectors, f"{expression} is about nothing"
    return found


def unknown(expression: str) -> list[str]:
    """Metrics, and labels of metrics, that are not there."""
    wrong = []
    for name, labels in series(expression).items():
        there = known().get(name)
        if there is None:
            wrong.append(name)
        else:
            wrong += [f"{name}{{{label}}}" for label in sorted(labels - there - EVERYWHERE)]
    return wrong


@pytest.mark.parametrize(
    "expression",
    [
        "sum(rate(hub_no_such_metric_total[5m]))",
        "hub_bridge_state{colour='red'}",
        "sum by (colour) (hub_bridge_state)",
        "max(abs(hub_balance_difference_events)) or time() - max by (bridge) (hub_none)",
        "histogram_quantile(0.5, sum by (le) (rate(hub_batch_seconds[5m])))",
    ],
)
def test_what_is_not_there_is_found(expression: str) -> None:
    """These tests are worth nothing if not."""
    assert unknown(expression)


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_a_rule_names_only_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    """Prometheus says nothing of a metric that it has never seen: the alert would be silent for ever."""
    assert unknown(rule["expr"]) == []


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_a_rule_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "action"}


def test_the_page_on_operations_has_every_alert_and_dashboard() -> None:
    """Whoever is woken looks there."""
    page = (DOCS / "operations.md").read_text()
    assert [rule["alert"] for rule in RULES if f"`{rule['alert']}`" not in page] == []
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    assert [name for name in BOARDS if f"dashboards/{name}.json" not in page] == []


def test_there_is_a_dashboard_of_each_part() -> None:
    assert {"overview", "collector", "bridges", "flows", "store", "balance"} <= BOARDS.keys()
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_names_only_metrics_and_labels_that_exist(name: str) -> None:
    for panel in BOARDS[name]["panels"]:
        for target in panel["targets"]:
            assert unknown(target["expr"]) == [], f"{name}: {panel['title']}"
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            labels = set().union(*(known()[metric] for metric in series(target["expr"])))
            assert shown <= labels | EVERYWHERE, f"{name}: {panel['title']}"


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_one_that_grafana_can_import(name: str) -> None:
    """Its data source is chosen where it is looked at, panels lie beside each other, and each says what it shows."""
    board = BOARDS[name]
    assert re.fullmatch(r"hub-[a-z]+", board["uid"])
    assert board["title"]
    assert board["schemaVersion"] >= 36
    assert [one["name"] for one in board["templating"]["list"] if one["type"] == "datasource"] == ["datasource"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["type"] in {"timeseries", "stat"}
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert [target["refId"] for target in panel["targets"]] == [chr(65 + n) for n in range(len(panel["targets"]))]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, f"{panel['title']} lies on another one"
        taken |= cells
