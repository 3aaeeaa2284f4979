"""`hub copy`: what stored events hold, into profiles and into their own index fields."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.asking import Data, Url, hub
from hub.cli.tasks import ask, follow, tell

Where = Annotated[
    str,
    typer.Option("--where", metavar="SEARCH", help="Which events, such as `type = purchase` (docs/query.md); all."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count what would be done, and show some of it.")]
Background = Annotated[
    bool, typer.Option("--background", help="Ask for it and return; `hub tasks` tells how far it is.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="Stored events into profiles, or into index fields of their own.", no_args_is_help=True)
    commands.command("events-to-profiles")(events_to_profiles)
    commands.command("properties-to-traits")(properties_to_traits)
    app.add_typer(commands, name="copy", rich_help_panel="Data in and out")


def events_to_profiles(
    where: Where = "",
    mapping: Annotated[list[str] | None, typer.Option(help="Only by this mapping; may be given again.")] = None,
    dry_run: DryRun = False,
    background: Background = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """Apply the mappings in force to stored events, as far as they were not applied to them."""
    arguments = {"where": where, "mappings": mapping or [], "dry_run": dry_run}
    _do("copy-events-to-profiles", arguments, background, url, data)


def properties_to_traits(
    where: Where = "", dry_run: DryRun = False, background: Background = False, url: Url = "", data: Data = None
) -> None:
    """Make the index fields of stored events anew, by the event types in force."""
    _do("copy-properties-to-traits", {"where": where, "dry_run": dry_run}, background, url, data)


def _do(kind: str, arguments: dict[str, object], background: bool, url: str, data: Data) -> None:
    rest = hub(url, data)
    asked = ask(rest, kind, arguments)
    if background:
        tell(asked)
    else:
        follow(rest, asked["id"])
