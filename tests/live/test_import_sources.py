"""Where rows come from: real PostgreSQL, MariaDB, OpenSearch, S3 and Kafka; in any order, from any row on, in words."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pymysql
import pytest
from botocore.session import Session

from hub.errors import PortError, Refused, Unavailable
from hub.imports import local
from hub.imports.rows import Page, Row, Source
from hub.imports.sources import Reach, source_of
from hub.imports.spec import ImportSpec
from hub.log.config import admin_config
from hub.settings import Kafka
from tests.kafka_tools import write
from tests.plain_http import NO_TLS
from tests.servers import mariadb, postgres
from tests.servers.running import shared

ROWS: Final = 2_500
"""Some pages."""


def spec(location: str, **more: Any) -> ImportSpec:
    return ImportSpec(id="i", source="shop", location=location, **more)


def opened(wanted: ImportSpec, **environ: str) -> Source:
    return source_of(wanted, Reach(local.anywhere, environ))


def pages_of(source: Source, position: Any = None) -> list[Page]:
    with source:
        return list(source.pages(position))


def rows(pages: list[Page]) -> list[Row]:
    return [row for page in pages for row in page.rows]


def goes_on(make: Callable[[], Source], least_pages: int = 3, step: int = 1) -> list[Row]:
    """All rows; from the position of each page, or each stepth, those behind it."""
    pages = pages_of(make())
    found = rows(pages)
    assert len(pages) >= least_pages
    assert len({row.name for row in found}) == len(found)
    done = 0
    for number, page in enumerate(pages):
        done += len(page.rows)
        if number % step == 0:
            assert rows(pages_of(make(), json.loads(json.dumps(page.position)))) == found[done:]
    return found


def error_of(wanted: ImportSpec, kind: type[PortError], **environ: str) -> str:
    with pytest.raises(kind) as told:
        pages_of(opened(wanted, **environ))
    return told.value.detail


# PostgreSQL


@pytest.fixture(scope="session")
def pg(shared_folder: Path) -> Iterator[str]:
    with shared("postgres", shared_folder / "postgres") as url:
        yield url


@pytest.fixture
def pg_table(pg: str, namespace: str) -> str:
    with psycopg.connect(pg, autocommit=True) as connection:
        connection.execute(
            f'CREATE TABLE "{namespace}" (a int, b text, paid numeric, at timestamptz, tags jsonb, raw bytea, '
            "PRIMARY KEY (b, a))"
        )
        connection.execute(
            f'INSERT INTO "{namespace}" SELECT n, chr(97 + n % 3), n + 0.5, '
            "TIMESTAMPTZ '2026-11-01Z' + n * INTERVAL '1 s', "
            f"jsonb_build_object('n', n), '\\x01' FROM generate_series(1, {ROWS}) AS n"
        )
    return namespace


def pg_spec(url: str, **more: Any) -> ImportSpec:
    parts = url.rpartition("@")[2]
    return spec(f"postgresql://{parts}", username=postgres.USER, password="env:PW", **more)


def test_a_table_of_postgres(pg: str, pg_table: str) -> None:
    def make() -> Source:
        return opened(pg_spec(pg, table=pg_table), PW=postgres.PASSWORD)

    found = goes_on(make)
    assert len(found) == ROWS
    assert found[0].name == "key a, 3"
    assert found[0].value == {
        "a": 3,
        "b": "a",
        "paid": 3.5,
        "at": "2026-11-01T00:00:03Z",
        "tags": {"n": 3},
        "raw": "AQ==",
    }
    with make() as source:
        assert source.shape.facts["key"] == "b, a"
        assert [column.type for column in source.shape.columns] == [
            "int4",
            "text",
            "numeric",
            "timestamptz",
            "jsonb",
            "bytea",
        ]


def test_a_query_of_postgres_with_keys_of_any_type(pg: str, pg_table: str) -> None:
    """A per cent sign, a semicolon at the end, and a key of times, ids and bytes."""
    query = f"""SELECT a, md5(a::text)::uuid AS u, at, decode(md5(a::text), 'hex') AS raw, '100%' AS share
        FROM "{pg_table}" WHERE b LIKE '%a%' ;"""
    for key in (["at"], ["u"], ["raw"], ["share", "a"]):
        found = goes_on(lambda key=key: opened(pg_spec(pg, query=query, key=key), PW=postgres.PASSWORD), 1)  # type: ignore[misc]
        assert sorted(row.value["a"] for row in found) == [n for n in range(1, ROWS + 1) if n % 3 == 0]
        assert found[0].value["share"] == "100%"


def test_rows_that_come_while_it_is_interrupted_are_found_and_those_that_were_there_keep_their_names(
    pg: str, pg_table: str
) -> None:
    def make() -> Source:
        return opened(pg_spec(pg, table=pg_table), PW=postgres.PASSWORD)

    before = {row.name for row in rows(pages_of(make()))}
    first = pages_of(make())[0]
    with psycopg.connect(pg, autocommit=True) as connection:
        connection.execute(f"INSERT INTO \"{pg_table}\" VALUES (9999, 'c', 1), (0, 'a', 1)")
    behind = {row.name for row in rows(pages_of(make(), first.position))}
    assert "key c, 9999" in behind
    assert {row.name for row in rows(pages_of(make()))} == before | {"key c, 9999", "key a, 0"}


def test_what_postgres_refuses_is_said_in_words(pg: str, pg_table: str) -> None:
    password = {"PW": postgres.PASSWORD}
    assert "does not let us in" in error_of(pg_spec(pg, table=pg_table), Refused, PW="wrong")
    assert 'relation "nope" does not exist' in error_of(pg_spec(pg, table="nope"), Refused, **password)
    assert "a query needs --key" in error_of(pg_spec(pg, query="SELECT 1"), Refused, **password)
    assert "there is no column 'q' for the key" in error_of(pg_spec(pg, table=pg_table, key=["q"]), Refused, **password)
    assert "syntax error" in error_of(pg_spec(pg, query="SELEC 1", key=["a"]), Refused, **password)
    assert "two columns are called 'a'" in error_of(
        pg_spec(pg, query="SELECT 1 AS a, 2 AS a", key=["a"]), Refused, **password
    )
    assert "has no value in its key" in error_of(
        pg_spec(pg, query="SELECT NULL::int AS a", key=["a"]), Refused, **password
    )
    writing = f'WITH gone AS (DELETE FROM "{pg_table}" RETURNING a) SELECT a FROM gone'
    error_of(pg_spec(pg, query=writing, key=["a"]), Refused, **password)
    assert len(rows(pages_of(opened(pg_spec(pg, table=pg_table), **password)))) == ROWS
    nobody = spec("postgresql://127.0.0.1:1/x", table="t")
    assert "does not answer" in error_of(nobody, Unavailable)
    assert "either which table" in error_of(pg_spec(pg), Refused, **password)


# MariaDB


@pytest.fixture(scope="session")
def maria(shared_folder: Path) -> Iterator[str]:
    with shared("mariadb", shared_folder / "mariadb") as url:
        yield url


def connected(url: str) -> Any:
    host, _, rest = url.removeprefix("mysql://").partition(":")
    port, _, database = rest.partition("/")
    return pymysql.connect(
        host=host, port=int(port), user=mariadb.USER, password=mariadb.PASSWORD, database=database, autocommit=True
    )


def test_a_table_and_a_query_of_mysql(maria: str, namespace: str) -> None:
    with connected(maria) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE `{namespace}` "
            "(a INT, id BINARY(16) PRIMARY KEY, paid DECIMAL(9,2), at DATETIME(3), name TEXT)"
        )
        values = [
            (n, uuid.uuid5(uuid.NAMESPACE_OID, str(n)).bytes, n + 0.25, "2026-11-01 10:00:00", "Zoë")
            for n in range(ROWS)
        ]
        cursor.executemany(f"INSERT INTO `{namespace}` VALUES (%s, %s, %s, %s, %s)", values)
    known = {"username": mariadb.USER, "password": "env:PW"}
    secrets = {"PW": mariadb.PASSWORD}
    found = goes_on(lambda: opened(spec(maria, table=namespace, **known), **secrets))
    assert sorted(row.value["a"] for row in found) == list(range(ROWS))
    first = next(row for row in found if row.value["a"] == 7)
    assert (first.value["paid"], first.value["at"], first.value["name"]) == (7.25, "2026-11-01T10:00:00", "Zoë")
    assert first.name == f"key {uuid.uuid5(uuid.NAMESPACE_OID, '7').hex}"
    query = f"SELECT a, '50%' AS share FROM `{namespace}` WHERE name LIKE 'Z%'"
    assert len(goes_on(lambda: opened(spec(maria, query=query, key=["a"], **known), **secrets))) == ROWS

    # left in the middle: the rows that are still to come are not read for it
    with opened(spec(maria, table=namespace, **known), **secrets) as source:
        next(iter(source.pages(None)))
    assert "does not let us in" in error_of(spec(maria, table=namespace, **known), Refused, PW="wrong")
    assert "doesn't exist" in error_of(spec(maria, table="nope", **known), Refused, **secrets)
    assert "does not answer" in error_of(spec("mysql://127.0.0.1:1/x", table="t"), Unavailable)


# Elasticsearch


@pytest.fixture(scope="session")
def search(shared_folder: Path) -> Iterator[str]:
    with shared("elasticsearch", shared_folder / "elasticsearch") as url:
        yield url


def test_an_index(search: str, namespace: str) -> None:
    with httpx.Client(base_url=search, timeout=60, verify=NO_TLS) as http:
        made = http.put(f"/{namespace}", json={"settings": {"number_of_shards": 2, "number_of_replicas": 0}})
        assert made.is_success, made.text
        lines = [
            f'{{"index": {{"_id": "d{n}"}}}}\n{{"n": {n}, "vip": {str(n % 2 == 0).lower()}}}\n' for n in range(ROWS)
        ]
        headers = {"content-type": "application/x-ndjson"}
        bulk = http.post(f"/{namespace}/_bulk?refresh=true", content="".join(lines), headers=headers)
        assert bulk.json()["errors"] is False
        location = f"elasticsearch+{search}/{namespace}"
        found = goes_on(lambda: opened(spec(location)))
        assert sorted(row.value["n"] for row in found) == list(range(ROWS))
        assert {row.name for row in found} == {f"{namespace}/d{n}" for n in range(ROWS)}

        # one that is changed while it is read comes again, under its name; none is missed
        pages = pages_of(opened(spec(location)))
        http.put(f"/{namespace}/_doc/{pages[0].rows[0].name.rpartition('/')[2]}?refresh=true", json={"n": -1})
        again = rows(pages_of(opened(spec(location)), pages[0].position))
        assert {row.name for row in again} | {row.name for row in pages[0].rows} == {row.name for row in found}

        vips = rows(pages_of(opened(spec(location, search={"term": {"vip": True}}))))
        assert len(vips) == ROWS // 2 - (pages[0].rows[0].value["n"] % 2 == 0)
    assert "there is no index 'nope'" in error_of(spec(f"elasticsearch+{search}/nope"), Refused)
    assert "does not answer" in error_of(spec("elasticsearch+http://127.0.0.1:1/x"), Unavailable)


# S3


@pytest.fixture(scope="session")
def s3(shared_folder: Path) -> Iterator[str]:
    with shared("s3", shared_folder / "s3") as url:
        yield url


def test_files_of_s3(s3: str, namespace: str) -> None:
    import io  # noqa: PLC0415

    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    known = {"endpoint_url": s3, "region": "eu-west-2", "access_key_id": "x", "secret_access_key": "env:PW"}
    client: Any = Session().create_client(
        "s3", region_name="eu-west-2", endpoint_url=s3, aws_access_key_id="x", aws_secret_access_key="y"
    )
    client.create_bucket(Bucket=namespace, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    text = "n\n" + "".join(f"{n}\n" for n in range(ROWS))
    parquet = io.BytesIO()
    pq.write_table(pa.table({"n": list(range(ROWS))}), parquet, row_group_size=1_000)
    for key, body in (
        ("in/a.csv", text.encode()),
        ("in/b.csv.gz", gzip.compress(text.encode())),
        ("rows.parquet", parquet.getvalue()),
        ("rows.jsonl", b'{"n": 0}\n'),
    ):
        client.put_object(Bucket=namespace, Key=key, Body=body)

    def of(pattern: str) -> Callable[[], Source]:
        return lambda: opened(spec(f"s3://{namespace}/{pattern}", **known), PW="y")

    assert [row.value["n"] for row in goes_on(of("in/a.csv"), step=2)] == list(range(ROWS))
    assert [row.value["n"] for row in goes_on(of("in/*"), step=4)] == 2 * list(range(ROWS))
    assert [row.value["n"] for row in goes_on(of("rows.parquet"), step=2)] == list(range(ROWS))
    assert [row.raw for row in goes_on(of("rows.jsonl"), 1)] == [b'{"n": 0}']
    assert "there is no file" in error_of(spec(f"s3://{namespace}/nope*", **known), Refused, PW="y")
    assert "NoSuchBucket" in error_of(spec(f"s3://{namespace}-nope/a", **known), Refused, PW="y")

    # another content under the same name, half-way
    page = pages_of(of("in/a.csv")())[0]
    source = of("in/a.csv")()
    mark = source.mark
    client.put_object(Bucket=namespace, Key="in/a.csv", Body=b"n\n1\n")
    with pytest.raises(Refused, match="was changed while it was read"):
        pages_of(source, page.position)
    assert not of("in/a.csv")().continues(mark)


# Kafka


def test_a_topic(kafka: str, namespace: str) -> None:
    topic = f"{namespace}.orders"
    from confluent_kafka.admin import AdminClient, NewTopic  # noqa: PLC0415

    admin = AdminClient(admin_config(Kafka(bootstrap=kafka)))
    admin.create_topics([NewTopic(topic, 3, 1)])[topic].result()
    messages = [(f"k{n % 7}".encode(), None if n == 5 else b'{"n": %d}' % n) for n in range(ROWS)]
    write(Kafka(bootstrap=kafka), topic, messages)
    location = f"kafka://{kafka}/{topic}"
    pages = pages_of(opened(spec(location)))
    found = {row.name: row for row in rows(pages)}
    assert len(found) == ROWS
    assert sorted(row.raw or b"" for row in found.values()) == sorted(body or b"" for _, body in messages)
    some = next(row for row in found.values() if row.raw == b'{"n": 9}')
    assert some.meta is not None
    assert (some.meta["key"], some.meta["topic"]) == ("k2", topic)

    # what comes behind the end of the first run belongs to none of it
    write(Kafka(bootstrap=kafka), topic, [(b"k", b"late")])
    for number, page in enumerate(pages):
        again = {row.name for row in rows(pages_of(opened(spec(location)), json.loads(json.dumps(page.position))))}
        assert again == found.keys() - {row.name for row in rows(pages[: number + 1])}
    assert "Unknown topic or partition" in error_of(spec(f"kafka://{kafka}/{namespace}.nope"), Refused)
    assert "No such configuration property" in error_of(spec(location, options={"nope": "1"}), Refused)
