"""Parquet files in an S3 bucket as a target: Amazon's, or of a server that speaks its API."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from botocore import exceptions as errors
from botocore.config import Config
from botocore.session import Session
from pydantic import Field, StringConstraints

from bridges.aws_link import AwsServer, check_ca_file
from bridges.base import Context
from bridges.outward.base import Denied, Later, Message, Rejected, Sized, Span, SpanTarget, TargetSpec
from bridges.outward.parquet import OURS, Compression, Kind, Table, encoded, table
from hub.definitions.secrets import resolve
from hub.errors import PortError

CALLERS: Final = 8
CONNECT_S: Final = 5.0
ATTEMPTS: Final = 3
FOLDER: Final = "date"
"""What query engines make a column of: its name in `date=2026-11-25/`."""
NOT_THERE: Final = ("404", "NoSuchKey")
NOT_AGAIN: Final = frozenset(range(400, 500)) - {408, 409, 429}
"""HTTP statuses of requests that would fare no better later."""
FAILURES: Final = (errors.BotoCoreError, errors.ClientError, OSError)
"""What a call may raise."""
_AWAY: Final = "Does the server run, and is settings.endpoint_url (http or https, host, port) or settings.region right?"
_MEND: Final[tuple[tuple[type[Exception], tuple[str, ...], type[Later | Denied], str], ...]] = (
    (errors.NoRegionError, (), Denied, "Set settings.region"),
    (
        errors.NoCredentialsError,
        (),
        Denied,
        "Set settings.access_key_id and secret_access_key, or give the process a role",
    ),
    (errors.ParamValidationError, (), Denied, "Correct settings.bucket and settings.prefix"),
    (errors.ClientError, ("NoSuchBucket",), Denied, "Make the bucket, or correct settings.bucket"),
    (
        errors.ClientError,
        ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint", "301"),
        Denied,
        "The bucket is elsewhere: correct settings.region",
    ),
    (errors.ClientError, ("InvalidAccessKeyId", "InvalidClientTokenId"), Denied, "Correct settings.access_key_id"),
    (
        errors.ClientError,
        ("SignatureDoesNotMatch",),
        Denied,
        "Correct settings.secret_access_key, or this machine's clock",
    ),
    (errors.ClientError, ("ExpiredToken", "InvalidToken"), Denied, "Renew settings.session_token"),
    (
        errors.ClientError,
        ("AccessDenied", "AllAccessDisabled", "403"),
        Denied,
        "Allow s3:PutObject and s3:GetObject in the bucket, or correct settings.access_key_id and secret_access_key",
    ),
    (
        errors.ClientError,
        ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout"),
        Later,
        "Nothing to do here",
    ),
    (errors.SSLError, (), Denied, "Set settings.ca_file, or correct settings.endpoint_url"),
    (errors.ConnectionError, (), Later, _AWAY),
    (errors.HTTPClientError, (), Later, _AWAY),
)
"""An error, codes of it (none: any), what it means, and what to do."""

Name = Annotated[str, StringConstraints(pattern=r"^[^\x00]+$")]


class S3Settings(AwsServer, Sized, frozen=True, extra="forbid"):
    """Settings of a destination of type `s3`."""

    bucket: Annotated[str, Field(min_length=1, description="The bucket. It has to be there.")]
    prefix: Annotated[
        str,
        Field(pattern=r"^([^/\x00].*/)?$", description="What names of files begin with, such as events/. Ends in /."),
    ] = ""
    timeout_s: Annotated[float, Field(ge=1, le=300, description="An answer may take so long.")] = 30.0
    age_s: Annotated[
        float, Field(ge=0.05, le=3600, description="How long an event waits for others at most, before it is written.")
    ] = 300.0
    id: Annotated[Name, Field(description="Column for the event id.")] = "event_id"
    columns: Annotated[
        dict[Name, Kind],
        Field(
            default_factory=dict,
            description="Columns that get the mapping's fields of the same names, with their types: string, integer, "
            f"number, boolean, timestamp. Empty: {', '.join(OURS)}, of whole events.",
        ),
    ]
    compression: Annotated[Compression, Field(description="Of the files: zstd, snappy, gzip or none.")] = "zstd"


class S3Target(SpanTarget):
    """
    A file a span and day: its name is made of the span's first record, so that writing it again writes over it.

    What was written of the span before has the same rows, or, with another definition, those of the same events.
    """

    def __init__(self, settings: S3Settings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self._callers = ThreadPoolExecutor(CALLERS, thread_name_prefix=f"destination-{context.bridge}")
        self._client: Any = None

    @property
    def size(self) -> Sized:
        """See SpanTarget."""
        return self._settings

    async def connect(self) -> None:
        """See Endpoint."""
        await asyncio.get_running_loop().run_in_executor(self._callers, self._connect)

    async def write(self, span: Span, messages: Sequence[Message], *, whole: bool) -> Sequence[Rejected]:
        """See SpanTarget."""
        if self._client is None:
            raise Later("the destination is closed")
        loop, settings = asyncio.get_running_loop(), self._settings
        made, rejected = await loop.run_in_executor(self._callers, table, messages, settings.id, settings.columns)
        days: dict[str, list[int]] = defaultdict(list)
        for place, message in enumerate(made.messages):
            days[datetime.fromtimestamp(message.time_ms / 1000, UTC).date().isoformat()].append(place)
        calls = [
            loop.run_in_executor(self._callers, self._put, self._name(span, day), span, made, places, whole)
            for day, places in days.items()
        ]
        for failed in [one for one in await asyncio.gather(*calls, return_exceptions=True) if one is not None]:
            raise failed
        return rejected

    async def close(self) -> None:
        """See Endpoint."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(errors.BotoCoreError, OSError):
                client.close()
        self._callers.shutdown(wait=False)

    def _name(self, span: Span, day: str) -> str:
        file = f"{self._context.bridge}-{span.partition}-{span.first:019d}-{span.at_ms}.parquet"
        return f"{self._settings.prefix}{FOLDER}={day}/{file}"

    # everything below runs on the callers' threads

    def _connect(self) -> None:
        settings, environ = self._settings, self._context.environ
        other = bool(settings.endpoint_url)
        check_ca_file(settings, "target")
        try:
            self._client = Session().create_client(
                "s3",
                region_name=settings.region or None,
                endpoint_url=settings.endpoint_url or None,
                verify=settings.ca_file or None,
                aws_access_key_id=settings.access_key_id or None,
                aws_secret_access_key=resolve(settings.secret_access_key, environ) or None,
                aws_session_token=resolve(settings.session_token, environ) or None,
                config=Config(
                    connect_timeout=min(CONNECT_S, settings.timeout_s),
                    read_timeout=settings.timeout_s,
                    retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                    max_pool_connections=CALLERS,
                    tcp_keepalive=True,
                    # not every server has buckets as hosts, or knows the newer checksums
                    s3={"addressing_style": "path" if other else "auto"},
                    request_checksum_calculation="when_required" if other else "when_supported",
                ),
            )
            self._client.head_bucket(Bucket=settings.bucket)
        except FAILURES as exc:
            code = _code(exc)
            if code == "403":
                return  # to list a bucket is another right than to write into it
            if code == "404":
                raise self._no_bucket() from exc
            raise self._error(exc) from exc

    def _put(self, name: str, span: Span, made: Table, places: Sequence[int], whole: bool) -> None:
        """Raises Later, Denied."""
        bucket = self._settings.bucket
        try:
            if not whole and self._is_there(name):
                return  # it has records that Kafka has no more
            body = encoded(made, places, span, self._settings.compression)
            self._client.put_object(Bucket=bucket, Key=name, Body=body, ContentType="application/vnd.apache.parquet")
        except FAILURES as exc:
            raise self._error(exc) from exc

    def _is_there(self, name: str) -> bool:
        try:
            self._client.head_object(Bucket=self._settings.bucket, Key=name)
        except errors.ClientError as exc:
            if _code(exc) in NOT_THERE:
                return False
            raise
        return True

    def _no_bucket(self) -> Denied:
        return Denied(f"there is no bucket {self._settings.bucket}: make it, or correct settings.bucket")

    def _error(self, exc: Exception) -> PortError:
        settings = self._settings
        place = f"bucket {settings.bucket} at {settings.endpoint_url or settings.region or 'AWS'}"
        code = _code(exc)
        for error, codes, kind, mend in _MEND:
            if isinstance(exc, error) and (not codes or code in codes):
                return kind(f"{place}: {exc}. {mend}")
        kind = Denied if _status(exc) in NOT_AGAIN else Later
        return kind(f"{place}: {exc}. Look at settings.endpoint_url and the server's log")


