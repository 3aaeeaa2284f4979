"""Sends a file: rows → parcels → REST or Kafka, with counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import uvloop

from hub.edge.expression import compile_expression
from hub.edge.mapping import compile_mapping
from hub.send.errors import SendError
from hub.send.kafka import KafkaSender
from hub.send.parcels import Failure, Packer, Parcel
from hub.send.rest import RestSender
from hub.send.rows import Format, Row, Rows
from hub.send.tally import Checkpoint, Tally
from hub.settings import Kafka

TELL_EVERY_S: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to send, which rows of it, and where to."""

    file: Path
    """`-` is standard input."""
    via: Literal["rest", "kafka"]
    mapping: dict[str, Any] | str | None = None
    """A mapping document, or the name of a ready-made one (docs/mapping.md). None: rows are sent as they are."""
    source: str = ""
    """Event source id of rows that name none."""
    name: str = ""
    """What the file is called in the ids; empty: its file name. A line under the same name is the same event."""
    format: Format = "auto"
    delimiter: str | None = None
    first_line: int = 1
    last_line: int | None = None
    every: tuple[int, int] = (1, 0)
    """(step, start): of the data rows, counted from 0, those whose number leaves `start` when divided by `step`."""
    checkpoint: Path | None = None
    batch: bool = False
    """Rows of one profile that follow each other share a payload. Their events keep their ids."""
    give_up_after_s: float | None = None
    url: str = "http://127.0.0.1:8686"
    ca_file: Path | None = None
    """Authority to trust in TLS, a PEM file. None: the system's."""
    api_key: str = field(default="", repr=False)
    """With the role `collect`, if the hub asks for one."""
    concurrency: int = 32
    priority: Literal["bulk", "live"] = "bulk"
    """rest: whether the rows wait for live events."""
    kafka: Kafka = field(default_factory=Kafka)
    topic: str = ""
    key: str | None = None
    """JMESPath: the key of rows that are sent to Kafka as they are."""
    make_topic: int = 0
    """Partitions of the topic if it has to be made; 0: it has to be there."""


class Progress(NamedTuple):
    """How far it is. `bytes_total` is 0 when that is not known."""

    sent: int
    refused: int
    retried: int
    bytes_read: int
    bytes_total: int


class Summary(NamedTuple):
    """How it went. `skipped` rows were not asked for, or are settled according to the checkpoint."""

    sent: int
    refused: list[Failure]
    retried: int
    skipped: int
    took_s: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.sent / self.took_s if self.took_s else 0.0


def send_file(options: Options, on_progress: Callable[[Progress], None] = lambda _: None) -> Summary:
    """
    Send a file and wait until the hub, or Kafka, has acknowledged every row. Blocks.

    Args:
        on_progress: Called about ten times a second, on the calling thread.

    Returns: counts, and the rows that were refused.
    Raises: SendError, RowsError, OSError; hub.edge.mapping.MappingError: the mapping cannot be used.
    """
    return _Sending(options, on_progress).run()


class _Sending:
    def __init__(self, options: Options, on_progress: Callable[[Progress], None]) -> None:
        self._options = options
        self._on_progress = on_progress
        name = options.name or options.file.name
        checkpoint = None
        if options.checkpoint is not None:
            try:
                checkpoint = Checkpoint(options.checkpoint, name, time.monotonic)
            except ValueError as exc:
                raise SendError(str(exc)) from exc
        mapping = None if options.mapping is None else compile_mapping(options.mapping)
        # a mapping with another format than JSON reads the lines itself
        self._format: Format = options.format if mapping is None or mapping.format == "json" else "lines"
        self._first_line = max(options.first_line, 1 + (checkpoint.done_line if checkpoint else 0))
        self._tally = Tally(checkpoint)
        self._packer = Packer(
            mapping=mapping,
            source=options.source,
            name=name,
            key=None if options.key is None else compile_expression(options.key),
        )
        self._skipped = 0
        self._told_at = 0.0

    def run(self) -> Summary:
        options, tally = self._options, self._tally
        started = time.monotonic()
        with Rows(options.file, self._format, options.delimiter) as rows:
            parcels = self._parcels(rows)
            try:
                if options.via == "rest":
                    sender = RestSender(
                        options.url,
                        concurrency=options.concurrency,
                        give_up_after_s=options.give_up_after_s,
                        tally=tally,
                        priority=options.priority,
                        ca_file=options.ca_file,
                        api_key=options.api_key,
                    )
                    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                        runner.run(sender.send(parcels))
                else:
                    self._to_kafka(parcels)
            finally:
                tally.close()
            self._tell(rows)
        refused = sorted(tally.refused)
        return Summary(tally.sent, refused, tally.retried, self._skipped, time.monotonic() - started)

    def _to_kafka(self, parcels: Iterable[Parcel]) -> None:
        options = self._options
        sender = KafkaSender(options.kafka, options.topic, give_up_after_s=options.give_up_after_s, tally=self._tally)
        if options.make_topic:
            sender.make_topic(options.make_topic)
        sender.send(parcels)

    def _parcels(self, rows: Rows) -> Iterator[Parcel]:
        wanted = self._wanted(rows)
        packer = self._packer
        for made in packer.pack_together(wanted) if self._options.batch else map(packer.pack, wanted):
            if isinstance(made, Failure):
                self._tally.refuse(made.line, made.reason)
            else:
                yield made

    def _wanted(self, rows: Rows) -> Iterator[Row]:
        step, start = self._options.every
        last_line = self._options.last_line
        for row in rows:
            if time.monotonic() - self._told_at >= TELL_EVERY_S:
                self._tell(rows)
            if last_line is not None and row.line > last_line:
                return
            if row.line < self._first_line or row.number % step != start:
                self._skipped += 1
            else:
                yield row

    def _tell(self, rows: Rows) -> None:
        self._told_at = time.monotonic()
        tally = self._tally
        self._on_progress(Progress(tally.sent, len(tally.refused), tally.retried, rows.position, rows.size))
