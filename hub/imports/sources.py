"""From a location to the source behind it."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple, Self
from urllib.parse import SplitResult, unquote, urlsplit

from hub.definitions.secrets import resolve
from hub.egress import check
from hub.errors import Refused
from hub.imports import local
from hub.imports.bytes_of import GZIP, Blob
from hub.imports.csv_file import CsvFile, CsvOptions
from hub.imports.elastic import Cluster, Elastic
from hub.imports.excel import Excel
from hub.imports.json_lines import JsonLines
from hub.imports.kafka_topic import KafkaTopic, Topic
from hub.imports.parquet import Parquet
from hub.imports.rows import Page, Position, Shape, Source, Unmarked, check_columns, unreadable
from hub.imports.spec import Format, ImportSpec
from hub.imports.sql import Database, Server, Sql, Wanted
from hub.settings import Egress

MEND: Final = "start `hub import`, or `hub worker import:worker` and the API, with it"
TOKENS: Final = "sasl.oauthbearer.token.endpoint.url"
_BY_NAME: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "excel",
}


class Reach(NamedTuple):
    """
    What an import may look at. `find`: files of this machine. `environ`: where secrets are looked up. `egress`: whom it
    may connect to.
    """

    find: local.Find
    environ: Mapping[str, str]
    egress: Egress = Egress()

    def permit(self, *places: str) -> None:
        """Before it connects. Raises Refused."""
        check([place for text in places for place in text.split(",")], self.egress, "import")


def source_of(spec: ImportSpec, reach: Reach) -> Source:
    """
    Opens nothing yet, but looks for files.

    Raises: Refused: there is no such thing, or it may not be read. Unavailable.
    """
    scheme = spec.location.partition("://")[0].lower() if "://" in spec.location else ""
    match scheme:
        case "":
            return _local(spec, reach)
        case "s3":
            return _s3(spec, reach)
        case "postgresql" | "postgres":
            from hub.imports.postgres import Postgres  # noqa: PLC0415 - its driver takes long to import

            return _database(spec, reach, Postgres)
        case "mysql" | "mariadb":
            from hub.imports.mysql import MySql  # noqa: PLC0415 - as above

            return _database(spec, reach, MySql)
        case "elasticsearch+http" | "elasticsearch+https":
            return _elastic(spec, reach)
        case "kafka":
            return _kafka(spec, reach)
    raise unreadable(
        f"nothing is known of {scheme}://: write a file, s3://, postgresql://, mysql://, elasticsearch+http://, "
        "elasticsearch+https:// or kafka://"
    )


def default_id(location: str, table: str = "", query: str = "", sheet: str = "") -> str:
    """What an import is called that nobody has named: its file and sheet, topic, index, or its database and table."""
    text = PurePosixPath(location).name
    if "://" in location:
        with suppress(ValueError):  # it is no URL, which somebody else will say
            parts = urlsplit(location)
            text = f"{parts.hostname or ''}{parts.path}"
    # two queries of one database may give rows of the same keys
    told = hashlib.sha256(query.strip().encode()).hexdigest()[:8] if query else ""
    text = "-".join(filter(None, (text, table, told, sheet)))
    made = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in text)
    return made.strip("-._")[:100] or "import"


class Files(Unmarked):
    """Several files as one source. See Source. The position is the file, and the position in it."""

    def __init__(self, blobs: Sequence[Blob], make: Callable[[Blob], Source], wanted: Sequence[str] = ()) -> None:
        """Args: blobs: one at least, each with a name of its own. wanted: columns that each has to have."""
        self._wanted = wanted
        self._blobs = sorted(blobs, key=lambda blob: blob.name)
        self._make = make
        self._shape = Shape({})

    def __enter__(self) -> Self:
        """Raises Refused, Unavailable."""
        with self._make(self._blobs[0]) as first:
            facts, columns = first.shape
        self._shape = Shape({"files": f"{len(self._blobs):,}, the first: {self._blobs[0].name}", **facts}, columns)
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open between pages."""

    @property
    def shape(self) -> Shape:
        """Of the first."""
        return self._shape

    @property
    def total(self) -> int:
        """Bytes."""
        return sum(blob.size for blob in self._blobs)

    def pages(self, position: Position) -> Iterator[Page]:
        """See Source."""
        name, within, mark = position or ("", None, "")
        before = 0
        for blob in self._blobs:
            if blob.name >= name:
                at = within if blob.name == name else None
                with self._make(blob) as source:
                    check_columns(blob.name, source.shape, self._wanted)
                    if at is not None and not source.continues(mark):
                        raise unreadable(
                            f"{blob.name} was changed since it was half read: begin anew, under another id"
                        )
                    share = blob.size / source.total if source.total else 0
                    for page in source.pages(at):
                        rows = [
                            row._replace(name=f"{blob.name}, {row.name}", meta={**(row.meta or {}), "file": blob.name})
                            for row in page.rows
                        ]
                        yield Page(rows, (blob.name, page.position, blob.mark), before + int(page.done * share))
            before += blob.size


