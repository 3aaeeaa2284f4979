"""Avro messages as JSON: in a schema registry's wire format, or as single objects with their schema's fingerprint."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import fastavro
import msgspec
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError
from fastavro.schema import SchemaParseException, UnknownType, fingerprint, to_parsing_canonical_form

from hub.definitions.secrets import resolve
from hub.egress import check
from hub.errors import Refused, Unavailable
from hub.settings import Egress

if TYPE_CHECKING:
    from bridges.kafka import Registry

SINGLE_OBJECT: Final = b"\xc3\x01"
"""In front of a message with a fingerprint. Source: Avro 1.12 specification, single-object encoding."""
WIRE_FORMAT: Final = b"\x00"
"""In front of a message with a registry's schema id. Source: Confluent's wire format."""
WIRE_BYTES: Final = 5
_BROKEN: Final = (ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, MemoryError)


class NotAvroError(ValueError):
    """A message that cannot be read, whenever it comes again; the text says why."""


class AvroDecoder:
    """Makes JSON of Avro: times as RFC 3339, decimals and UUIDs as text, bytes as base64."""

    def __init__(
        self, registry: Registry | None, schemas: Sequence[Any], environ: Mapping[str, str], egress: Egress
    ) -> None:
        """
        Does not connect yet.

        Args:
            registry: For messages with a schema id.
            schemas: Avro schemas as JSON values, for messages with a fingerprint.
            environ: Where the password's variable is looked up.
            egress: Whom it may connect to.

        Raises: Refused: a schema is none, or the password's variable is missing.
        """
        self._registry = registry
        self._egress = egress
        self._options = None if registry is None else _options(registry, environ)
        self._by_fingerprint = dict(map(_parsed, schemas))
        self._by_id: dict[int, Any] = {}

    def __call__(self, body: bytes) -> bytes:
        """
        The message as JSON. Blocks when the registry has to be asked for a schema, which it is once a schema.

        Raises: NotAvroError. Unavailable: the registry does not answer. Refused: it does not let us in.
        """
        if body.startswith(SINGLE_OBJECT):
            schema, at = self._of_fingerprint(body[2:10]), 10
        elif body.startswith(WIRE_FORMAT) and len(body) > WIRE_BYTES:
            schema, at = self._of_id(int.from_bytes(body[1:WIRE_BYTES], "big")), WIRE_BYTES
        else:
            raise NotAvroError(
                f"it begins with {body[:2].hex() or 'nothing'}: neither a schema id (00) nor a fingerprint (c301)"
            )
        source = io.BytesIO(body)
        source.seek(at)
        try:
            value = fastavro.schemaless_reader(source, schema, None)
        except _BROKEN as exc:
            raise NotAvroError(f"it does not fit its schema: {exc!r}") from exc
        if source.tell() != len(body):
            raise NotAvroError(f"it does not fit its schema: {len(body) - source.tell()} bytes are left over")
        return msgspec.json.encode(value)

    def _of_fingerprint(self, fingerprint: bytes) -> Any:
        schema = self._by_fingerprint.get(fingerprint)
        if schema is None:
            raise NotAvroError(
                f"no schema in the bridge's settings has the fingerprint {fingerprint.hex()}: add it to `schemas`, "
                "then replay the letter"
            )
        return schema

    def _of_id(self, id: int) -> Any:
        schema = self._by_id.get(id)
        if schema is None:
            schema = self._by_id[id] = self._ask(id)
        return schema

    def _ask(self, id: int) -> Any:
        if self._options is None or self._registry is None:
            raise NotAvroError("it has a schema id, and the bridge's settings name no `registry`")
        url = self._registry.url
        check([url], self._egress, "registry")
        try:
            # a connection is not kept for what is asked once a schema
            with SchemaRegistryClient(self._options) as client:
                return _whole(client, client.get_schema(id), {})
        except SchemaRegistryError as exc:
            if exc.http_status_code == 404:
                raise NotAvroError(f"the registry {url} has no schema {id}: {exc}") from exc
            if exc.http_status_code in (401, 403):
                raise Refused("registry", f"{url} refuses the user or password: {exc}") from exc
            raise Unavailable("registry", f"{url}: {exc}") from exc
        except (SchemaParseException, UnknownType, msgspec.DecodeError) as exc:
            raise NotAvroError(f"schema {id} of the registry {url} is no Avro schema: {exc!r}") from exc
        except Exception as exc:  # whatever its HTTP client raises: the registry cannot be reached
            raise Unavailable("registry", f"{url} does not answer: {exc!r}") from exc


def _whole(client: SchemaRegistryClient, schema: Any, named: dict[str, Any]) -> Any:
    """Parsed, with the schemas that it refers to."""
    for reference in schema.references or ():
        _whole(client, client.get_version(reference.subject, reference.version).schema, named)
    return fastavro.parse_schema(msgspec.json.decode(schema.schema_str), named_schemas=named)


def _options(registry: Registry, environ: Mapping[str, str]) -> dict[str, Any]:
    """Of a client. Raises Refused."""
    config: dict[str, Any] = {"url": registry.url, "timeout": 5, "max.retries": 1}
    if registry.user:
        config["basic.auth.user.info"] = f"{registry.user}:{resolve(registry.password, environ)}"
    if registry.ca:
        config["ssl.ca.location"] = registry.ca
    try:
        SchemaRegistryClient(config).close()
    except ValueError as exc:
        raise Refused("registry", f"these settings cannot work: {exc}") from exc
    return config


def _parsed(schema: Any) -> tuple[bytes, Any]:
    try:
        parsed = fastavro.parse_schema(schema)
        # fastavro gives the digest's hex in the order of the bytes on the wire
        return bytes.fromhex(fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO")), parsed
    except (SchemaParseException, UnknownType, *_BROKEN) as exc:
        raise Refused("bridge", f"settings.schemas: this is no Avro schema: {exc!r}") from exc
