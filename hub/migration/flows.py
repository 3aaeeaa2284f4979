"""The predecessor's flows as drafts of ours, node by node; a node that has no counterpart is named in it. Pure."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from hub.conditions import QueryError
from hub.conditions.grammar import parse
from hub.definitions.flows import NODE_ID
from hub.edge.admit import event_type
from hub.ids import derived
from hub.migration.actions import instead
from hub.migration.made import MISSHAPEN, at, ref

MISSING: Final = "predecessor/"
"""In front of the class of a node that has no counterpart, as the type of what stands in its place."""
_MOST_BYTES: Final = 16 * 1024 * 1024
"""Of a flow, unpacked."""
_ONWARD: Final[Mapping[str, str]] = {"payload": "out", "output": "out", "out": "out", "error": "error"}
_ASKED: Final[Mapping[str, str]] = {"true": "then", "false": "else", "True": "then", "False": "else", "error": "error"}


class _Missing(ValueError):
    """The node has no counterpart; the message says why, if there is more to say."""


class _Node(NamedTuple):
    """What stands in a node's place. `ports`: by its own, those here."""

    type: str
    config: Mapping[str, Any] = {}
    ports: Mapping[str, str] = _ONWARD
    note: str = ""


def flow_draft(
    document: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], list[str], str]:
    """
    The draft of a flow, what is another one in it, and why there is none, if so.

    Args: document: its record; the flow is packed in `draft` or `production`. rules: those that trigger it.
    """
    try:
        graph = _graph(document)
    except ValueError as exc:
        return {}, [], str(exc)
    changed: list[str] = []
    nodes: dict[str, dict[str, Any]] = {}
    ports: dict[str, Mapping[str, str]] = {}
    missing: list[str] = []
    for found in at(graph, "flowGraph", "nodes") or ():
        id, spec = _node_id(str(found.get("id", ""))), at(found, "data", "spec") or {}
        name = str(spec.get("className") or spec.get("module") or "?")
        try:
            one = _node(str(spec.get("module") or ""), name, _config(spec))
        except _Missing as exc:
            missing.append(name)
            one = _Node(f"{MISSING}{name}", note=f"{name} has no counterpart here{f': {exc}' if str(exc) else ''}")
        except MISSHAPEN:
            missing.append(name)
            one = _Node(f"{MISSING}{name}", note=f"the settings of {name} cannot be read")
        nodes[id] = {"type": one.type, "config": dict(one.config), "to": {}, "skip": spec.get("skip") is True}
        if one.note:
            nodes[id]["note"] = one.note
        ports[id] = one.ports
    if not nodes:
        return {}, [], "it has no nodes"
    changed += _edges(at(graph, "flowGraph", "edges") or (), nodes, ports)
    if missing:
        changed.append(f"{len(missing)} of {len(nodes)} nodes have no counterpart: {', '.join(sorted(set(missing)))}")
    triggers, odd = _triggers(document, graph, rules)
    name = str(document.get("name") or graph.get("name") or "")
    text = {"name": name, "description": str(document.get("description") or graph.get("description") or "")}
    return {**text, "triggers": triggers, "nodes": nodes}, [*changed, *odd], ""


