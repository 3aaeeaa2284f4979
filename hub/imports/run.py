"""An import, put together: its source opened, its mapping compiled, its event source there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import msgspec

from hub.definitions.catalogue import Catalogue
from hub.edge.inbound import check_source
from hub.edge.mapping import CompiledMapping, MappingError, compile_mapping
from hub.errors import InvalidPayload
from hub.imports.convert import Converter
from hub.imports.importer import Bad, Blobs, Counts, Importer
from hub.imports.outlet import Outlet
from hub.imports.rows import Shape, Source, check_columns, unreadable
from hub.imports.sources import Reach, source_of
from hub.imports.spec import ImportSpec
from hub.pipeline.stop_rule import StopRule
from hub.settings import Imports, Limits

SHOWN_EVENTS: Final = 3
SHOWN_BAD: Final = 10


class Site(NamedTuple):
    """The hub that gets the rows. `now_ms`: the clock, milliseconds since 1970."""

    catalogue: Catalogue
    limits: Limits
    blobs: Blobs
    settings: Imports
    reach: Reach
    now_ms: Callable[[], int]


class Opened(NamedTuple):
    """An import whose source is open. `importer`: of an outlet."""

    source: Source
    converter: Converter
    importer: Callable[[Outlet], Importer]


class Rehearsal(NamedTuple):
    """
    What a dry run saw.

    Attributes:
        whole: Whether these were all rows.
        events: Payloads of the first rows that make events, as JSON.
        bad: The first rows that would become dead letters.
    """

    shape: Shape
    counts: Counts
    whole: bool
    events: list[msgspec.Raw]
    bad: list[Bad]


def checked(spec: ImportSpec, catalogue: Catalogue) -> CompiledMapping | None:
    """
    Its mapping, compiled.

    Raises: Refused: it cannot be used; or the event source is not there, or takes nothing from here.
    """
    try:
        check_source(spec.source, catalogue, "bridge")
    except InvalidPayload as exc:
        raise unreadable(f"event source {spec.source!r}: {exc.detail}. Its type has to have bridge in it") from exc
    document = spec.mapping_document
    try:
        return None if document is None else compile_mapping(document)
    except MappingError as exc:
        raise unreadable(f"the mapping cannot be used: {exc}") from exc


@contextmanager
def opened(spec: ImportSpec, site: Site, began_ms: int) -> Iterator[Opened]:
    """
    Open it.

    Args: began_ms: when it began first, milliseconds since 1970.

    Raises: Refused, Unavailable.
    """
    mapping = checked(spec, site.catalogue)
    converter = Converter(
        id=spec.id,
        source=spec.source,
        file=spec.location,
        mapping=mapping,
        catalogue=site.catalogue,
        limits=site.limits,
        began_ms=began_ms,
    )

    def importer(outlet: Outlet) -> Importer:
        rule = StopRule(site.settings.stop_share, site.settings.stop_window)
        return Importer(source, converter, outlet, site.blobs, stop_rule=rule, now_ms=site.now_ms)

    with source_of(spec, site.reach) as source:
        check_columns(spec.location, source.shape, spec.wanted_columns)
        yield Opened(source, converter, importer)


def rehearse(spec: ImportSpec, site: Site, most_rows: int) -> Rehearsal:
    """
    What would become of the first rows. Sends nothing.

    Raises: Refused, Unavailable.
    """
    now_ms = site.now_ms()
    events: list[msgspec.Raw] = []
    bad: list[Bad] = []
    read = dead = dropped = made = 0
    with opened(spec, site, now_ms) as one:
        for page in one.source.pages(None):
            for row in page.rows[: most_rows - read]:
                read += 1
                payload, refusal = one.converter.preview(row, now_ms)
                if payload is None:
                    assert refusal is not None
                    dead += 1
                    if len(bad) < SHOWN_BAD:
                        bad.append(Bad(row.name, refusal.reason, refusal.detail))
                    continue
                found: list[Any] = msgspec.json.decode(payload)["events"]
                made += len(found)
                dropped += not found
                if found and len(events) < SHOWN_EVENTS:
                    events.append(payload)
            if read >= most_rows:
                break
        whole = read < most_rows
        return Rehearsal(one.source.shape, Counts(read, read - dead, dead, dropped, made), whole, events, bad)
