"""A dead letter's message on its way through its bridge's definition again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from bridges import trial
from bridges.base import Context, Delivery
from bridges.registry import BridgeError, spec_of
from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Bridge
from hub.edge.message import Convert, ConverterOf, Message
from hub.settings import Egress, Limits

EVERYWHERE: Final = Egress()


class Replayed(Delivery):
    """A message of a dead letter. `known`: what its bridge knew of it besides, by the names of `meta(…)`."""

    known: Mapping[str, Any] = {}

    def meta(self) -> dict[str, Any]:
        """As the bridge's own delivery gave it."""
        return {**super().meta(), **self.known}


def converter_with(environ: Mapping[str, str], egress: Egress = EVERYWHERE) -> ConverterOf:
    """
    What makes records of the messages of a bridge.

    Args: for messages that take asking a schema registry: environ: where references to secrets are looked up. egress:
    whom it may connect to.
    """

    def converter(id: str, definition: Bridge, catalogue: Catalogue, limits: Limits) -> Convert:
        made = trial.converter(id, definition, catalogue, limits)
        decode = _decoder(definition, Context(id, "", environ, egress))

        def convert(message: Message, now_ms: int) -> tuple[bytes, bytes]:
            headers = list(message.headers.items())
            delivery = Replayed(
                message.body, message.position, message.time_ms, message.key, headers, known=message.meta
            )
            if decode is not None:
                decode(delivery)
            return made.payload(delivery, message.payload_id, now_ms)

        return convert

    return converter


def _decoder(definition: Bridge, context: Context) -> Callable[[Delivery], None] | None:
    try:
        spec = spec_of(definition.type)
        settings = spec.settings.model_validate(definition.settings)
    except (BridgeError, ValidationError):
        return None  # a bridge that cannot run any more; its letters may still be JSON
    return None if spec.decoder is None else spec.decoder(settings, context)
