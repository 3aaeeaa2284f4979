"""Can a validator's schemas and a reshaper's templates be used?"""

from __future__ import annotations

from hub.definitions.kinds import Reshaper, Rule, Validator
from hub.edge.mapping.problems import MappingError
from hub.edge.mapping.template import CompiledTemplate
from hub.pipeline.rules.schema import Schema


def check_rule(spec: Rule) -> None:
    """Raises ValueError: one is not, and where. Other rules have neither."""
    if isinstance(spec, Validator):
        for name, document in (("properties", spec.properties), ("context", spec.context)):
            if document is not None:
                Schema(name, document)
    elif isinstance(spec, Reshaper):
        for name, template in (("properties", spec.properties), ("context", spec.context)):
            if template is None:
                continue
            try:
                CompiledTemplate(name, template)
            except MappingError as exc:
                raise ValueError(str(exc)) from exc
