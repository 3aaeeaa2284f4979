"""`hub bridge`: how the bridges are doing, and what to do with one."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import typer

from hub.cli.asking import AsJson, Data, Id, Url, cut, document, hub
from hub.cli.steering import Commands, Tried, refusal

BRIDGES: Final = Commands("bridge", ("id", "type", "state", "lag", "rate", "forwarded", "refused", "last_message_at"))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    BRIDGES.register(
        app,
        "Queues that the hub pulls from: see, try, start, pause, rewind.",
        try_,
        pause="Stop a bridge until it is started again; its messages stay in the queue.",
        rewind="Let a bridge read again from there. What is stored already stays stored once.",
    )


def try_(
    id: Id,
    definition: Tried = "",
    messages: Annotated[int, typer.Option(min=1, max=100, help="Most messages to look at.")] = 5,
    as_json: AsJson = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """
    Connect, look at some messages without taking them, and show what would become of each.

    Exits with 1 when the bridge cannot connect or a message would be refused.
    """
    wanted: dict[str, Any] = {"messages": messages}
    if definition:
        wanted["definition"] = document(definition, "--definition")
    tried = hub(url, data).post(f"{BRIDGES.path(id)}/test", wanted)
    if as_json:
        typer.echo(json.dumps(tried))
    else:
        for line in _trial(tried):
            typer.echo(line)
    if not tried["ok"] or any("refused" in message for message in tried["messages"]):
        raise typer.Exit(1)


def _trial(tried: dict[str, Any]) -> list[str]:
    if not tried["ok"]:
        error = tried["error"]
        return [f"{error['state']}: {error['cause']}", f"what to do: {error['mend']}"]
    lines = []
    for message in tried["messages"]:
        lines += [f"{message['position']} {message['time'] or ''}".rstrip(), f"  message: {cut(message['body'])}"]
        if "refused" in message:
            lines.append(refusal(message["refused"]))
        else:
            mark = "dropped, as it has no events" if message.get("dropped") else "payload"
            lines.append(f"  {mark}: {json.dumps(message['payload'], ensure_ascii=False)}")
    return lines or ["connected; there is no message to look at"]
