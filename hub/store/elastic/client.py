"""The cluster: the official client, on Elasticsearch 8 and 9 and OpenSearch 2 and 3 alike, with the hub's errors."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from copy import copy
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from elastic_transport import (
    ApiResponseMeta,
    HttpHeaders,
    ObjectApiResponse,
    Serializer,
    TlsError,
    TransportError,
    Urllib3HttpNode,
)
from elastic_transport._node import NodeApiResponse
from elastic_transport.client_utils import DEFAULT, DefaultType
from elasticsearch import ApiError, Elasticsearch, UnsupportedProductError

from hub.errors import PortError, Refused, Unavailable
from hub.search_engine import Access, address_of

ANSWER_S: Final = 30.0
"""How long one answer may take."""
SOON_S: Final = 3.0
"""The same for whoever only wants to know whether somebody answers."""
PROBE_S: Final = 1.4
"""The same of one try of two, for whoever asks all the time."""
BULK_S: Final = 60.0
"""The same of a bulk."""
LAYOUT_S: Final = 60.0
"""The same of what changes indices or templates: all nodes have to know of it, one change after the other."""
BULK_BYTES: Final = 2 * 1024 * 1024
"""Most bytes of one bulk; a single document may be larger. While one is sent the next one is made."""
SENDERS: Final = 4
"""Most bulks of several parts at once."""
SIDE_BY_SIDE: Final = 2
"""Most parts of one bulk under way, where their order does not matter: the cluster is never without one meanwhile."""
MANY: Final = 2_000
"""Most ids of one question for documents."""
BUSY_S: Final = 20.0
"""How long a cluster that is busy (429) is given something to write again, before it counts as one that is away."""
READ_BUSY_S: Final = 5.0
"""The same of questions; also of an index that was made just now and has no shard yet."""
_FIRST_WAIT_S: Final = 0.05
_MOST_WAIT_S: Final = 2.0
LINE: Final = "schema"
"""The index that says which generation is in force (`hub.store.elastic.generations`). It is of none."""
_MAY_MISS: Final = "events"
"""Indices whose names begin so are made with their first document, all others before anything is asked."""
_ID_BYTES: Final = 400  # the engines take 512
_HASHED: Final = "sha256:"
_encode: Final = msgspec.json.Encoder().encode
_OF_ITEMS: Final = "items.*.status,items.*.error,items.*._seq_no,items.*._primary_term"
_STARTING: Final = (
    "search_phase_execution_exception",
    "no_shard_available_action_exception",
    "illegal_index_shard_state_exception",
)
_PLAIN: Final = {"accept": "application/json", "content-type": "application/json"}
_NDJSON: Final = "application/x-ndjson"
_LINES: Final = "application/vnd.elasticsearch+x-ndjson"

Op: TypeAlias = Literal["index", "create", "delete"]
Source: TypeAlias = Mapping[str, Any] | bytes
"""A document, or its JSON (one line)."""


class Found(NamedTuple):
    """A document as it is now, and by what it is told apart from how it was before and will be."""

    source: dict[str, Any]
    seq_no: int
    primary_term: int
    version: int


class Key(str):
    """The `_id` of a document, as `key_of` has made it."""

    __slots__ = ()


class Action(NamedTuple):
    """
    One line of a bulk. `name`: of the index, without the namespace.

    `version`: external; a document that has this one or a higher one is left alone. `if_`: only if it is still that
    one. `create`: only if there is none.
    """

    op: Op
    name: str
    id: str
    source: Source = b"{}"
    version: int | None = None
    if_: Found | Result | None = None


class Result(NamedTuple):
    """What a document is known by since it was written."""

    seq_no: int
    primary_term: int


class Engine:
    """One cluster and one namespace of it. Thread-safe."""

    def __init__(self, url: str, namespace: str, *, readonly: bool = False, is_soon: bool = False) -> None:
        """
        Does not connect yet.

        Args:
            url: as `address_of` takes it, whatever namespace it has.
            is_soon: a question is given up after SOON_S, and asked of another node, if there is one.

        Raises: Refused.
        """
        address = address_of(url)
        self.namespace = namespace
        self.locate: Callable[[], str] = lambda: namespace
        """Which generation to ask, when that is asked first. Raises Unavailable, Refused."""
        self.why_blocked: Callable[[], PortError | None] = _unknown
        """What to raise where writers are kept away; None: it is none of the hub's doing."""
        self._generation: str | None = None
        self.readonly = readonly
        self.place = ", ".join(address.hosts)
        self.client = Elasticsearch(
            list(address.hosts),
            **_access(address.access),
            node_class=_Node,
            serializers={
                "application/json": _Json(),
                "application/vnd.elasticsearch+json": _Json(),
                _NDJSON: _Lines(),
                _LINES: _Lines(),
            },
            request_timeout=SOON_S if is_soon else ANSWER_S,
            retry_on_timeout=is_soon and len(address.hosts) > 1,
            max_retries=1 if is_soon else 2,
            retry_on_status=(),  # what is busy is asked again here, and more patiently
        )
        # what is written is sent once: whether it had an effect the caller has to find out
        self._bulks = self.client.options(max_retries=0, request_timeout=BULK_S)
        self.layouts = self.client if is_soon else self.client.options(request_timeout=LAYOUT_S)
        self._probes = self.client.options(request_timeout=PROBE_S, max_retries=1, retry_on_timeout=True)
        # of the generation, before anything else is asked: of the next node if one is silent
        is_one = len(address.hosts) == 1
        self.finders = self.client if is_one else self.client.options(request_timeout=SOON_S, retry_on_timeout=True)
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="bulk")
        self._dirty: set[str] = set()  # indices that were written since they were refreshed here
        self._turn = threading.Lock()  # of the set

    def close(self) -> None:
        """Close all connections."""
        self._senders.shutdown()
        self.client.close()

    @property
    def generation(self) -> str:
        """What all names of indices begin with, but LINE."""
        if self._generation is None:
            self._generation = self.locate()
        return self._generation

    def at(self, generation: str) -> Engine:
        """The same, at this generation. It needs no close of its own."""
        other = copy(self)
        other._generation = generation
        other.why_blocked = _unknown
        other._dirty = set()
        return other

    def index(self, name: str) -> str:
        """The index, alias or pattern of this name in the generation; several with commas between them."""
        return ",".join(f"{self.namespace if one == LINE else self.generation}-{one}" for one in name.split(","))

    def probe(self, index: str, id: str) -> None:
        """
        Ask for a document, whether it is there or not, and wait for twice PROBE_S at most.

        Raises: Unavailable, Refused: it could not be read now.
        """
        if self._generation is None:
            self._probed(LINE, id)  # to learn which generation to ask would be waited for longer
        if error := self._probed(index, id).get("error"):
            raise self._status(503, error)

    def _probed(self, index: str, id: str) -> dict[str, Any]:
        wanted = {"_index": self.index(index), "_id": key_of(id), "_source": False}
        try:
            found: dict[str, Any] = self._probes.mget(docs=[wanted])["docs"][0]
        except (TransportError, ApiError) as exc:
            raise self.translated(exc) from exc
        return found

    # Documents by id: as they are now, whether a search sees them yet or not

    def get(self, index: str, id: str) -> Found | None:
        """One document. Raises Unavailable, Refused; so do all below."""
        return self.many(index, [id]).get(id)

    def many(self, index: str, ids: Iterable[str], fields: Sequence[str] | None = None) -> dict[str, Found]:
        """Those that are there, by id. Args: fields: of the source; None: all of them."""
        found = self.pick([(index, id) for id in ids], {index: fields} if fields is not None else None)
        return {id: one for (_, id), one in found.items()}

    def pick(
        self, keys: Iterable[tuple[str, str]], fields: Mapping[str, Sequence[str]] | None = None
    ) -> dict[tuple[str, str], Found]:
        """
        Those that are there, by index and id, in one round. An index of events that is not there has none.

        Args: fields: by index, of the source; all of it where that says nothing.
        """
        distinct = list(dict.fromkeys(keys))
        found: dict[tuple[str, str], Found] = {}
        for begin in range(0, len(distinct), MANY):
            some = distinct[begin : begin + MANY]
            docs: list[dict[str, Any]] = []
            for index, id in some:
                one: dict[str, Any] = {"_index": self.index(index), "_id": key_of(id)}
                if fields is not None and index in fields:
                    one["_source"] = fields[index]
                docs.append(one)
            for key, item in zip(some, self._got(docs), strict=True):
                if item.get("found"):
                    source = item.get("_source") or {}
                    found[key] = Found(source, item["_seq_no"], item["_primary_term"], item["_version"])
                elif "error" in item:
                    if item["error"]["type"] != "index_not_found_exception":
                        what = f"a document of {item['_index']} cannot be read: {_said(item['error'])}"
                        raise self._unavailable(what)
                    if not key[0].startswith(_MAY_MISS):
                        raise self._status(404, item["error"])
        return found

    def _got(self, docs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """An item a document, asked again while shards are about to start: each item says so by itself."""
        busy = _Busy(READ_BUSY_S)
        while True:
            items: list[dict[str, Any]] = self.asked(lambda: self.client.mget(docs=docs))["docs"]
            if not any(item.get("error", {}).get("type") in _STARTING for item in items) or not busy.wait():
                return items

    def put(
        self, index: str, id: str, source: Source, *, if_: Found | Result | None = None, version: int | None = None
    ) -> bool:
        """
        Write one document, whatever was there; with `if_` or `version` as an `Action` has them.

        Returns: False: a conflict, and nothing was changed.
        """
        return not self.bulk([Action("index", index, id, source, version, if_)])

    def create(self, index: str, id: str, source: Source) -> bool:
        """Write a document that is not there. False: it is, and was left alone."""
        return not self.bulk([Action("create", index, id, source)])

    def delete(self, index: str, id: str, *, if_: Found | Result | None = None) -> bool:
        """Remove a document. False: it has changed since. One that is not there is no fault."""
        return not self.bulk([Action("delete", index, id, if_=if_)])

    def bulk(self, actions: Iterable[Action]) -> list[Action]:
        """
        Many at once, in parts of BULK_BYTES, each on disk and in the copies when this returns.

        Not whole or not at all: after an exception any of them may have been done. What the cluster has no room for is
        sent again while it is busy.

        Returns: those with a conflict, which changed nothing: a `create` of what is there, a version that is not
        higher, an `if_` that does not hold any more.
        """
        actions = list(actions)
        results = self.results(actions)
        return [action for action, result in zip(actions, results, strict=True) if result is None]

    def results(self, actions: Iterable[Action], *, in_order: bool = True) -> list[Result | None]:
        """
        As `bulk`, in its order: what each document is known by now; None: a conflict.

        Args: in_order: whether each part is done before the next one is sent; else some are, SIDE_BY_SIDE.
        """
        if self.readonly:
            raise Refused("store", f"{self.place} was opened for reading only")
        results: list[Result | None] = []
        sending: deque[Future[list[Result | None]]] = deque()
        try:
            for part, is_last in _parts(actions, self.index):
                if len(sending) == (1 if in_order else SIDE_BY_SIDE):
                    results += sending.popleft().result()
                self.note_written({action.name for action, _ in part})
                if is_last and not sending:
                    results += self._send(part)
                else:  # the next part is made meanwhile
                    sending.append(self._senders.submit(self._send, part))
            while sending:
                results += sending.popleft().result()
        except BaseException:
            wait(sending)  # nothing is sent any more when this returns
            raise
        return results

    def make_index(self, name: str) -> None:
        """Make an index, as its template has it, if it is not there."""
        try:
            self.layouts.indices.create(index=self.index(name))
        except TransportError as exc:
            raise self.translated(exc) from exc
        except ApiError as exc:
            if _error_of(exc).get("type") != "resource_already_exists_exception":
                raise self.translated(exc) from exc

    # Searches

    def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """
        The whole answer; what this object has written is seen. Events of which there are no indices yet are none.

        Args: body: of the search API.
        """
        self.see_own(index)
        may_miss = index.startswith(_MAY_MISS)
        answer = self.asked(
            lambda: self.client.search(
                index=self.index(index),
                allow_no_indices=True,
                ignore_unavailable=may_miss,
                **_arguments(body),
            )
        )
        self._check_whole(answer, index)
        return answer

    def hits(self, index: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The hits of a search, each with `_id`, `_source`, `sort`."""
        hits: list[dict[str, Any]] = self.search(index, {"track_total_hits": False, **body})["hits"]["hits"]
        return hits

    def count(self, index: str, query: Mapping[str, Any]) -> int:
        """How many match."""
        self.see_own(index)
        may_miss = index.startswith(_MAY_MISS)
        answer = self.asked(
            lambda: self.client.count(
                index=self.index(index), query=query, allow_no_indices=True, ignore_unavailable=may_miss
            )
        )
        self._check_whole(answer, index)
        return int(answer["count"])

    def see_own(self, index: str) -> None:
        """What this object has written is seen by searches from now on. Costs nothing if it has not written."""
        names = index.split(",")
        with self._turn:
            # one name may be the alias of the other
            dirty = [
                one
                for one in self._dirty
                if any(one == name or one.startswith(f"{name}-") or name.startswith(f"{one}-") for name in names)
            ]
        if dirty:
            self.refresh(",".join(sorted(dirty)))

    def refresh(self, index: str) -> None:
        """All that was written so far, by whomever, is seen by searches from now on."""
        names = set(index.split(","))
        with self._turn:
            self._dirty -= names  # before: what is written meanwhile needs another one
        try:
            self.asked(
                lambda: self.client.indices.refresh(
                    index=self.index(index), ignore_unavailable=True, allow_no_indices=True
                )
            )
        except BaseException:
            self.note_written(names)
            raise

    def asked(self, ask: Callable[[], ObjectApiResponse[Any]]) -> dict[str, Any]:
        """
        The body of the client's answer, asked again for READ_BUSY_S while the cluster is busy.

        Raises: Unavailable, Refused.
        """
        busy = _Busy(READ_BUSY_S)
        while True:
            try:
                body: dict[str, Any] = ask().body
                return body
            except TransportError as exc:
                raise self.translated(exc) from exc
            except ApiError as exc:
                if not _is_busy(exc) or not busy.wait():
                    raise self.translated(exc) from exc

    def translated(self, exc: TransportError | ApiError) -> PortError:
        """The hub's error for one of the client's."""
        if isinstance(exc, TlsError) and "CERTIFICATE_VERIFY_FAILED" in str(exc.message):
            return Refused(
                "store",
                f"{self.place} has no certificate that we trust: {exc.message}. Name who has signed it "
                "(HUB_STORE__CA_FILE), or the host as the certificate does",
            )
        if isinstance(exc, UnsupportedProductError):
            return Refused("store", f"{self.place} is no search engine: correct HUB_STORE__URL")
        if not isinstance(exc, ApiError):
            return self._unavailable(f"does not answer: {exc.message or type(exc).__name__}")
        return self._status(exc.status_code, _error_of(exc))

    def _status(self, status: int, error: Mapping[str, Any]) -> PortError:
        kind, said = str(error.get("type", "")), _said(error)
        if kind == "cluster_block_exception":
            return self.why_blocked() or self._unavailable(
                f"lets nobody write (index.blocks): {said}. Free disk space, or take the block away "
                "(PUT INDEX/_settings), then it goes on by itself"
            )
        if status in (401, 403):
            return Refused("store", f"{self.place} does not let us in: {said}. Correct user and password, or its roles")
        if kind == "index_not_found_exception":
            return self._unavailable(f"has no such index: {said}. The collector makes it when it starts")
        if status == 429:
            return self._unavailable(f"has been busy for some time (429): {said}")
        if status >= 500 or status == 408:
            return self._unavailable(f"answers {status}: {said}")
        return Refused("store", f"{self.place} answers {status}: {said}")

    def _send(self, part: list[tuple[Action, bytes]]) -> list[Result | None]:
        results: list[Result | None] = [None] * len(part)
        places = list(range(len(part)))
        busy = _Busy(BUSY_S)
        while True:
            body = b"".join(part[place][1] for place in places)
            answer = self.asked(lambda body=body: self._bulks.bulk(operations=body, filter_path=_OF_ITEMS))  # type: ignore[misc]
            again: list[int] = []
            last: Mapping[str, Any] = {}
            for place, item in zip(places, answer["items"], strict=True):
                (one,) = item.values()
                error = one.get("error")
                if error is None:
                    results[place] = Result(one.get("_seq_no", -1), one.get("_primary_term", -1))
                elif one["status"] == 429 and error["type"] != "cluster_block_exception":
                    again.append(place)
                    last = error
                elif one["status"] != 409:
                    raise self._status(one["status"], error)
            if not again:
                return results
            if not busy.wait():
                raise self._status(429, last)
            places = again

    def note_written(self, names: Iterable[str]) -> None:
        """Searches of this object shall see what these indices have got by now, from whomever it came."""
        with self._turn:
            self._dirty.update(names)

    def _check_whole(self, answer: Mapping[str, Any], index: str) -> None:
        if answer.get("timed_out") or answer.get("_shards", {}).get("failed", 0):
            failures = answer.get("_shards", {}).get("failures") or [{}]
            raise self._unavailable(f"cannot search all of {index} now: {_said(failures[0].get('reason', {}))}")

    def _unavailable(self, what: str) -> Unavailable:
        return Unavailable("store", f"{self.place} {what}")


def _unknown() -> None:
    """Why writers are kept away."""


def _access(access: Access) -> dict[str, Any]:
    """As the client's arguments. Raises Refused: there is no such file."""
    given: dict[str, Any] = {}
    if access.user is not None:
        given["basic_auth"] = access.user
    if access.api_key is not None:
        given["api_key"] = access.api_key
    if access.ca_file is not None:
        if not access.ca_file.is_file():
            raise Refused("store", f"there is no file {access.ca_file} with whom to trust (HUB_STORE__CA_FILE)")
        given["ca_certs"] = str(access.ca_file)
    return given


def key_of(id: str) -> str:
    """The `_id` of a document: its own, or what stands for one that is too long for the engines."""
    if isinstance(id, Key):
        return str(id)
    if len(id) * 4 <= _ID_BYTES and not id.startswith(_HASHED):
        return id
    raw = id.encode()
    if len(raw) <= _ID_BYTES and not id.startswith(_HASHED):
        return id
    return _HASHED + hashlib.sha256(raw).hexdigest()


class _Busy:
    """How long to wait between two tries, longer each time, and not the same for all who wait."""

    def __init__(self, most_s: float) -> None:
        self._give_up = time.monotonic() + most_s
        self._wait_s = _FIRST_WAIT_S

    def wait(self) -> bool:
        """Returns False when it has been too long."""
        if time.monotonic() > self._give_up:
            return False
        time.sleep(self._wait_s * random.uniform(0.5, 1.5))
        self._wait_s = min(self._wait_s * 2, _MOST_WAIT_S)
        return True


class _Node(Urllib3HttpNode):
    """
    A node that is asked in plain JSON, which all of them take: the client's own media type is refused by Elasticsearch
    8 and OpenSearch. The latter does not say either that it is a product that the client knows.
    """

    def perform_request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: DefaultType | float | None = DEFAULT,
    ) -> NodeApiResponse:
        """See BaseNode."""
        plain = HttpHeaders(headers or {})
        for name, value in _PLAIN.items():
            if name in plain:
                plain[name] = _NDJSON if "ndjson" in plain[name] and name == "content-type" else value
        answer = super().perform_request(method, target, body, plain, request_timeout)
        meta = answer.meta
        if "x-elastic-product" in meta.headers or meta.mimetype not in (None, _PLAIN["accept"]):
            return answer
        known = HttpHeaders({**meta.headers, "x-elastic-product": "Elasticsearch"})
        return NodeApiResponse(
            ApiResponseMeta(
                node=meta.node,
                duration=meta.duration,
                http_version=meta.http_version,
                status=meta.status,
                headers=known,
            ),
            answer.body,
        )


class _Json(Serializer):
    """JSON by msgspec: several times as fast as the client's own, and integers of any size stay what they are."""

    mimetype = "application/json"

    def loads(self, data: bytes) -> Any:
        """See Serializer."""
        return msgspec.json.decode(data)

    def dumps(self, data: Any) -> bytes:
        """See Serializer."""
        return data if isinstance(data, bytes) else msgspec.json.encode(data)


class _Lines(_Json):
    """The body of a bulk is made before."""

    mimetype = _NDJSON


def _parts(actions: Iterable[Action], index: Callable[[str], str]) -> Iterator[tuple[list[tuple[Action, bytes]], bool]]:
    """Each action with its lines, in parts that fit into one bulk, and whether it is the last one."""
    part: list[tuple[Action, bytes]] = []
    size = 0
    for action in actions:
        lines = _lines(action, index)
        if part and size + len(lines) > BULK_BYTES:
            yield part, False
            part, size = [], 0
        part.append((action, lines))
        size += len(lines)
    if part:
        yield part, True


def _lines(action: Action, index: Callable[[str], str]) -> bytes:
    about: dict[str, Any] = {"_index": index(action.name), "_id": key_of(action.id)}
    if action.version is not None:
        about |= {"version": action.version, "version_type": "external"}
    if action.if_ is not None:
        about |= {"if_seq_no": action.if_.seq_no, "if_primary_term": action.if_.primary_term}
    lines = _encode({action.op: about}) + b"\n"
    if action.op == "delete":
        return lines
    source = action.source
    return lines + (source if isinstance(source, bytes) else _encode(source)) + b"\n"


def _arguments(body: Mapping[str, Any]) -> dict[str, Any]:
    """A search's body as the client's arguments."""
    names = {"from": "from_", "_source": "source"}
    return {names.get(name, name): value for name, value in body.items()}


def _is_busy(exc: ApiError) -> bool:
    if exc.status_code == 429:
        return _error_of(exc).get("type") != "cluster_block_exception"
    return exc.status_code == 503 and _error_of(exc).get("type") in _STARTING


def _error_of(exc: ApiError) -> Mapping[str, Any]:
    body = exc.body
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, Mapping):
        return error
    return {"type": "", "reason": str(error or body or exc.message)}


def _said(error: Mapping[str, Any]) -> str:
    """What an error says, in one line; the innermost reason says most."""
    inner: Any = error
    for _ in range(10):
        causes = inner.get("root_cause") or ()
        deeper = inner.get("caused_by") or (causes[0] if causes and causes[0] != inner else None)
        if not isinstance(deeper, Mapping):
            break
        inner = deeper
    return f"{inner.get('type', '')}: {inner.get('reason', '')}"[:500]
