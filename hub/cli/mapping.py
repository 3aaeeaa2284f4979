"""`hub mapping`: looks at message mappings, tests them, and tries them on messages."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn
from urllib.parse import quote

import typer

from hub.cli.asking import Data, Url, hub

if TYPE_CHECKING:
    from hub.cli.mapping_file import MappingFile
    from hub.edge.mapping.problems import Problem

FAILED: Final = 2
"""Exit code: the command could not do its work."""

Given = Annotated[
    str, typer.Argument(metavar="FILE", help="A mapping or a bridge's definition, YAML or JSON; or a ready-made name.")
]
Several = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Mappings or bridges' definitions, YAML or JSON; or ready-made names."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines, for machines.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="Message mappings: lint, test and try them.", no_args_is_help=True)
    commands.command("lint")(lint)
    commands.command("test")(run_tests)
    commands.command("try")(try_)
    commands.command("dry-run")(dry_run)
    commands.command("show")(show)
    app.add_typer(commands, name="mapping", rich_help_panel="Data in and out")


def lint(files: Several, as_json: AsJson = False) -> None:
    """
    Say everything that is wrong with mappings, each with file, line and column.

    Exits with 1 when one of them cannot be used. Warnings are about what is probably not meant.
    """
    from hub.edge.mapping import lint as linter
    from hub.edge.mapping.problems import Path as Within
    from hub.edge.mapping.problems import dotted

    bad = False
    for given in files:
        file = _read(given)
        found = [(file.source.place(finding.problem, file.within), finding) for finding in linter.lint(file.mapping)]
        for place, finding in sorted(found, key=lambda pair: pair[0]):
            bad = bad or finding.level == "error"
            path: Within = (*file.within, *finding.problem.path)
            field = dotted(path) or "mapping"
            if as_json:
                where = {"file": given, "line": place.line, "column": place.column, "level": finding.level}
                typer.echo(json.dumps({**where, "field": field, "message": finding.problem.detail}))
                continue
            level = "warning: " if finding.level == "warning" else ""
            typer.echo(f"{given}:{place.line}:{place.column}: {level}{field}: {finding.problem.detail}")
    if bad:
        raise typer.Exit(1)


def run_tests(files: Several, as_json: AsJson = False) -> None:
    """
    Run the tests that are written in mappings. Of each that fails: field: expected → got.

    Exits with 1 when one has failed.
    """
    from hub.edge.mapping import MappingError
    from hub.edge.mapping.cases import TooSlow, run

    passed = failed = 0
    for given in files:
        file, before = _read(given), passed + failed
        try:
            for result in run(file.mapping, time.monotonic):
                good = not result.differences
                passed, failed = passed + good, failed + (not good)
                if as_json:
                    lines = [str(difference) for difference in result.differences]
                    typer.echo(json.dumps({"file": given, "test": result.name, "passed": good, "differences": lines}))
                elif not good:
                    typer.echo(f"{given}: {result.name}")
                    for difference in result.differences:
                        typer.echo(f"  {difference}")
        except MappingError as exc:
            _unusable(file, exc.problems[0])
        except TooSlow as exc:
            _fail(f"{given}: {exc}")
        if passed + failed == before:
            typer.echo(f"{given}: it has no tests: `hub mapping try` shows what becomes of a message", err=True)
    if not as_json:
        typer.echo(f"{passed} passed, {failed} failed")
    if failed:
        raise typer.Exit(1)


def try_(
    file: Given,
    message: Annotated[Path, typer.Option(help="File with the body of a message. `-`: stdin.")],
    meta: Annotated[str, typer.Option(help="What meta(…) gives, as JSON.")] = "{}",
) -> None:
    """Show what a mapping makes of one message. Exits with 1 when it is refused."""
    from hub.edge.mapping import MappingError, compile_mapping
    from hub.edge.mapping.cases import outcome

    read = _read(file)
    try:
        mapping = compile_mapping(read.mapping)
    except MappingError as exc:
        _unusable(read, exc.problems[0])
    try:
        body = sys.stdin.buffer.read() if str(message) == "-" else message.read_bytes()
    except OSError as exc:
        _fail(str(exc))
    made = outcome(mapping, body, _object(meta))
    if made.refusal is not None:
        typer.echo(f"refused: {made.refusal}", err=True)
        raise typer.Exit(1)
    typer.echo("dropped: no event is made of it" if made.payload is None else _pretty(made.payload))


def dry_run(
    file: Given,
    bridge: Annotated[str, typer.Option(help="Id of a bridge: where the messages come from.")],
    messages: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 5,
    as_json: AsJson = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """Show what a mapping would make of messages that wait at a bridge's broker. Nothing is consumed or changed."""
    mapping = _read(file).mapping
    if isinstance(mapping, dict):
        mapping = {name: value for name, value in mapping.items() if name != "tests"}  # `hub mapping test` runs those
    rest = hub(url, data)
    id = quote(bridge, safe="")
    definition = {**rest.get(f"/definitions/bridge/{id}").json()["spec"], "mapping": mapping}
    answer = rest.post(f"/bridges/{id}/test", {"definition": definition, "messages": messages})
    if "error" in answer:
        _fail(f"bridge {bridge}: {answer['error']['cause']}: {answer['error']['mend']}")
    refused = 0
    for found in answer["messages"]:
        refused += "refused" in found
        typer.echo(json.dumps(found) if as_json else _described(found))
    if not as_json:
        typer.echo(f"{len(answer['messages'])} messages, {refused} would be refused")


def show(
    name: Annotated[str, typer.Argument(help="A ready-made mapping. Without: their names.")] = "",
) -> None:
    """Print a mapping that comes with the hub, to begin one's own with."""
    from hub.edge.mapping.library import NAMES, text_of

    if name and name not in NAMES:
        raise typer.BadParameter(f"there is no {name!r}; there are {', '.join(NAMES)}", param_hint="NAME")
    typer.echo(text_of(name) if name else "\n".join(NAMES), nl=not name)


def _described(found: dict[str, Any]) -> str:
    head = f"{found['position']}  {found.get('time') or ''}".rstrip()
    if "refused" in found:
        refusal = found["refused"]
        return f"{head}\n  refused: {refusal['reason']}: {refusal['detail']}\n  {found.get('body', '')}"
    if found.get("dropped"):
        return f"{head}\n  dropped: no event is made of it"
    return f"{head}\n{_pretty(found['payload'])}"


def _read(given: str) -> MappingFile:
    from hub.cli.mapping_file import read
    from hub.edge.mapping.places import Unreadable

    try:
        return read(given)
    except (OSError, UnicodeDecodeError) as exc:
        _fail(f"{given}: {exc}")
    except Unreadable as exc:
        typer.echo(f"{given}:{exc.place.line}:{exc.place.column}: {exc}", err=True)
        raise typer.Exit(1) from exc


def _unusable(file: MappingFile, problem: Problem) -> NoReturn:
    place = file.source.place(problem, file.within)
    typer.echo(f"{file.label}:{place.line}:{place.column}: {problem}", err=True)
    raise typer.Exit(1)


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as exc:
        raise typer.BadParameter(f"not JSON: {exc}", param_hint="--meta") from exc
    if not isinstance(value, dict):
        raise typer.BadParameter("expected a JSON object", param_hint="--meta")
    return value


def _pretty(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


def _fail(what: str) -> NoReturn:
    typer.echo(what, err=True)
    raise typer.Exit(FAILED)
