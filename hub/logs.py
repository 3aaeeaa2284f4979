"""How the processes log: one line an event, on standard output. docs/telemetry.md has the fields."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from hub.settings import Log

_OURS: Final = ("hub.", "bridges.", "workers.")
_SELF: Final = "hub.logs"
MOST_CHARACTERS: Final = 300
"""Of an error that is remembered."""


_last: tuple[str, int | None] = ("", None)


def last_error() -> tuple[str, int | None]:
    """The newest line of this process of the level error or worse, and when, milliseconds since 1970; "": none yet."""
    return _last


def _remember(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    global _last  # noqa: PLW0603 - logging is set up once a process, and so is this
    if event.get("level") in ("error", "critical"):
        why = event.get("error") or event.get("why") or ""
        _last = (f"{event.get('event')}{': ' if why else ''}{why}"[:MOST_CHARACTERS], time.time_ns() // 1_000_000)
    return event


def configure(settings: Log, process: str = "") -> None:
    """Once a process, before anything logs. Args: process: what this one is, such as `api`."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _remember,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if settings.json_lines:
        shared.append(_Whence(process))
    rendered: list[Processor] = [structlog.processors.format_exc_info, _renderer(settings, sys.stdout)]
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    # libraries that log by the standard way
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
            foreign_pre_chain=shared,
        )
        if settings.json_lines
        else logging.Formatter("%(levelname)s %(name)s %(message)s")
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler])
    # of each request to a search engine that fails, with its traceback: the store says so itself, in one line
    logging.getLogger("elastic_transport").setLevel(logging.CRITICAL)
    logging.captureWarnings(settings.json_lines)  # what Python prints itself is no object


def _renderer(settings: Log, stream: TextIO) -> Processor:
    if settings.json_lines:
        return structlog.processors.JSONRenderer(default=str)
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0)


class _Whence:
    """Adds `logger`, `process` and `pid`."""

    def __init__(self, process: str) -> None:
        self._process = process

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        record = event.get("_record")
        event["logger"] = _module() if record is None else record.name
        event["process"] = self._process
        event["pid"] = os.getpid()
        return event


def _module() -> str:
    """Where the line comes from: the nearest module of ours, as a logger of structlog has no name."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        name: str = frame.f_globals.get("__name__", "")
        if name.startswith(_OURS) and name != _SELF:
            return name
        frame = frame.f_back
    return "hub"
