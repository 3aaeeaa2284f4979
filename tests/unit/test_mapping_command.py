"""`hub mapping lint|test|try|show` on files, without a hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.__main__ import app

GOOD = """\
profile: who
event:
  type: "'sale'"
  properties: {n: number(n)}
tests:
  - name: a sale
    message: {who: ann, n: "1"}
    expect:
      profile: {id: ann}
      events: [{type: sale, properties: {n: 1}}]
"""


def run(*arguments: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["mapping", *map(str, arguments)], input=stdin)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


def test_lint_points_at_the_fault(good: Path, tmp_path: Path) -> None:
    assert (run("lint", good, "segment").exit_code, run("lint", good).stdout) == (0, "")
    bad = tmp_path / "bad.yaml"
    bad.write_text(GOOD.replace("number(n)", "numbr(n)"))
    bridge = tmp_path / "bridge.json"
    bridge.write_text('{"type": "kafka", "source": "s",\n "mapping": {"event": {"type": "\'x", "tipe": 1}}}')
    result = run("lint", good, bad, bridge)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{bad}:4:19: event.properties.n: unknown function numbr(); is it number()?",
        f"{bridge}:2:38: mapping.event.tipe: there is no such field; is it `type`?",
    ]
    [line] = run("lint", bad, "--json").stdout.splitlines()
    assert json.loads(line) == {
        "file": str(bad),
        "line": 4,
        "column": 19,
        "level": "error",
        "field": "event.properties.n",
        "message": "unknown function numbr(); is it number()?",
    }


def test_a_warning_fails_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("profile: who\nevent:\n  type: purchase\n")
    result = run("lint", path)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{path}:3:9: warning: event.type: it is the message's field 'purchase'")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"event": {\n')
    result = run("lint", broken)
    assert (result.exit_code, result.stderr) == (1, f"{broken}:2:1: not JSON: expected a key in double quotes\n")
    assert run("lint", tmp_path / "none.yaml").exit_code == 2


def test_test_shows_what_differs(good: Path, tmp_path: Path) -> None:
    assert (run("test", good, "segment").exit_code, run("test", good).stdout) == (0, "1 passed, 0 failed\n")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(GOOD.replace("profile: who", "profile: n"))
    result = run("test", wrong)
    assert (result.exit_code, result.stdout) == (
        1,
        f'{wrong}: a sale\n  profile.id: "ann" → "1"\n0 passed, 1 failed\n',
    )
    [line] = run("test", wrong, "--json").stdout.splitlines()
    assert json.loads(line)["differences"] == ['profile.id: "ann" → "1"']
    wrong.write_text(GOOD.replace("number(n)", "numbr(n)"))
    result = run("test", wrong)
    assert (result.exit_code, result.stderr.startswith(f"{wrong}:4:19: event.properties.n: ")) == (1, True)


def test_a_mapping_without_tests_is_no_success_that_anybody_could_take_for_one(good: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.yaml"
    bare.write_text(GOOD.partition("tests:")[0])
    result = run("test", good, bare)
    assert (result.exit_code, result.stdout) == (0, "1 passed, 0 failed\n")
    assert result.stderr.startswith(f"{bare}: it has no tests")


def test_try_shows_what_is_made(good: Path, tmp_path: Path) -> None:
    message = tmp_path / "message.json"
    message.write_text('{"who": "ann", "n": "5"}')
    made = run("try", good, "--message", message)
    assert json.loads(made.stdout) == {
        "profile": {"id": "ann"},
        "events": [{"type": "sale", "properties": {"n": 5}}],
    }
    refused = run("try", good, "--message", "-", stdin='{"n": "five"}')
    assert refused.exit_code == 1
    assert "event.properties.n: number('five'): not a number" in refused.stderr
    headers = '{"headers": {"ce_specversion": "1.0", "ce_type": "paid", "ce_source": "/s", "ce_id": "1"}}'
    binary = run("try", "cloudevents", "--message", message, "--meta", headers)
    assert json.loads(binary.stdout)["events"][0]["type"] == "paid"
    message.write_bytes(b"")
    assert run("try", "debezium", "--message", message).stdout == "dropped: no event is made of it\n"


def test_show_is_where_to_begin(tmp_path: Path) -> None:
    assert run("show").stdout.splitlines() == ["cloudevents", "debezium", "json", "segment", "snowplow"]
    mine = tmp_path / "mine.json"
    mine.write_text(run("show", "debezium").stdout)
    assert run("test", mine).exit_code == 0
    assert run("show", "pigeon").exit_code == 2
