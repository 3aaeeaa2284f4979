"""S3: a bucket of its own on the run's moto; files are read back with pyarrow."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import msgspec
from botocore.session import Session
from pyarrow import parquet

from hub.stack import ports
from tests.servers import running
from tests.sources import World
from tests.targets import Arrived, Open, Sink

SECRET: Final = "TEST_S3_SECRET"
"""The variable that the destination's setting refers to."""
PREFIX: Final = "events/"


def client(url: str, key: str = "test", secret: str = "test", service: str = "s3") -> Any:
    return Session().create_client(
        service, endpoint_url=url, region_name="eu-west-2", aws_access_key_id=key, aws_secret_access_key=secret
    )


class S3Sink:
    """See Sink."""

    kind = "s3"
    exactly_once = True

    def __init__(self, url: str, bucket: str) -> None:
        os.environ[SECRET] = "test"  # destinations run in this process, and in its children
        self.bucket = bucket
        self.client = client(url)
        self.client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        self.settings: dict[str, Any] = {
            "bucket": bucket,
            "prefix": PREFIX,
            "endpoint_url": url,
            "region": "eu-west-2",
            "access_key_id": "test",
            "secret_access_key": f"env:{SECRET}",
            "age_s": 0.2,
        }
        self.definition: dict[str, Any] = {"settings": self.settings}
        self.away = {**self.settings, "endpoint_url": f"http://127.0.0.1:{ports.free_port()}"}

    def files(self) -> list[str]:
        """Names, in the order in which they were begun."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        names = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return sorted(names, key=lambda name: name.rpartition("/")[2])

    def rows(self, name: str) -> list[dict[str, Any]]:
        body = self.client.get_object(Bucket=self.bucket, Key=name)["Body"].read()
        found: list[dict[str, Any]] = parquet.read_table(io.BytesIO(body)).to_pylist()
        return found

    def arrived(self) -> Sequence[Arrived]:
        found = []
        for name in self.files():
            for row in self.rows(name):
                assert name.startswith(f"{PREFIX}date={row['time'].date()}/")
                content = msgspec.json.decode(row["document"])
                assert row["profile_id"] == content["profile"]["id"]
                assert msgspec.json.decode(row["properties"]) == content["properties"]
                found.append(Arrived(row["event_id"], content))
        return found


class ColumnsSink(S3Sink):
    """The mapping's fields become columns, each of the type that is told."""

    def __init__(self, url: str, bucket: str) -> None:
        super().__init__(url, bucket)
        columns = {"number": "integer", "at": "timestamp", "properties": "string"}
        self.away["columns"] = columns
        self.definition = {
            "settings": {**self.settings, "columns": columns},
            "mapping": {"number": "properties.number", "at": "metadata.time.insert", "properties": "properties"},
        }

    def arrived(self) -> Sequence[Arrived]:
        found = []
        for row in [row for name in self.files() for row in self.rows(name)]:
            properties = msgspec.json.decode(row["properties"])
            assert row["number"] == properties["number"]
            assert row["at"].tzinfo is not None
            found.append(Arrived(row["event_id"], {"id": row["event_id"], "properties": properties}))
        return found


def _way(kind: type[S3Sink]) -> Open:
    @contextmanager
    def way(world: World) -> Iterator[Sink]:
        with running.shared("s3", world.folder / "s3") as url:
            sink = kind(url, f"{world.namespace}-sink")
            with closing(sink.client):
                yield sink

    return way


WAYS: Final[dict[str, Open]] = {"": _way(S3Sink), "columns": _way(ColumnsSink)}
