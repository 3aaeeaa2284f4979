"""`hub doctor`: what is wrong with a set-up, where, and how to mend it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.settings import leftovers
from hub.cli.stack import Data, Port, cache, settings_with

if TYPE_CHECKING:
    from hub.doctor.finding import Finding


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", rich_help_panel="The whole hub on this machine")(doctor)


def doctor(
    data: Data = None,
    port: Port = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """
    Check this machine, the settings, Kafka, Redis, the store, the processes and the definitions.

    Changes nothing. One line a check: ok, warn or fail, and how to mend it. Exits with 1 if one fails.
    """
    import structlog

    from hub.cli.serve import validators
    from hub.doctor.look import Patient, examine
    from hub.stack.doctor import Needs

    settings = settings_with(data, port)
    # what libraries of ours log is said by the findings
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    needs = Needs(
        settings.data,
        cache(),
        settings.namespace,
        settings.kafka,
        settings.redis,
        settings.api,
        settings.store_url,
    )
    found = []
    for finding in examine(Patient(settings, needs, os.environ, leftovers(), validators())):
        found.append(finding)
        if not as_json:
            _tell(finding)
    counts = {level: sum(1 for one in found if one.level == level) for level in ("ok", "warn", "fail")}
    if as_json:
        typer.echo(json.dumps({**counts, "findings": [one._asdict() for one in found]}, indent=2))
    else:
        typer.echo(f"{counts['ok']} ok, {counts['warn']} warnings, {counts['fail']} failures")
    if counts["fail"]:
        raise typer.Exit(1)


def _tell(finding: Finding) -> None:
    mend = f" -> {finding.mend}" if finding.mend else ""
    typer.echo(f"{finding.level:<4}  {finding.subject}: {finding.detail}{mend}")
