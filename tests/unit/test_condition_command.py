"""`hub condition check|explain`, without a hub."""

from __future__ import annotations

import json
import subprocess
import sys

from typer.testing import CliRunner, Result

from hub.__main__ import app


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["condition", *arguments], input=stdin)


def test_what_is_right_is_written_anew() -> None:
    result = run("check", "never(buy) in last 2weeks and traits.plan!=gold")
    assert (result.exit_code, result.stdout) == (0, "count(buy) IN LAST 2 weeks = 0 AND traits.plan != gold\n")
    assert run("check", "-", stdin="a = 1\nOR b = 2").stdout == "a = 1 OR b = 2\n"
    assert run("check", "type = buy", "--kind", "events").exit_code == 0


def test_what_is_wrong_is_shown_with_its_place() -> None:
    result = run("check", "count(buy) in last 30 fortnights > 1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "line 1, column 20: '30 fortnights' is no span of time; such as 15m, 7d, 2 weeks, 1 month\n"
        "count(buy) in last 30 fortnights > 1\n                   ^\n"
    )
    assert "only profiles have a history" in run("check", "never(x)", "--kind", "events").stderr
    assert "profiles have no event@" in run("explain", "event@type = x").stderr
    assert run("check", "a = 1", "--kind", "letters").exit_code == 2


def test_explained_without_a_document() -> None:
    """The parts, what SQLite gets, and a search engine, what Python does, what profiles keep."""
    result = run("explain", "traits.age > 30 AND (count(buy) in last 7 days >= 2 OR NOT lower(traits.a) = x)")
    assert result.exit_code == 0
    tree, sql, search, python, kept, moves = result.stdout.split("\n\n")
    assert tree.splitlines() == [
        "AND",
        "  traits.age > 30",
        "  OR",
        "    count(buy) IN LAST 7 days >= 2",
        "    NOT",
        "      lower(traits.a) = x",
    ]
    assert "hub_history(" in sql
    assert '"$.\\"traits\\".\\"age\\""' in sql
    title, query = search.splitlines()
    assert title == "Elasticsearch, OpenSearch"
    assert '"range": {"facts": {"gt": ".traits.age=nc03e' in query
    assert '".traits.a=sx"' in query
    assert python.splitlines()[1:] == ["  traits.age > 30", "  count(buy) IN LAST 7 days >= 2", "  lower(traits.a) = x"]
    assert "buy: totals, each for 7 days (metadata.history." in kept
    assert moves == "It changes with time.\n"


def test_explained_for_machines() -> None:
    found = json.loads(run("explain", "a = 1", "--json").stdout)
    assert (found["condition"], found["tree"]["kind"], found["moves"]) == ("a = 1", "leaf", False)
    assert found["search"]["exact"]


def test_what_a_search_engine_cannot_decide() -> None:
    """It is told, and what is asked of the engine all the same."""
    shown = run("explain", "traits.email ~ '@example.com$' AND traits.city = Rome").stdout
    assert "Elasticsearch, OpenSearch: candidates, of which Python is asked\n" in shown
    assert '".traits.city=sRome"' in shown


def test_nothing_is_loaded_that_is_not_needed() -> None:
    """The client of the search engine takes a second, and no hub is asked."""
    script = "import sys, hub.store.query.explained; sys.exit('elasticsearch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