def unpacked(packed: Any) -> Any:
    """What the predecessor has packed: JSON, compressed or not, in base64. Raises ValueError."""
    if isinstance(packed, dict):
        return packed
    try:
        raw = base64.b64decode(packed)
        if raw[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=_file(raw)) as file:
                raw = file.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise ValueError("it is larger than 16 MiB")
        return json.loads(raw)
    except (binascii.Error, OSError, EOFError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as exc:
        raise ValueError(f"it cannot be unpacked: {exc}") from exc


def _file(raw: bytes) -> Any:
    import io  # noqa: PLC0415 - for this line

    return io.BytesIO(raw)


def _graph(document: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in ("production", "prod", "draft"):
        if document.get(name):
            found = unpacked(document[name])
            if isinstance(found, dict):
                return found
    if isinstance(document.get("flowGraph"), dict):
        return document
    raise ValueError("there is no flow in it")


def _config(spec: Mapping[str, Any]) -> dict[str, Any]:
    config = spec.get("init")
    if isinstance(config, str) and config:
        try:
            config = unpacked(config)
        except ValueError:
            config = None
    return config if isinstance(config, dict) else {}


def _edges(
    edges: Iterable[Mapping[str, Any]], nodes: dict[str, dict[str, Any]], ports: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Put them into the nodes. Returns what is lost."""
    lost = []
    for edge in edges:
        source, target = _node_id(str(edge.get("source", ""))), _node_id(str(edge.get("target", "")))
        handle = str(edge.get("sourceHandle") or "payload")
        if source not in nodes or target not in nodes:
            lost.append(f"an edge from {source} to {target} leads nowhere")
            continue
        port = ports[source].get(handle, handle if nodes[source]["type"].startswith(MISSING) else "")
        if not port:
            lost.append(f"the port {handle!r} of {nodes[source]['type']} has no counterpart")
            continue
        nodes[source]["to"].setdefault(port, []).append(target)
    return lost


def _triggers(
    document: Mapping[str, Any], graph: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    triggers, odd = [], []
    for rule in rules:
        if rule.get("enabled") is False:
            odd.append(f"without its rule {rule.get('name') or rule.get('id')!r}, which is switched off")
            continue
        if at(rule, "properties", "consents"):
            odd.append("its rule asks for consents: put a has-consents node behind the start")
        if rule.get("type") == "segment-add":
            triggers.append({"type": "segment-entered", "segment": ref(rule, "segment")})
        elif ref(rule, "event_type"):
            source = ref(rule, "source")
            trigger = {"type": "event", "event_type": event_type(ref(rule, "event_type"))}
            triggers.append({**trigger, **({"source": source} if source and not source.startswith("@") else {})})
    if "segmentation" in {document.get("type"), graph.get("type")}:
        triggers.append({"type": "manual"})
        odd.append("it was run for all profiles: give it a schedule")
    return triggers, odd


def _node_id(text: str) -> str:
    return text if re.match(NODE_ID, text) else derived("takeover-node", text)


def _node(module: str, name: str, config: Mapping[str, Any]) -> _Node:
    """What stands in a node's place. Raises _Missing."""
    convert = _NODES.get(module.rpartition("action.v1.")[2])
    if convert is None:
        raise _Missing(instead(module, name))
    return convert(config)


def _start(config: Mapping[str, Any]) -> _Node:
    types = config.get("event_types")
    names = (
        [one.get("id", "") if isinstance(one, dict) else str(one) for one in types] if isinstance(types, list) else []
    )
    return _Node("start", {"event_types": [event_type(name) for name in names if name]} if any(names) else {})


def _if(config: Mapping[str, Any]) -> _Node:
    note = "it went on only when the answer had changed (trigger_once)" if config.get("trigger_once") else ""
    return _Node("if", {"condition": _condition(config.get("condition"))}, _ASKED, note)


def _copy(config: Mapping[str, Any]) -> _Node:
    wanted = at(config, "traits", "set")
    if not isinstance(wanted, dict) or not wanted:
        raise _Missing("what it copies cannot be read")
    if any(not target.startswith("profile@") for target in wanted):
        raise _Missing("it copies into something other than the profile")
    return _Node(
        "update-profile", {"fields": {target.removeprefix("profile@"): source for target, source in wanted.items()}}
    )


def _segments(config: Mapping[str, Any]) -> list[str]:
    said = config.get("segment", config.get("segments"))
    found = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    names = [one.get("id", "") if isinstance(one, dict) else one for one in found]
    if not names or any(not isinstance(one, str) or not one or "@" in one for one in names):
        raise _Missing("which segment it is depends on the event")
    return [str(one) for one in names]


def _conditional(config: Mapping[str, Any]) -> _Node:
    segment = config.get("true_segment")
    segment = segment.get("id") if isinstance(segment, dict) else segment
    if config.get("true_action") != "add" or config.get("false_action") != "remove" or not isinstance(segment, str):
        raise _Missing("it does more than to let in who meets the condition, and take out who does not")
    fixed = {"payload": "then", "true": "then", "false": "else", "error": "error"}
    return _Node("segment-by-condition", {"segment": segment, "condition": _condition(config.get("condition"))}, fixed)


def _step(type: str) -> Callable[[Mapping[str, Any]], _Node]:
    def made(config: Mapping[str, Any]) -> _Node:
        field = str(config.get("field") or "").removeprefix("profile@")
        by = config.get(type, 1)
        if not field or not isinstance(by, (int, float)):
            raise _Missing("its field or its number cannot be read")
        return _Node(type, {"field": field, "by": by})

    return made


def _consents(config: Mapping[str, Any]) -> _Node:
    ids = [ref({"x": one}, "x") for one in config.get("consent_ids") or ()]
    if not ids or not all(ids):
        raise _Missing("which consents it asks for cannot be read")
    return _Node("has-consents", {"consents": ids, "all": config.get("require_all") is True}, _ASKED)


def _delete(config: Mapping[str, Any]) -> _Node:
    fields = [str(one) for one in config.get("delete") or ()]
    if not fields or any(not one.startswith("profile@") for one in fields):
        raise _Missing("it deletes something other than fields of the profile")
    return _Node("delete-from-profile", {"fields": [one.removeprefix("profile@") for one in fields]})


def _exists(config: Mapping[str, Any]) -> _Node:
    return _Node("exists", {"value": str(config.get("property") or "")}, _ASKED)


def _pause(config: Mapping[str, Any]) -> _Node:
    wait = config.get("wait")
    if not isinstance(wait, (int, float)) or wait <= 0:
        raise _Missing("how long it waits cannot be read")
    note = "it raised an event when it went on" if ref(config, "event_type") else ""
    return _Node("pause", {"wait": f"{max(1, round(wait))}s"}, _ONWARD, note)


def _condition(text: Any) -> str:
    try:
        parse(str(text or ""))
    except QueryError as exc:
        raise _Missing(f"its condition, {text!r}, is none here: {exc}") from exc
    return str(text or "")


def _fixed(type: str, config: Mapping[str, Any], *, note: str = "") -> Callable[[Mapping[str, Any]], _Node]:
    return lambda _: _Node(type, config, _ONWARD, note)


_NODES: Final[Mapping[str, Callable[[Mapping[str, Any]], _Node]]] = {
    "flow.start.start_action": _start,
    "flow.start_segmentation.plugin": _start,
    "flow.property_exists.plugin": _exists,
    "end_action": _fixed("end", {}),
    "if_action": _if,
    "raise_error_action": lambda config: _Node("fail", {"message": str(config.get("message") or "failed")}),
    "new_profile_action": lambda _: _Node("is-new-profile", {}, _ASKED),
    "new_visit_action": lambda _: _Node("is-new-visit", {}, _ASKED),
    "traits.copy_trait_action": _copy,
    "traits.delete_trait_action": _delete,
    "traits.cut_out_trait_action": lambda config: _Node("cut-out", {"place": str(config.get("trait") or "")}),
    "operations.update_profile_action": _fixed(
        "explain", {"text": "Update profile"}, note="changes are kept without it"
    ),
    "segmentation.add.plugin": lambda config: _Node("add-to-segment", {"segments": _segments(config)}),
    "segmentation.delete.plugin": lambda config: _Node("remove-from-segment", {"segments": _segments(config)}),
    "segmentation.has.plugin": lambda config: _Node("has-segment", {"segments": _segments(config)}, _ASKED),
    "segmentation.conditional.plugin": _conditional,
    "segments.profile_segmentation.plugin": _conditional,
    "increment_action": _step("increment"),
    "decrement_action": _step("decrement"),
    "increase_views_action": _fixed("increment", {"field": "stats.views"}),
    "increase_visits_action": _fixed("explain", {"text": "Increase visits"}, note="this hub counts visits itself"),
    "consents.require_consents_action": _consents,
    "wait.plugin": _pause,
    "time.sleep_action": _pause,
}
"""By the module of the predecessor's, behind `action.v1.`."""
NODES: Final = tuple(sorted(_NODES))
"""Those that have a counterpart."""
