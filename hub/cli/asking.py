"""What commands that ask a running hub share: their options, the hub, what goes in and comes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hub.cli.settings import load

if TYPE_CHECKING:
    from hub.cli.rest import Rest

Url = Annotated[str, typer.Option(help="The hub. Default: the one that runs here, else its usual port.")]
Data = Annotated[Path | None, typer.Option(help="Data folder of the hub, for its key. Default: HUB_DATA.")]
Id = Annotated[str, typer.Argument(help="Its id.")]
AsJson = Annotated[bool, typer.Option("--json", help="As the API gives it.")]
CUT: Final = 200
"""Characters of a message's body that are shown."""


def hub(url: str, data: Path | None) -> Rest:
    """The hub that is asked."""
    # here, not above: every process of the hub is `hub …`, and need not import what this does
    from hub.cli.rest import Rest

    return Rest(load(), url, data)


def document(given: str, named: str) -> dict[str, Any]:
    """A definition in a file; `-`: standard input. Args: named: as the command line has it. Raises BadParameter."""
    from hub.cli.mapping_file import read
    from hub.edge.mapping.places import Unreadable

    try:
        found = read(given).source.value
    except (OSError, UnicodeDecodeError) as exc:
        raise typer.BadParameter(f"{given}: {exc}", param_hint=named) from exc
    except Unreadable as exc:
        raise typer.BadParameter(f"{given}:{exc.place.line}:{exc.place.column}: {exc}", param_hint=named) from exc
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{given}: expected an object with `type` and `settings`", param_hint=named)
    return found


def warn(saved: dict[str, Any], before: str = "") -> None:
    """Say what is odd about a definition that was saved. Args: before: of each line, such as its file."""
    for one in saved.get("warnings", ()):
        words = f"{one['where']}: {one['detail']}" if isinstance(one, dict) else one
        typer.echo(f"{before}warning: {words}", err=True)


def cut(text: str) -> str:
    """As much of a message as a person reads."""
    return text if len(text) <= CUT else f"{text[:CUT]}…"


def table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Print these columns of rows; but for the first, those in which none has anything are left out."""
    import rich
    import rich.table
    from rich.markup import escape

    shown = [name for name in columns if name == columns[0] or any(row[name] not in (None, "") for row in rows)]
    table = rich.table.Table()
    for name in shown:  # in a narrow window what does not fit goes on in the next line; ids stay whole, to be copied
        table.add_column(name, no_wrap=name == shown[0], overflow="fold")
    for row in rows:
        table.add_row(*(escape("" if row[name] is None else str(row[name])) for name in shown))
    rich.print(table)
