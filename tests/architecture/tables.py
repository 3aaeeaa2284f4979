"""Tables of the documentation that are made from the code: `python -m tests.architecture.tables` writes them anew."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
from prometheus_client import Counter, Gauge, Histogram
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import bridges
import hub
import workers
from bridges.replay import converter_with
from hub.api.app import create_app
from hub.api.imports import Door
from hub.definitions.catalogue import Catalogue
from hub.definitions.event_types import GROUPS, group
from hub.definitions.fields import FieldMapping
from hub.definitions.kinds import EventType
from hub.definitions.sealed import Seal
from hub.definitions.shape import EVENT, PROFILE, Shape
from hub.errors import REASONS
from hub.flows.node import Valued
from hub.flows.registry import ours as node_types
from hub.imports.local import within
from hub.imports.sources import Reach
from hub.migration.actions import ACTIONS, SERVICE
from hub.settings import Limits, Settings
from hub.store.memory import MemoryStore
from schemas.topics import TOPICS

DOCS: Final = Path(__file__).parents[2] / "docs"


def settings() -> str:
    """Every setting: variable, default, meaning."""
    rows = [f"| `{name}` | {default} | {text} |" for name, default, text in _settings(Settings, "HUB_")]
    return "\n".join(["| variable | default | what it does |", "|---|---|---|", *rows])


def _settings(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        variable = prefix + name.upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _settings(field.annotation, variable + "__")
        else:
            default = "" if field.default in (PydanticUndefined, None, "") else f"`{_written(field.default)}`"
            yield variable, default, field.description or ""


def _written(default: object) -> str:
    """As a variable says it."""
    return str(default).lower() if isinstance(default, bool) else str(default)


def topics() -> str:
    """Every topic: key, contents, retention, who writes and reads it."""
    rows = []
    for topic in TOPICS:
        kept = "compacted" if topic.retention is None else f"{topic.retention.days} d"
        parties = f"{', '.join(topic.written_by)} | {', '.join(topic.read_by)}"
        rows.append(f"| `<namespace>.{topic.suffix}` | {topic.key} | {topic.carries} | {kept} | {parties} |")
    return "\n".join(["| topic | key | holds | kept | written by | read by |", "|---|---|---|---|---|---|", *rows])


def metrics() -> str:
    """Every metric of our own: name, kind, labels, meaning."""
    found: dict[str, str] = {}
    for module in _modules():
        for value in vars(module).values():
            if isinstance(value, Counter | Gauge | Histogram):
                inner: Any = value
                name = inner._name + ("_total" if isinstance(value, Counter) else "")
                labels = ", ".join(f"`{label}`" for label in inner._labelnames)
                found[name] = f"| `{name}` | {inner._type} | {labels} | {inner._documentation} |"
    rows = [found[name] for name in sorted(found)]
    return "\n".join(["| metric | kind | labels | what it measures |", "|---|---|---|---|", *rows])


def _modules() -> Iterator[Any]:
    for package in (hub, bridges, workers):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not info.name.endswith("__main__"):
                yield importlib.import_module(info.name)


def reasons() -> str:
    """Every reason for which an event is refused: HTTP status and meaning."""
    rows = [f"| `{reason}` | {status} | {text} |" for reason, (status, text) in REASONS.items()]
    return "\n".join(["| reason | status | what it means |", "|---|---|---|", *rows])


def routes() -> str:
    """Every route of the API, from the OpenAPI document that it serves: method, path, role needed, what it is."""
    rows = [
        f"| `{method.upper()} {path}` | {role_of(operation)} | {operation.get('summary', '')} |"
        for path, operations in openapi()["paths"].items()
        for method, operation in operations.items()
    ]
    return "\n".join(["| route | role | what it is |", "|---|---|---|", *sorted(rows)])


def openapi() -> dict[str, Any]:
    """What the API says of itself, with all its routes."""
    return asyncio.run(_openapi())


def role_of(operation: dict[str, Any]) -> str:
    """That a key needs for it; empty: none does."""
    return " ".join(role for needed in operation["security"] for role in needed["key"])


def event_types() -> str:
    """Every event type that comes with the hub: index fields, profile fields, tags, journey."""
    rows = ["| type | index fields | profile | tags | journey |", "|---|---|---|---|---|"]
    for name in GROUPS:
        for id, spec in group(name).items():
            tags = " ".join(f"`{tag}`" for tag in spec.tags)
            again = f", then {spec.journey_again}" if spec.journey_again else ""
            fields = "<br>".join(_copied(spec))
            lines = "<br>".join(dict.fromkeys(map(_line, spec.profile)))
            rows.append(f"| `{id}`: {spec.description} | {fields} | {lines} | {tags} | {spec.journey}{again} |")
    return "\n".join(rows)


def _copied(spec: EventType) -> Iterator[str]:
    for field, place in spec.copied.items():
        default = f" = {spec.defaults[field]}" if field in spec.defaults else ""
        yield f"`{field} ← {place.removeprefix('properties.')}`{default}"


def _line(line: FieldMapping) -> str:
    op = "" if line.op == "set-if-newer" else f" {line.op}"
    place = "" if line.event in (None, line.profile) else f" ← {line.event}"
    return f"`{line.profile}{place}`{op}{', when it is the same' if line.when else ''}"


def schema() -> str:
    """The fields of `data` of events and profiles, with their types."""
    both = {"events": EVENT["data"], "profiles": PROFILE["data"]}
    found: dict[tuple[str, str], list[str]] = {}
    for owner, shape in both.items():
        for path, kind in _leaves(shape, "data"):
            found.setdefault((path, kind), []).append(owner)
    rows = [f"| `{path}` | {kind} | {' and '.join(owners)} |" for (path, kind), owners in found.items()]
    return "\n".join(["| field | holds | of |", "|---|---|---|", *rows])


def _leaves(shape: Shape, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(shape, str):
        yield path, shape
    else:
        for key, below in shape.items():
            yield from _leaves(below, f"{path}.{key}")


def nodes() -> str:
    """Every type of node that comes with the hub: its ports, fields, what it does."""
    rows = ["| node | what it does | fields | ports |", "|---|---|---|---|"]
    for heading in dict.fromkeys(node.group for node in node_types().values()):
        for name, node in node_types().items():
            if node.group == heading:
                fields = ", ".join(f"`{field}`" for field in node.config.model_fields)
                ports = "as configured" if node.config.own_ports else ", ".join(f"`{port}`" for port in node.ports)
                value = f" (value: {node.gives})" if issubclass(node.config, Valued) else ""
                summary = node.summary.replace("|", "\\|")
                rows.append(f"| {heading}: `{name}`{value} | {summary} | {fields} | {ports} |")
    return "\n".join(rows)


def actions() -> str:
    """What to do instead of the predecessor's actions that have no counterpart."""
    rows = [f"| {one.names} | {one.instead} |" for one in ACTIONS]
    return "\n".join(["| there | here |", "|---|---|", *rows, f"| whatever else there is | {SERVICE} |"])


