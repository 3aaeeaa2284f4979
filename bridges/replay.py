"""A dead letter's message on its way through its bridge's definition again."""

from __future__ import annotations

from bridges.base import Delivery
from bridges.convert import Converter
from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Bridge
from hub.edge.mapping import compile_mapping
from hub.edge.message import Convert, Message
from hub.settings import Limits


def converter(id: str, definition: Bridge, catalogue: Catalogue, limits: Limits) -> Convert:
    """
    What makes records of the messages of a bridge, as `hub.edge.message.ConverterOf` says.

    Raises: MappingError: the definition's mapping cannot be used.
    """
    made = Converter(
        bridge=id,
        kind=definition.type,
        source=definition.source,
        mapping=None if definition.mapping is None else compile_mapping(definition.mapping),
        catalogue=catalogue,
        limits=limits,
    )

    def convert(message: Message, now_ms: int) -> tuple[bytes, bytes]:
        headers = list(message.headers.items())
        delivery = Delivery(message.body, message.position, message.time_ms, message.key, headers)
        return made.payload(delivery, message.payload_id, now_ms)

    return convert
