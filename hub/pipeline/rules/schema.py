"""JSON Schemas, compiled: draft 2020-12, with nothing that lies elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NoReturn

import jsonschema_rs

MOST_FAULTS: Final = 5
"""Of one event that are named one by one."""
MOST_CHARS: Final = 300
"""Of what is said about one fault. It does not quote the value, which may be one that must not be kept."""


class SchemaError(ValueError):
    """It is no schema that can be used; the message says where and why."""


class Schema:
    """One schema."""

    def __init__(self, name: str, document: dict[str, Any] | bool) -> None:
        """
        Args:
            name: `properties` or `context`: where in the definition it stands.

        Raises:
            SchemaError: no schema of draft 2020-12, or one that refers to another document.
        """
        try:
            # patterns without look-around and back references are matched in linear time, whatever an event holds
            self._validator = jsonschema_rs.Draft202012Validator(
                document,
                validate_formats=True,
                retriever=_elsewhere,
                pattern_options=jsonschema_rs.RegexOptions(),
                mask="the value",
            )
        except ValueError as exc:
            place = ".".join([name, *map(str, getattr(exc, "instance_path", ()))])
            detail = str(getattr(exc, "message", exc)).splitlines()[0]
            raise SchemaError(f"{place}: {detail[:MOST_CHARS]}") from exc
        self._name = name

    def fits(self, value: dict[str, Any]) -> bool:
        """Whether a value is as the schema says."""
        return self._validator.is_valid(value)

    def faults(self, value: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """(field, what is wrong) of a value that is not as the schema says; no more than MOST_FAULTS."""
        if self.fits(value):
            return
        for number, error in enumerate(self._validator.iter_errors(value)):
            if number == MOST_FAULTS:
                yield self._name, "and more"
                return
            yield ".".join([self._name, *map(str, error.instance_path)]), error.message[:MOST_CHARS]


def _elsewhere(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not in the schema: put it into $defs")
