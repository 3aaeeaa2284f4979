"""Every version of a flow that a run may be of, compiled once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
from pydantic import ValidationError

from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Flow
from hub.flows.check import FlowError
from hub.flows.compiled import CompiledFlow, compile_flow

FLOW: Final = "flow"
MOST: Final = 1_000
"""Compiled flows that are remembered: those that were asked for last."""


class NotKnown(Exception):
    """This process has not seen that version yet, or nobody has kept it yet."""


class Unusable(Exception):
    """A version of a flow cannot be run here; the message says why."""


class Off(Exception):
    """The flow was deleted or switched off."""


class FlowVersions:
    """Of one process. For one thread."""

    def __init__(self, catalogue: Catalogue, older: Callable[[str, int], str | None]) -> None:
        """Args: older: the JSON of a version as it was published, by flow and version; may raise Unavailable."""
        self._catalogue = catalogue
        self._older = older
        self._compiled: OrderedDict[tuple[str, int], CompiledFlow | Unusable] = OrderedDict()

    @property
    def offset(self) -> int:
        """Of the newest definition that this process has seen."""
        return self._catalogue.offset

    def to_begin(self, id: str, version: int) -> CompiledFlow:
        """For a new run. Raises Off, NotKnown, Unusable, and what `older` raises."""
        if version > self._catalogue.offset:
            raise NotKnown(f"version {version} of the flow {id!r} is not known here yet")
        entry = self._catalogue.entry(FLOW, id)
        if entry is None or not entry.spec.enabled:
            raise Off(f"the flow {id!r} was deleted or switched off")
        return self.get(id, version)

    def get(self, id: str, version: int) -> CompiledFlow:
        """For a run that goes on, whatever the flow is by now. Raises NotKnown, Unusable, and what `older` raises."""
        found = self._compiled.get((id, version))
        if found is None:
            found = self._made(id, version)
            self._compiled[id, version] = found
            if len(self._compiled) > MOST:
                self._compiled.popitem(last=False)
        else:
            self._compiled.move_to_end((id, version))
        if isinstance(found, Unusable):
            raise Unusable(*found.args)
        return found

    def _made(self, id: str, version: int) -> CompiledFlow | Unusable:
        entry = self._catalogue.entry(FLOW, id)
        try:
            if entry is not None and entry.version == version:
                return compile_flow(id, cast("Flow", entry.spec), version)
            text = self._older(id, version)
            if text is None:
                raise NotKnown(f"the store does not have version {version} of the flow {id!r} yet")
            spec: Any = msgspec.json.decode(text)
            return compile_flow(id, Flow.model_validate(spec), version)
        except FlowError as exc:
            why = "; ".join(f"{problem.where}: {problem.detail}" for problem in exc.problems[:5])
        except (ValidationError, msgspec.DecodeError) as exc:
            why = str(exc)
        return Unusable(f"version {version} of the flow {id!r} cannot be run by this process: {why}")
