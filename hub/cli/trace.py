"""`hub trace`: the story of one event, as a timeline that people read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from hub.cli.asking import Data, Url, hub

FORWARDED: Final = {
    "alias": ", forwarded to the profile that this is part of",
    "session": ", forwarded to the profile that holds the session",
    "return": ", and come back: the merge was undone, or the session had gone to another profile",
}
"""Why a record was handed on, in words."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("trace", rich_help_panel="Was anything lost?")(trace)


def trace(
    id: Annotated[str, typer.Argument(help="Id of an event or of a dead letter.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """
    Show what happened to one event: from its sender to the store, and what it changed.

    Exits with 2 when nothing has this id, and says what is known and where to look.
    """
    story = hub(url, data).get(f"/events/{quote(id, safe='')}/trace").json()
    if as_json:
        typer.echo(json.dumps(story, indent=2, ensure_ascii=False))
        return
    for line in lines(story):
        typer.echo(line)


def lines(story: dict[str, Any]) -> Iterator[str]:
    """The story in words, one line after the other."""
    what = f"event {story['id']}, {story['type']}" if story["kind"] == "event" else f"dead letter {story['id']}"
    yield what
    yield ""
    for step in story["times"]:
        after = "" if step["after_ms"] is None else f"{step['after_ms']:+,} ms"
        yield f"  {step['at']}  {after:>12}  {step['step']:<9} {_at(story, step['step'])}".rstrip()
    yield ""
    log = story["log"]
    place = f"{log['topic']} partition {log['partition']} offset {log['offset']} place {log['place']}"
    yield f"  log       {place}: {log['note']}"
    yield from _letter(story) if story["kind"] == "dead-letter" else _event(story)
    if story["payload_events"]:
        yield "  payload"
        for one in story["payload_events"]:
            yield f"            {one['place']}: {one['id']}  {one['type']}"


def _at(story: dict[str, Any], step: str) -> str:
    edge = story["edge"]
    if step == "received":
        place = f" at {edge['coordinates']}" if edge["coordinates"] else ""
        through = f"{edge['door']} {edge['bridge']}{place}" if edge["bridge"] else edge["door"]
        client = f", client id {edge['client_id']}" if edge.get("client_id") else ""
        return f"from source {edge['source']} through {through}, payload {edge['payload_id']}{client}"
    if step == "logged":
        return f"{story['log']['record']['value_bytes']:,} bytes, key {story['log']['record']['key']}"
    if step == "stored" and story["kind"] == "dead-letter":
        return "as a dead letter"
    return ""


def _letter(story: dict[str, Any]) -> Iterator[str]:
    letter = story["dead_letter"]
    yield f"  refused   by the {letter['stage']}: {letter['reason']}: {letter['detail']}"
    resolved = f" at {letter['resolved_at']}" if letter["resolved_at"] else ""
    yield f"  status    {letter['status']}{resolved}, attempts {letter['attempts']}, first at {letter['first_at']}"
    for look in letter["look"]:
        yield f"  look      {look}"


def _event(story: dict[str, Any]) -> Iterator[str]:
    for flag in story["validation"]["flags"]:
        yield f"  flag      {flag['flag']}: {flag['meaning']}"
    for rule in story["rules"]:
        what = ": ".join(text for text in (rule["field"], rule["detail"]) if text)
        yield f"  rule      {rule['rule']}: {rule['did']} {what}".rstrip()
    mappings = story["mappings"]
    for change in mappings["changes"]:
        yield f"  changed   {_change(change)}"
    for problem in mappings["problems"]:
        yield f"  problem   {problem['field']}, mapping {problem['mapping']}: {problem['detail']}"
    profile, session, identity = story["profile"], story["session"], story["identity"]
    for one in identity["decisions"]:
        other = f" with {one['other']}" if one.get("other") else ""
        yield f"  identity  {one['label']} {one['identifier']}: {one['did']}{other}"
    if identity["sent_as"]:
        yield f"  sent as   {identity['sent_as']}{FORWARDED.get(identity['forwarded_for'], '')}"
    for one in (story["segments"] or {"looked": []})["looked"]:
        yield f"  segment   {_segment(one)}"
    yield from _flows(story["flows"] or {"triggered": [], "may_end_pauses": False})
    if profile:
        now = "" if profile["version_now"] == profile["version"] else f", now {profile['version_now']}"
        made = ", made by this event" if profile["created"] else ""
        yield f"  profile   {profile['id']} version {profile['version']}{now}{made}"
    if session:
        yield f"  session   {session['id']}, of profile {session['profile']}, began {session['began_at']}"
    for side in ("before", "after"):
        for one in story["neighbours"][side]:
            same = ", same payload" if one["same_payload"] else ""
            yield f"  {side:<9} {one['time']}  {one['id']}  {one['type']}{same}"


def _flows(flows: dict[str, Any]) -> Iterator[str]:
    for one in flows["triggered"]:
        yield f"  flow      {one['id']} version {one['version']}: run {one['run']}"
    if flows["may_end_pauses"]:
        yield "  flow      runs that are paused until an event of its type go on"


def _segment(one: dict[str, Any]) -> str:
    now = ""
    if one["changed_since"]:
        now = ", deleted since" if one["version_now"] is None else f", now {one['version_now']}"
    because = f": {', '.join(one['because'])}" if one["because"] else ""
    return f"{one['id']} version {one['version']}{now}: {one['did']}{because}"


def _change(change: dict[str, Any]) -> str:
    by = ", ".join(one["id"] + (" (changed since)" if one["changed_since"] else "") for one in change["mappings"])
    who = f", mapping {by}" if by else ", by a mapping that is no more"
    if change["op"] == "derive":
        who = ", it follows from other fields"
    if "appended" in change:
        return f"{change['field']}: appended {json.dumps(change['appended'], ensure_ascii=False)}{who}"
    before, after = (json.dumps(change[name], ensure_ascii=False) for name in ("before", "after"))
    return f"{change['field']}: {before} -> {after} ({change['op']}{who})"
