"""Runs of flows: a span for each time that one goes on, and one for each call of another system."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from opentelemetry.trace import Status, StatusCode
from redis import Redis
from redis.exceptions import RedisError
from structlog.contextvars import bound_contextvars

from hub.flows.effects import Answer, CallHttp
from hub.flows.kept import KeptRun
from hub.flows.run import run_id
from hub.flows.trace import Fired
from hub.telemetry.context import HEADER, Context, kept, read
from hub.telemetry.tracing import KIND, Attributes, Tracing, context_of
from schemas.codec import CodecError, decode_trigger
from schemas.flows import KIND as FLOW
from schemas.flows import decode_order

KEPT_S: Final = 86_400
"""A run that goes on within a day, in whichever process, does so in the trace of its event."""
MOST: Final = 10_000
"""Runs whose traces one process remembers."""


class Running:
    """
    See `hub.flows.traced.RunTraces`. Thread-safe as far as each run is in one thread.

    What other processes have to know lies in Redis, and may be lost: then a run goes on without a trace.
    """

    def __init__(self, tracing: Tracing, redis: Redis, namespace: str) -> None:
        """Connects when it is first asked."""
        self._tracing = tracing
        self._redis = redis
        self._prefix = f"{namespace}:telemetry:run:"
        self._known: OrderedDict[str, Context] = OrderedDict()
        self._legs: dict[str, Context] = {}

    def came(self, value: bytes, headers: Any) -> None:
        """A record of triggers.v1: the run that it is about belongs to a trace."""
        context = kept(headers)
        if context is None:
            return
        with suppress(CodecError, msgspec.DecodeError):
            trigger = decode_trigger(value)
            if trigger["kind"] == FLOW and trigger["event_id"]:
                fired = Fired(trigger["event_id"], "event", trigger["at_ms"])
                self._remember(run_id(trigger["target"], decode_order(trigger["data"]).version, fired), context)

    @contextmanager
    def legs(self, runs: Sequence[KeptRun]) -> Iterator[None]:
        """See there."""
        contexts = self._contexts([run.id for run in runs])
        if not contexts:
            yield
            return
        spans = []
        before = dict(self._legs)
        for run in runs:
            context = contexts.get(run.id)
            if context is not None:
                attributes: Attributes = {
                    "hub.flow.id": run.flow,
                    "hub.flow.version": run.version,
                    "hub.flow.run.id": run.id,
                }
                span = self._tracing.start(f"flow {run.flow}", KIND.CONSUMER, context, attributes)
                spans.append(span)
                self._legs[run.id] = context_of(span)
        self._hand_over(contexts)
        try:
            yield
        finally:
            self._legs = before
            for span in spans:
                span.end()

    def call(self, run: KeptRun, ask: CallHttp, act: Callable[[CallHttp], Answer]) -> Answer:
        """See there."""
        leg = self._legs.get(run.id)
        if leg is None:
            return act(ask)
        parts = urlsplit(ask.url)
        attributes = {"http.request.method": ask.method, "server.address": parts.hostname or ""}
        span = self._tracing.start(ask.method, KIND.CLIENT, leg, attributes)
        place = context_of(span)
        try:
            with bound_contextvars(trace_id=f"{place.trace_id:032x}"):
                answer = act(msgspec.structs.replace(ask, headers={**ask.headers, HEADER: place.written()}))
            if answer.status:
                span.set_attribute("http.response.status_code", answer.status)
            if answer.error or answer.status >= 400:
                span.set_status(Status(StatusCode.ERROR))
        finally:
            span.end()
        return answer

    def _contexts(self, ids: Sequence[str]) -> dict[str, Context]:
        found = {id: self._known[id] for id in ids if id in self._known}
        unknown = [id for id in ids if id not in found]
        if unknown:
            with suppress(RedisError, OSError):
                values: Any = self._redis.mget([self._prefix + id for id in unknown])
                for id, value in zip(unknown, values, strict=True):
                    context = read(value)
                    if context is not None:
                        found[id] = context
        return found

    def _hand_over(self, contexts: dict[str, Context]) -> None:
        """Before the runs are put on a queue, as whoever takes them from there asks at once."""
        with suppress(RedisError, OSError), self._redis.pipeline(transaction=False) as pipe:
            for id, context in contexts.items():
                pipe.set(self._prefix + id, context.written(), ex=KEPT_S)
            pipe.execute()

    def _remember(self, id: str, context: Context) -> None:
        self._known[id] = context
        while len(self._known) > MOST:
            self._known.popitem(last=False)
