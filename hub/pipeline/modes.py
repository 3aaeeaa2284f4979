"""What a payload's own options ask of the collector; the edge writes them, too, for a source that is defined so."""

from __future__ import annotations

import msgspec

from hub.edge.inbound import SAVE_EVENTS, STATIC_PROFILE
from hub.pipeline.records import EMPTY
from schemas.records import Track


def is_ephemeral(track: Track) -> bool:
    """Whether its events change the profile and are told, but neither they nor the session are kept."""
    return _says(track, SAVE_EVENTS, wanted=False)


def is_static(track: Track) -> bool:
    """Whether it belongs to the profile that it names, whoever holds its session."""
    return _says(track, STATIC_PROFILE, wanted=True)


def _says(track: Track, name: str, *, wanted: bool) -> bool:
    options = track["options"]
    if options == EMPTY or name.encode() not in options:
        return False
    try:
        return msgspec.json.decode(options).get(name) is wanted
    except (msgspec.DecodeError, AttributeError):
        return False  # a foreign producer's; as without options
