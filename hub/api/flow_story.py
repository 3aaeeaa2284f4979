"""What an event is to flows, for its story. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.flows.run import run_id
from hub.flows.triggers import fired_by
from hub.pipeline.flow_changes import MAPPING, SOURCE, TYPE


def flows_story(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """
    Which flows an event lets run, by which version of their definition, and the ids of these runs.

    Args: document: As `GET /events/{id}` gives it.

    Returns: None: it is nothing to any flow.
    """
    found = document.get("flows")
    if found is None:
        return None
    fired = fired_by(document, 0)
    return {
        "triggered": [
            {"id": id, "version": version, "run": run_id(id, version, fired)}
            for id, version in sorted(found.get("run", {}).items())
        ],
        "may_end_pauses": found.get("waits", False),
    }


def changed_by(change: Mapping[str, Any], document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    The flow that asked for a change of the event, as the trace names mappings.

    Args: change: of the event's outcome. document: As `flows_story` has it.
    """
    asked = document["properties"]
    if document["type"] != TYPE or document["source"]["id"] != SOURCE or not isinstance(asked.get("changes"), list):
        return []
    wanted = {(one.get("op"), one.get("field")) for one in asked["changes"] if isinstance(one, dict)}
    if (change["op"], change["field"]) not in wanted:
        return []
    # a run keeps to the version that it began with
    return [{"id": f"{MAPPING}{asked.get('flow')}", "version": asked.get("version"), "changed_since": False}]
