"""Tables of the documentation that are made from the code: `python -m tests.architecture.tables` writes them anew."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import bridges
import hub
from hub.errors import REASONS
from hub.settings import Settings
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
            default = "" if field.default in (PydanticUndefined, None, "") else f"`{field.default}`"
            yield variable, default, field.description or ""


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
    for package in (hub, bridges):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not info.name.endswith("__main__"):
                yield importlib.import_module(info.name)


def reasons() -> str:
    """Every reason for which an event is refused: HTTP status and meaning."""
    rows = [f"| `{reason}` | {status} | {text} |" for reason, (status, text) in REASONS.items()]
    return "\n".join(["| reason | status | what it means |", "|---|---|---|", *rows])


TABLES: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "settings": ("settings.md", settings),
    "topics": ("topics.md", topics),
    "metrics": ("metrics.md", metrics),
    "reasons": ("limits.md", reasons),
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
