"""Telemetry as a process has it: nothing at all, unless an endpoint is set."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import structlog

from hub.errors import Refused
from hub.settings import Telemetry

if TYPE_CHECKING:  # what is off is not imported
    from hub.telemetry.tracing import Tracing

log: Final = structlog.get_logger()

PATH: Final = "v1/traces"
ANSWER_S: Final = 5.0
"""For one batch, attempts included."""


@contextmanager
def opened(settings: Telemetry, process: str, namespace: str) -> Iterator[Tracing | None]:
    """
    What makes spans while the block runs; None: nobody wants any.

    Args: process: what this one is, such as `api`. Raises: Refused: the extra is not installed.
    """
    if not settings.endpoint:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        from hub.telemetry.tracing import Tracing  # noqa: PLC0415
    except ImportError as exc:
        raise Refused(
            "telemetry",
            f"HUB_TELEMETRY__ENDPOINT is set, and {exc.name or 'a package'} is not installed: install "
            "`thamesthrive-hub[telemetry]`, or unset it",
        ) from exc
    tracing = Tracing(
        OTLPSpanExporter(endpoint=endpoint(settings.endpoint), timeout=ANSWER_S),
        service=f"{settings.service}-{process}",
        version=version("thamesthrive-hub"),
        instance=f"{socket.gethostname()}:{os.getpid()}",
        namespace=namespace,
    )
    log.info("telemetry.on", share=settings.share)
    try:
        yield tracing
    finally:
        tracing.close()


def endpoint(url: str) -> str:
    """The URL of traces: OTLP's path is appended to one that has none."""
    return url if url.rstrip("/").endswith(PATH) else f"{url.rstrip('/')}/{PATH}"
