"""What a replay is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.errors import Refused
from hub.pipeline.data_keys import Wrapping
from hub.pipeline.sealed import Sealer
from hub.replay.bounds import BEGINNING, Bound
from hub.settings import Bulk, Kafka

MOST_PAUSE_S: Final = 8.0
"""Less than what a collector waits for the store's lock (hub.store.sqlite.database.BUSY_S)."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to replay, and where to."""

    kafka: Kafka
    namespace: str
    store_url: str
    data: Path
    """Folder of a shadow's log, and of its store if live's is a file."""
    since: Bound
    until: Bound | None = None
    query: str = ""
    into: str | None = None
    """The shadow namespace; None: into live."""
    definitions: Path | None = None
    """Of the shadow: `hub.replay.definitions.read_folder`."""
    dry_run: bool = False
    promote: bool = False
    """Put the shadow in live's place."""
    most_pause_s: float = MOST_PAUSE_S
    """How long live's collectors may wait for that."""
    samples: int = 3
    bulk: Bulk
    wrapping: Wrapping | None = None
    """Of the keys of sealed records; None: no record is sealed."""
    sealer: Sealer | None = None
    """Of the records that are sent; None: they are not sealed."""
    environment: Mapping[str, str]
    """Of the shadow's collector."""


def check_promotion(options: Options) -> None:
    """Raises Refused: what is asked for cannot be promoted."""
    if not options.promote:
        return
    if options.into is None:
        raise Refused("replay", "only a shadow can be promoted: name one with --into")
    if options.dry_run:
        raise Refused(
            "replay", "a dry run makes no shadow, so there is nothing to promote: leave out --dry-run or --promote"
        )
    if options.since != BEGINNING or options.until is not None or options.query.strip():
        raise Refused(
            "replay",
            "only a whole replay can be promoted, as its profiles hold all that was ever taken: --from beginning, "
            "without --until and --q",
        )