def _code(exc: Exception) -> str:
    return str(exc.response.get("Error", {}).get("Code", "")) if isinstance(exc, errors.ClientError) else ""


def _status(exc: Exception) -> int:
    """Of the HTTP answer; 0: there was none."""
    answer = exc.response.get("ResponseMetadata", {}) if isinstance(exc, errors.ClientError) else {}
    return int(answer.get("HTTPStatusCode", 0))


def _check(settings: S3Settings, definition: Mapping[str, Any]) -> None:
    if settings.columns and definition["mapping"] is None and definition["sends"] == "events":
        raise ValueError("settings.columns: they are the mapping's fields, and there is no mapping")
    if definition["mapping"] is not None and not settings.columns:
        raise ValueError("settings.columns: name the mapping's fields with their types: a file's columns are typed")
    if settings.id in (settings.columns or OURS):
        raise ValueError("settings.id: this column has another purpose")
    if FOLDER in settings.columns or settings.id == FOLDER:
        raise ValueError(f"settings.columns: {FOLDER} is the name of the folders, and so a column already")
    if definition["give_up_s"]:
        raise ValueError("give_up_s: events are written many at a time, and none of them is to blame: leave it out")


SPEC: Final = TargetSpec("s3", "Write Parquet files into an S3 bucket.", S3Settings, S3Target, _check)
