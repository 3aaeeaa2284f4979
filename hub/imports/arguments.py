"""Imports as tasks: what can be said of their arguments before one begins."""

from __future__ import annotations

from typing import Any

from hub.edge.mapping import MappingError, compile_mapping
from hub.errors import PortError
from hub.imports import local
from hub.imports.spec import ImportSpec
from hub.settings import Imports


class Checker:
    """Says what no import can be made of, without asking any other server."""

    def __init__(self, settings: Imports) -> None:
        """Args: settings: whose folder it may look into."""
        self._find = local.within(settings.folder)

    def __call__(self, spec: Any) -> None:
        """Raises ValueError."""
        assert isinstance(spec, ImportSpec)
        document = spec.mapping_document
        try:
            if document is not None:
                compile_mapping(document)
            if "://" not in spec.location:
                self._find(spec.location)
        except MappingError as exc:
            raise ValueError(f"the mapping cannot be used: {exc}") from exc
        except PortError as exc:
            raise ValueError(exc.detail) from exc
