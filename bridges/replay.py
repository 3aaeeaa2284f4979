"""A dead letter's message on its way through its bridge's definition again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import ValidationError

from bridges.base import Context, Delivery
from bridges.convert import Converter
from bridges.registry import BridgeError, spec_of
from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Bridge
from hub.edge.mapping import compile_mapping
from hub.edge.message import Convert, ConverterOf, Message
from hub.settings import Limits


def converter_with(environ: Mapping[str, str]) -> ConverterOf:
    """
    What makes records of the messages of a bridge.

    Args: environ: where references to secrets are looked up, for messages that take asking a schema registry.
    """

    def converter(id: str, definition: Bridge, catalogue: Catalogue, limits: Limits) -> Convert:
        made = Converter(
            bridge=id,
            kind=definition.type,
            source=definition.source,
            mapping=None if definition.mapping is None else compile_mapping(definition.mapping),
            catalogue=catalogue,
            limits=limits,
        )
        decode = _decoder(id, definition, environ)
        kind = _delivery(definition)

        def convert(message: Message, now_ms: int) -> tuple[bytes, bytes]:
            headers = list(message.headers.items())
            delivery = kind(message.body, message.position, message.time_ms, message.key, headers)
            if decode is not None:
                decode(delivery)
            return made.payload(delivery, message.payload_id, now_ms)

        return convert

    return converter


def _delivery(definition: Bridge) -> type[Delivery]:
    try:
        return spec_of(definition.type).delivery
    except BridgeError:
        return Delivery


def _decoder(id: str, definition: Bridge, environ: Mapping[str, str]) -> Callable[[Delivery], None] | None:
    try:
        spec = spec_of(definition.type)
        settings = spec.settings.model_validate(definition.settings)
    except (BridgeError, ValidationError):
        return None  # a bridge that cannot run any more; its letters may still be JSON
    return None if spec.decoder is None else spec.decoder(settings, Context(id, "", environ))
