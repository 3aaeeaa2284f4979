"""How a process seals the records of events.v1 that it sends: by the hub's own keys."""

from __future__ import annotations

from hub.log.sealing import Sealing
from hub.pipeline.data_keys import Wrapping
from hub.pipeline.sealed import Sealer
from hub.settings import Settings
from hub.stack.keys import identity_key, secret_key
from schemas.topics import KEYS


def sealing_of(settings: Settings) -> Sealing | None:
    """None: this hub does not seal. Keys that settings do not give are those of the data folder, made if need be."""
    if not settings.privacy.shredding:
        return None
    wrapping = Wrapping(secret_key(settings.secret_key, settings.data))
    sealer = Sealer(wrapping, identity_key(settings.identity.key, settings.data))
    return Sealing(sealer, KEYS.name(settings.namespace))