async def _openapi() -> dict[str, Any]:
    app = create_app(
        publisher=NoKafka(),
        store=MemoryStore(),
        catalogue=Catalogue(),
        admin_key="key",
        namespace="hub",
        limits=Limits(),
        offsets=dict,
        record_at=lambda _partition, _offset: None,
        converter=converter_with({}),
        import_door=Door(Seal("key"), Reach(within(None), {}), Settings().imports, MemoryStore()),
    )
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        document: dict[str, Any] = (await client.get("/openapi.json")).json()
    return document


class NoKafka:
    """The documentation is served without a broker."""

    async def publish(self, topic: str, key: bytes, value: bytes | None, headers: Any = ()) -> int:
        """Never called."""
        raise AssertionError(topic)

    def ping(self) -> None:
        """Never called."""
        raise AssertionError


TABLES: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "settings": ("settings.md", settings),
    "topics": ("topics.md", topics),
    "metrics": ("metrics.md", metrics),
    "routes": ("api.md", routes),
    "reasons": ("limits.md", reasons),
    "event-types": ("event-types.md", event_types),
    "schema": ("event-types.md", schema),
    "actions": ("migration.md", actions),
    "nodes": ("flows.md", nodes),
}


def insert(text: str, name: str, table: str) -> str:
    """`text` with the table between its two markers."""
    begin, end = f"<!-- {name}: made by the code -->", f"<!-- end of {name} -->"
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page has no markers {begin} and {end}")
    return f"{head}{begin}\n{table}\n{end}{tail}"


if __name__ == "__main__":
    for table_name, (page, make) in TABLES.items():
        path = DOCS / page
        path.write_text(insert(path.read_text(), table_name, make()))
