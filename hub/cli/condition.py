"""`hub condition`: is a condition right, how is it read, and what is true of one profile."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.asking import Data, Url, hub

if TYPE_CHECKING:
    from hub.store.port import Kind

Text = Annotated[str, typer.Argument(metavar="CONDITION", help="docs/conditions.md; `-` reads it from standard input.")]
Of = Annotated[str, typer.Option("--kind", help="profiles, events, sessions or dead-letters.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="Conditions: check and explain them.", no_args_is_help=True)
    commands.command("check")(check)
    commands.command("explain")(explain)
    app.add_typer(commands, name="condition", rich_help_panel="What is in it?")


def check(condition: Text, kind: Of = "profiles") -> None:
    """
    Say whether a condition can be used, without a hub: prints it as it was read.

    Exits with 1 when it cannot, and says where and what was expected.
    """
    typer.echo(_explained(_read(condition), kind)["condition"])


def explain(
    condition: Text,
    profile: Annotated[str, typer.Option(help="Id of a profile, any that was ever its own: what is true of it.")] = "",
    kind: Of = "profiles",
    id: Annotated[str, typer.Option("--id", help="Id of a document of another kind.")] = "",
    as_json: AsJson = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """
    Show how a condition is read and what is made of it; with --profile, which part is true, false or unknown, and why.

    Without a document no hub is needed. Exits with 1 when the condition cannot be used.
    """
    text, asked = _read(condition), profile or id
    found = _explained(text, kind)
    if asked:
        body = {"condition": text, "kind": kind, "id": asked}
        found = hub(url, data).post("/conditions/explain", body)
    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else _shown(found))


def _explained(condition: str, kind: str) -> dict[str, Any]:
    import msgspec

    from hub.store.query import QueryError
    from hub.store.query.explained import explain as explain_condition

    try:
        found = explain_condition(condition, _kind(kind), time.time_ns() // 1_000)
    except QueryError as exc:
        typer.echo("\n".join(filter(None, (str(exc), exc.excerpt))), err=True)
        raise typer.Exit(1) from exc
    builtins: dict[str, Any] = msgspec.to_builtins(found)
    return builtins


def _kind(name: str) -> Kind:
    kinds: dict[str, Kind] = {
        "profiles": "profiles",
        "events": "events",
        "sessions": "sessions",
        "dead-letters": "dead-letters",
    }
    if name not in kinds:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(kinds)}")
    return kinds[name]


def _read(condition: str) -> str:
    return sys.stdin.read() if condition == "-" else condition


def _shown(found: dict[str, Any]) -> str:
    lines = [*_tree(found["tree"], 0), "", "SQL", f"  {_flat(found['sql']['where'])}"]
    lines += [
        f"  :{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in found["sql"]["parameters"].items()
    ]
    search = found["search"]
    lines += ["", f"Elasticsearch, OpenSearch{'' if search['exact'] else ': candidates, of which Python is asked'}"]
    lines.append(f"  {json.dumps(search['query'], ensure_ascii=False)}")
    lines += ["", "Python asks, in this order, until it knows", *(f"  {leaf}" for leaf in found["python"])]
    if found["histories"]:
        lines += ["", "Profiles keep", *(_kept(one) for one in found["histories"])]
    if found["moves"]:
        when = found["changes_at"]
        lines += ["", f"It changes with time{f', of this document at {when} or later' if when else ''}."]
    return "\n".join(lines)


def _tree(part: dict[str, Any], depth: int) -> list[str]:
    verdict = f"{part['verdict']:10}" if part.get("verdict") else ""
    is_leaf = not part.get("parts")
    name = part["condition"] or "(everything)" if is_leaf or part["kind"] not in _JOINED else _JOINED[part["kind"]]
    seen = "; ".join(_seen(one) for one in part.get("seen", []))
    line = f"{verdict}{'  ' * depth}{name}{f'    [{seen}]' if seen else ''}"
    return [line, *(line for inner in part.get("parts", []) for line in _tree(inner, depth + 1))]


_JOINED = {"and": "AND", "or": "OR", "not": "NOT", "unless": "unless (also what is unknown)"}


def _seen(seen: dict[str, Any]) -> str:
    value = json.dumps(seen.get("value"), ensure_ascii=False) if seen["state"] == "there" else seen["state"]
    return f"{seen['field']} is {value}"


def _kept(one: dict[str, Any]) -> str:
    days = "" if one["keep_ms"] is None else f", each for {one['keep_ms'] / 86_400_000:g} days"
    return f"  {one['events']}: totals{days} (metadata.history.{one['key']})"


def _flat(sql: str) -> str:
    return " ".join(sql.split())