def _local(spec: ImportSpec, reach: Reach) -> Source:
    found = reach.find(spec.location)
    if len(found) == 1 and found[0].name == PurePosixPath(spec.location).name:
        return _files(spec, [local.blob(found[0], found[0].name)], is_pattern=False)
    # as they are called below the folder that is the same for all: two folders may have files of one name
    folder = os.path.commonpath([path.parent for path in found])
    names = [path.relative_to(folder).as_posix() for path in found]
    return _files(spec, [local.blob(path, name) for path, name in zip(found, names, strict=True)], is_pattern=True)


def _files(spec: ImportSpec, blobs: Sequence[Blob], *, is_pattern: bool) -> Source:
    make = partial(_file, spec)
    return Files(blobs, make, spec.wanted_columns) if is_pattern else make(blobs[0])


def _file(spec: ImportSpec, blob: Blob) -> Source:
    format = spec.format if spec.format != "auto" else _format_of(blob)
    match format:
        case "parquet":
            return Parquet(blob)
        case "excel":
            return Excel(blob, spec.sheet)
        case "jsonl":
            return JsonLines(blob)
    options = CsvOptions(spec.delimiter, spec.encoding, spec.columns, spec.types, spec.all_text)
    return CsvFile(blob, options)


def _format_of(blob: Blob) -> Format:
    name = PurePosixPath(blob.name.lower().removesuffix(".gz"))
    found = _BY_NAME.get(name.suffix)
    if found is not None:
        return found
    try:
        with blob.open() as file:
            start = file.read(4_096)
    except OSError as exc:
        raise unreadable(f"{blob.name} cannot be read: {exc}") from exc
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(GZIP):
        return "csv"
    return "jsonl" if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") else "csv"


def _s3(spec: ImportSpec, reach: Reach) -> Source:
    from hub.imports import s3  # noqa: PLC0415 - boto takes long to import

    bucket, _, pattern = spec.location.removeprefix("s3://").partition("/")
    if not bucket or not pattern:
        raise unreadable("write s3://bucket/key, or s3://bucket/folder/*.csv for several files")
    reach.permit(spec.endpoint_url)
    where = s3.Bucket(
        name=bucket,
        region=spec.region,
        endpoint_url=spec.endpoint_url,
        access_key_id=spec.access_key_id,
        secret_access_key=_secret(spec.secret_access_key, reach),
        session_token=_secret(spec.session_token, reach),
    )
    return _files(spec, s3.blobs(where, pattern), is_pattern=glob.has_magic(pattern))


def _database(spec: ImportSpec, reach: Reach, kind: Callable[[Server], Database]) -> Source:
    parts = _split(spec.location)
    server = Server(
        host=parts.hostname or "",
        port=parts.port or 0,
        database=unquote(parts.path.strip("/")),
        username=spec.username,
        password=_secret(spec.password, reach),
        options=_options(spec, reach),
    )
    if not server.host or not server.database:
        raise unreadable(f"write {parts.scheme}://host:port/database")
    reach.permit(server.host, *_named(server.options, "host", "hostaddr"))
    return Sql(kind(server), Wanted(spec.table, spec.query, spec.key))


def _elastic(spec: ImportSpec, reach: Reach) -> Source:
    parts = _split(spec.location)
    index = parts.path.strip("/")
    if not index or "/" in index:
        raise unreadable("write elasticsearch+https://host:9200/index")
    url = f"{parts.scheme.removeprefix('elasticsearch+')}://{parts.netloc}"
    reach.permit(url)
    password = _secret(spec.password, reach)
    return Elastic(Cluster(url, index, spec.username, password, spec.ca_file, spec.search))


def _kafka(spec: ImportSpec, reach: Reach) -> Source:
    brokers, _, topic = spec.location.removeprefix("kafka://").partition("/")
    if not brokers or not topic or "/" in topic:
        raise unreadable("write kafka://host:9092/topic, several brokers with commas between")
    options = _options(spec, reach)
    reach.permit(brokers, *_named(options, "bootstrap.servers", "metadata.broker.list", TOKENS))
    return KafkaTopic(Topic(brokers, topic, options))


def _split(location: str) -> SplitResult:
    try:
        parts = urlsplit(location)
        _ = parts.port
    except ValueError as exc:
        raise unreadable(f"this is no URL: {exc}") from exc
    if "@" in parts.netloc:
        raise unreadable("leave user and password out of the URL: there are username and password (env:NAME) for them")
    if parts.query or parts.fragment:
        raise unreadable("nothing may follow the path of the URL: there are options")
    return parts


def _options(spec: ImportSpec, reach: Reach) -> dict[str, Any]:
    return {name: _secret(value, reach) for name, value in spec.options.items()}


def _named(options: Mapping[str, Any], *names: str) -> list[str]:
    """Options that say where a server is."""
    return [str(options[name]) for name in names if name in options]


def _secret(value: Any, reach: Reach) -> Any:
    try:
        return resolve(value, reach.environ, MEND)
    except Refused as exc:
        raise unreadable(exc.detail) from exc
