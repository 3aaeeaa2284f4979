"""Files of S3, or of a server that speaks its API: found by their names, read in pieces."""

from __future__ import annotations

import fnmatch
import io
from functools import partial
from typing import IO, Any, Final, NamedTuple

from botocore import exceptions as errors
from botocore.config import Config
from botocore.session import Session

from hub.errors import PortError, Refused, Unavailable
from hub.imports.bytes_of import Blob
from hub.imports.rows import unreadable

PIECE_BYTES: Final = 4 * 1024 * 1024
CONNECT_S: Final = 5.0
ANSWER_S: Final = 60.0
ATTEMPTS: Final = 5
MOST_FILES: Final = 100_000
_LATER: Final = frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "503"})


class Bucket(NamedTuple):
    """Where it is, and who we are there; without any of the others: as boto's default chain finds it."""

    name: str
    region: str = ""
    endpoint_url: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""


def blobs(bucket: Bucket, pattern: str) -> list[Blob]:
    """
    The files of a name, or of a pattern with `*`, in the order of their names.

    Raises: Refused: there is none. Unavailable.
    """
    client = _client(bucket)
    prefix = pattern.partition("*")[0].partition("?")[0].partition("[")[0]
    found: list[Blob] = []
    try:
        for answer in client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=prefix):
            for each in answer.get("Contents", ()):
                key = each["Key"]
                if (key == pattern or fnmatch.fnmatchcase(key, pattern)) and not key.endswith("/"):
                    found.append(_blob(client, bucket.name, each))
            if len(found) > MOST_FILES:
                raise unreadable(
                    f"s3://{bucket.name}/{pattern} are more than {MOST_FILES:,} files: take a part of them"
                )
    except (errors.BotoCoreError, errors.ClientError) as exc:
        raise _translated(exc, bucket) from exc
    if not found:
        raise unreadable(f"there is no file s3://{bucket.name}/{pattern}")
    return sorted(found, key=lambda blob: blob.name)


def _blob(client: Any, bucket: str, each: dict[str, Any]) -> Blob:
    key, etag, size = each["Key"], each["ETag"], int(each["Size"])
    return Blob(
        name=f"s3://{bucket}/{key}",
        size=size,
        mark=f"{etag} {size}",
        time_ms=int(each["LastModified"].timestamp() * 1000),
        open=partial(_open, client, bucket, key, etag, size),
    )


def _open(client: Any, bucket: str, key: str, etag: str, size: int) -> IO[bytes]:
    return io.BufferedReader(_Remote(client, bucket, key, etag, size), PIECE_BYTES)


class _Remote(io.RawIOBase):
    """An object, a piece at a time: a connection that breaks costs a piece, and a place to go on from costs nothing."""

    def __init__(self, client: Any, bucket: str, key: str, etag: str, size: int) -> None:
        self._get = partial(client.get_object, Bucket=bucket, Key=key, IfMatch=etag)
        self._name = f"s3://{bucket}/{key}"
        self._bucket = Bucket(bucket)
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        try:
            answer = self._get(Range=f"bytes={self._at}-{self._at + wanted - 1}")
            data = answer["Body"].read()
        except (errors.BotoCoreError, errors.ClientError, OSError) as exc:
            raise _translated(exc, self._bucket, self._name) from exc
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _client(bucket: Bucket) -> Any:
    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=ANSWER_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        response_checksum_validation="when_required",
    )
    try:
        return Session().create_client(
            "s3",
            region_name=bucket.region or None,
            endpoint_url=bucket.endpoint_url or None,
            aws_access_key_id=bucket.access_key_id or None,
            aws_secret_access_key=bucket.secret_access_key or None,
            aws_session_token=bucket.session_token or None,
            config=config,
        )
    except (errors.BotoCoreError, ValueError) as exc:
        raise unreadable(f"S3 cannot be asked: {exc}") from exc


def _translated(exc: Exception, bucket: Bucket, name: str = "") -> PortError:
    where = name or f"s3://{bucket.name}"
    if isinstance(exc, errors.ClientError):
        code = str(exc.response.get("Error", {}).get("Code", ""))
        if code in _LATER:
            return Unavailable("import", f"{where}: {exc}")
        if code in ("PreconditionFailed", "412"):
            return unreadable(f"{where} was changed while it was read: begin anew, under another id")
        return Refused("import", f"{where}: {exc}. Correct bucket, region, access_key_id and secret_access_key")
    if isinstance(exc, (errors.NoCredentialsError, errors.NoRegionError, errors.ParamValidationError)):
        return Refused("import", f"{where}: {exc}")
    return Unavailable("import", f"{where}: {exc}")
