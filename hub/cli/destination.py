"""`hub destination`: how the destinations are doing, and what to do with one."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import typer

from hub.cli.asking import AsJson, Data, Id, Url, cut, document, hub
from hub.cli.steering import Commands, Tried, refusal

DESTINATIONS: Final = Commands(
    "destination", ("id", "type", "state", "lag", "rate", "sent", "refused", "last_event_at")
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    DESTINATIONS.register(
        app,
        "Systems that stored events are sent to: see, try, start, pause, rewind.",
        try_,
        pause="Stop a destination until it is started again; what it has not sent waits for three days.",
        rewind="Let a destination send again from there, under the same ids.",
    )


def try_(
    id: Id,
    definition: Tried = "",
    q: Annotated[str, typer.Option(help="Which stored events, such as `type = purchase`. Default: any.")] = "",
    events: Annotated[int, typer.Option(min=1, max=100, help="The newest of them, so many.")] = 5,
    as_json: AsJson = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """
    Show what would be sent of the newest stored events; nothing is sent.

    Exits with 1 when no message could be made of one of them.
    """
    wanted: dict[str, Any] = {"q": q, "events": events}
    if definition:
        wanted["definition"] = document(definition, "--definition")
    tried = hub(url, data).post(f"{DESTINATIONS.path(id)}/test", wanted)
    if as_json:
        typer.echo(json.dumps(tried))
    else:
        for line in _trial(tried):
            typer.echo(line)
    if any("refused" in message for message in tried["messages"]):
        raise typer.Exit(1)


def _trial(tried: dict[str, Any]) -> list[str]:
    lines = []
    for message in tried["messages"]:
        lines.append(f"{message['event']} {message['type']}")
        if "refused" in message:
            lines.append(refusal(message["refused"]))
        elif "body" in message:
            lines += [f"  key: {message['key']}", f"  message: {cut(message['body'])}"]
        else:
            lines.append("  not sent: the condition does not hold, or the mapping gives nothing")
    return lines or ["there is no stored event to look at"]
