"""An index of Elasticsearch or OpenSearch: shard by shard, in the order in which its documents were written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import msgspec

from hub.errors import PortError, Refused, Unavailable
from hub.imports.rows import PAGE, Page, Position, Row, Shape, Unmarked, unreadable

if TYPE_CHECKING:  # the API has this module, and seldom asks a cluster; it brings a hundred with it
    import httpx

ANSWER_S: Final = 60.0
_decode: Final = msgspec.json.Decoder().decode


class Cluster(NamedTuple):
    """Where it is, and who we are there. `name`: of the index. `query`: as the search API has it; None: everything."""

    url: str
    name: str
    username: str = ""
    password: str = ""
    ca_file: str = ""
    query: dict[str, Any] | None = None


class Asked:
    """Questions to a cluster: searches and what is there, nothing that changes anything. A context manager."""

    def __init__(self, cluster: Cluster) -> None:
        """Does not connect yet."""
        self._cluster = cluster
        self._http: httpx.Client

    def __enter__(self) -> Self:
        """Raises Refused."""
        import httpx  # noqa: PLC0415 - as above

        cluster = self._cluster
        auth = (cluster.username, cluster.password) if cluster.username else None
        try:
            verify: Any = _trusting(cluster.ca_file) if cluster.ca_file else True
            self._http = httpx.Client(base_url=cluster.url, auth=auth, timeout=ANSWER_S, verify=verify)
        except (OSError, ValueError) as exc:
            raise unreadable(f"the certificate file {cluster.ca_file} cannot be used: {exc}") from exc
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer's JSON. Args: path: of a search, if there is a body. Raises Refused, Unavailable."""
        import httpx  # noqa: PLC0415 - as above

        try:
            answer = self._http.request("POST" if body else "GET", path, json=body)
        except httpx.TransportError as exc:
            raise Unavailable(
                "import", f"{self._cluster.url} does not answer: {str(exc) or type(exc).__name__}"
            ) from exc
        if not answer.is_success:
            raise _translated(self._cluster, answer)
        try:
            return _decode(answer.content)
        except msgspec.DecodeError as exc:
            raise unreadable(f"{self._cluster.url} does not speak Elasticsearch's API: {exc}") from exc


class Elastic(Unmarked):
    """
    See Source. The position is the shard in hand and the sequence number of its last document.

    Sequence numbers are of a shard and never go back, so no search has to be kept open: an import may be interrupted
    for days. A document that is changed meanwhile gets a new one; it comes once more, under the same name.
    """

    def __init__(self, cluster: Cluster) -> None:
        """Does not connect yet."""
        self._cluster = cluster
        self._asked = Asked(cluster)
        self._shards: list[tuple[str, int]] = []
        self._total = 0

    def __enter__(self) -> Self:
        """Raises Refused, Unavailable."""
        cluster = self._cluster
        self._asked.__enter__()
        try:
            self._shards = self._all_shards()
            body = {"query": cluster.query} if cluster.query else None
            self._total = int(self._asked.ask(f"/{cluster.name}/_count", body)["count"])
        except BaseException:
            self._asked.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.__exit__()

    @property
    def shape(self) -> Shape:
        """Indices and documents."""
        indices = dict.fromkeys(index for index, _ in self._shards)
        facts = {"format": "elasticsearch", "indices": ", ".join(indices), "shards": str(len(self._shards))}
        return Shape(facts)

    @property
    def total(self) -> int:
        """Documents."""
        return self._total

    def pages(self, position: Position) -> Iterator[Page]:
        """See Source."""
        at, behind, number = position or (["", -1], -1, 0)
        for index, shard in self._shards:
            if (index, shard) < tuple(at):
                continue
            last = behind if (index, shard) == tuple(at) else -1
            while hits := self._page(index, shard, last):
                rows = []
                for hit in hits:
                    number += 1
                    last = int(hit["sort"][0])
                    name = f"{hit['_index']}/{hit['_id']}"
                    meta = {"id": hit["_id"], "index": hit["_index"]}
                    rows.append(Row(name, number, hit["_source"], None, "", None, meta))
                yield Page(rows, ([index, shard], last, number), number)
                if len(hits) < PAGE:
                    break

    def _page(self, index: str, shard: int, last: int) -> list[Any]:
        body: dict[str, Any] = {
            "size": PAGE,
            "sort": [{"_seq_no": "asc"}],
            "track_total_hits": False,
            "search_after": [last],
        }
        if self._cluster.query:
            body["query"] = self._cluster.query
        answer = self._asked.ask(f"/{index}/_search?preference=_shards:{shard}", body)
        failed = answer.get("_shards", {}).get("failed", 0)
        if answer.get("timed_out") or failed:
            raise Unavailable("import", f"{index}, shard {shard}, cannot be searched in full now")
        hits: list[Any] = answer["hits"]["hits"]
        if hits and "_source" not in hits[0]:
            raise unreadable(f"the index {index} does not keep its documents (_source is off)")
        return hits

    def _all_shards(self) -> list[tuple[str, int]]:
        """In an order that stays: what is added later comes where it belongs."""
        answer = self._asked.ask(f"/{self._cluster.name}/_search_shards")
        found = {(str(each[0]["index"]), int(each[0]["shard"])) for each in answer["shards"] if each}
        if not found:
            raise unreadable(f"there is no index {self._cluster.name!r}")
        return sorted(found)


def _trusting(ca_file: str) -> Any:
    import ssl  # noqa: PLC0415 - seldom needed

    return ssl.create_default_context(cafile=ca_file)


def _translated(cluster: Cluster, answer: httpx.Response) -> PortError:
    if answer.status_code in (401, 403):
        return Refused("import", f"{cluster.url} does not let us read {cluster.name}: correct user and password")
    if answer.status_code == 404:
        return unreadable(f"there is no index {cluster.name!r} at {cluster.url}")
    if answer.status_code == 429 or answer.status_code >= 500:
        return Unavailable("import", f"{cluster.url} answers {answer.status_code}: {answer.text[:200]}")
    return unreadable(f"{cluster.url} answers {answer.status_code}: {answer.text[:500]}")
