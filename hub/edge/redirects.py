"""What the event of a followed link says: the template of a redirect, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

import structlog

from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Redirect
from hub.edge.mapping.problems import MappingError
from hub.edge.mapping.template import CompiledTemplate
from hub.errors import InvalidPayload

log: Final = structlog.get_logger()


class Link(NamedTuple):
    """A redirect that is in force."""

    spec: Redirect
    properties: CompiledTemplate

    def said(self, params: Mapping[str, Any], body: Mapping[str, Any], session_id: str | None) -> dict[str, Any]:
        """
        The event's properties.

        Raises:
            InvalidPayload: mapping_failed.
        """
        message = {"params": params, "body": body, "session": {"id": session_id}}
        made = self.properties(message)
        if made is None:
            return {}
        if type(made) is not dict:
            raise InvalidPayload("mapping_failed", "the template has to make an object", "properties")
        return made


def compiled(spec: Redirect) -> Link:
    """Raises MappingError: names every expression that is wrong."""
    return Link(spec, CompiledTemplate("properties", spec.properties))


def link(id: str, catalogue: Catalogue) -> Link | None:
    """The redirect with this id; None: there is none, or it is switched off."""
    return catalogue.compiled("redirect", _links).get(id)


def _links(entries: Mapping[str, Entry]) -> dict[str, Link]:
    found: dict[str, Link] = {}
    for id, entry in entries.items():
        spec = cast("Redirect", entry.spec)
        if not spec.enabled:
            continue
        try:
            found[id] = compiled(spec)
        except MappingError as exc:
            # saved by a version that knew other functions; people go to the page nevertheless
            log.error("redirect.unusable_properties", redirect=id, error=str(exc))
            found[id] = compiled(spec.model_copy(update={"properties": {}}))
    return found
