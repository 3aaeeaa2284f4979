"""What an import is told: where the rows are, what they look like, and what becomes of them. No secret is in it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, Field, model_validator

from hub.definitions.kinds import IMPORTED_DELIMITER
from hub.definitions.secrets import ClientOptions, SecretRef
from hub.imports.detect import Type

Format: TypeAlias = Literal["auto", "csv", "jsonl", "parquet", "excel"]


class ImportSpec(BaseModel, frozen=True, extra="forbid"):
    """An import. The same one given again makes the same events."""

    id: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
            description="What it is called. The ids of its events are made from it and from each row's number or key.",
        ),
    ]
    location: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2_000,
            description="A file, s3://bucket/key (either with * for several), postgresql://host/database, "
            "mysql://host/database, elasticsearch+http(s)://host:9200/index, or kafka://host:9092/topic. No password.",
        ),
    ]
    source: Annotated[str, Field(min_length=1, description="Event source id of rows that name none; of type bridge.")]
    mapping: Annotated[
        dict[str, Any] | str | None,
        Field(
            description="Row to payload, as a bridge has it (docs/mapping.md). Unset: `event_type`, or rows in the "
            "/track shape."
        ),
    ] = None
    event_type: Annotated[
        str, Field(max_length=256, description="Without a mapping: each row is an event of this type.")
    ] = ""
    profile: Annotated[str, Field(description="With event_type: the column of the profile id. Empty: none.")] = ""
    time: Annotated[str, Field(description="With event_type: the column with its time, RFC 3339. Empty: none.")] = ""
    format: Annotated[Format, Field(description="Of files. auto: from the name, else from the first bytes.")] = "auto"
    delimiter: Annotated[
        str, Field(pattern=IMPORTED_DELIMITER, description="CSV. Empty: seen from the first rows.")
    ] = ""
    encoding: Annotated[str, Field(max_length=40, description="CSV. Empty: seen from the first bytes.")] = ""
    columns: Annotated[
        list[str], Field(max_length=10_000, description="CSV without a header line: what the columns are called.")
    ] = []
    types: Annotated[
        dict[str, Type],
        Field(
            description="CSV, by column: integer, number, boolean, time, text. A cell that is none makes a dead letter."
        ),
    ] = {}
    all_text: Annotated[bool, Field(description="CSV: every cell is a text, whatever it looks like.")] = False
    sheet: Annotated[str, Field(description="Excel. Empty: the first.")] = ""
    table: Annotated[str, Field(description="Database: a table or view, with its schema if need be.")] = ""
    query: Annotated[str, Field(max_length=100_000, description="Database: instead of a table, a SELECT.")] = ""
    key: Annotated[
        list[str],
        Field(max_length=8, description="Database: columns that tell its rows apart. Empty: a table's primary key."),
    ] = []
    search: Annotated[
        dict[str, Any] | None, Field(description="Elasticsearch: a query, as its search API has it. Unset: everything.")
    ] = None
    username: Annotated[str, Field(description="Database, Elasticsearch.")] = ""
    password: Annotated[SecretRef, Field(description="Of that user. A secret.")] = ""
    ca_file: Annotated[str, Field(description="Elasticsearch: the authority to trust, a PEM file.")] = ""
    options: Annotated[
        ClientOptions,
        Field(description="Of libpq, PyMySQL or librdkafka, such as sslmode or sasl.*. Secrets as env:NAME."),
    ] = {}
    region: Annotated[str, Field(description="S3. Empty: that of AWS's default chain.")] = ""
    endpoint_url: Annotated[str, Field(pattern="^(https?://.+)?$", description="S3: of a server other than AWS.")] = ""
    access_key_id: Annotated[str, Field(description="S3. Empty: AWS's default chain.")] = ""
    secret_access_key: Annotated[SecretRef, Field(description="S3, of access_key_id. A secret.")] = ""
    session_token: Annotated[SecretRef, Field(description="S3, of temporary credentials. A secret.")] = ""
    priority: Annotated[
        Literal["normal", "live"],
        Field(description="normal: it gives way to live events. live: it takes what it can get."),
    ] = "normal"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.mapping is not None and (self.event_type or self.profile or self.time):
            raise ValueError("a mapping says event type, profile and time itself: give either it or event_type")
        if (self.profile or self.time) and not self.event_type:
            raise ValueError("profile and time go with event_type")
        return self

    @property
    def wanted_columns(self) -> list[str]:
        """Those that have to be there."""
        return [name for name in (self.profile, self.time) if name]

    @property
    def mapping_document(self) -> dict[str, Any] | str | None:
        """The mapping, that of `event_type` written out."""
        if not self.event_type:
            return self.mapping
        event = {"type": _literal(self.event_type), "properties": "@"}
        if self.time:
            event["time"] = f"parse_time({_quoted(self.time)}, 'iso')"
        return {"event": event, **({"profile": _quoted(self.profile)} if self.profile else {})}


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
