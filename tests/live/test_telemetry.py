"""Traces of events, as an OTLP receiver gets them from the processes of a hub; and the lines that these log."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.live.bridge_site import KEY, Site, site
from tests.servers.running import own
from tests.sources.kafka import KafkaSource
from tests.targets.http import Answer, HttpServer, server
from tests.targets.otlp import Receiver, Span, receiver
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

SECRET = "s3cret-of-the-test"
PROCESSES = ("collector", "agents", "scheduler", "bridges")


@pytest.fixture(scope="module")
def spans() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture(scope="module")
def hub(kafka: str, spans: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Nothing is traced of its own accord: only what a sender asks for."""
    variables = {
        "HUB_TELEMETRY__ENDPOINT": spans.url,
        "HUB_TELEMETRY__SHARE": "0",
        "HUB_FLOWS__PRIVATE_NETWORKS": '["127.0.0.0/8"]',
        "HUB_LOG__JSON_LINES": "true",
        "THEIR_KEY": SECRET,
    }
    with own("valkey", tmp_path_factory.mktemp("valkey")) as valkey:
        folder = tmp_path_factory.mktemp("hub")
        with site(kafka, f"t{secrets.token_hex(6)}", valkey.url, folder, **variables) as made:
            made.put("source", "shop", {"type": ["rest", "bridge"]})
            for name in PROCESSES:
                made.start(name)
            yield made


@pytest.fixture(scope="module")
def other() -> Iterator[HttpServer]:
    """What the flow calls, and where the destination sends to."""
    with server() as made:
        made.decide = lambda _: Answer(200, {"Content-Type": "application/json"}, b"{}")
        yield made


@pytest.fixture(scope="module")
def defined(hub: Site, other: HttpServer, kafka: str) -> KafkaSource:
    """A flow that calls it, a destination that sends to it, and a bridge."""
    call = {"method": "POST", "url": other.url, "headers": {"X-Key": "env:THEIR_KEY"}, "body": {"from": "flow"}}
    nodes = {
        "start": {"type": "start", "to": {"out": "ask"}},
        "ask": {"type": "http-call", "config": call},
    }
    hub.put("flow", "tea", {"triggers": [{"type": "event", "event_type": "purchase"}], "nodes": nodes})
    settings = {"url": other.url, "headers": {"X-Token": "env:THEIR_KEY"}}
    hub.put("destination", "crm", {"type": "http", "settings": settings, "start": "earliest"})
    source = KafkaSource(kafka, f"{hub.namespace}.source")
    hub.put("bridge", "orders", {"type": "kafka", "source": "shop", "settings": source.settings})
    hub.until("orders", state="running")
    return source


def payload(type: str) -> dict[str, Any]:
    return {"source": {"id": "shop"}, "profile": {"id": "ann"}, "events": [{"type": type}]}


def asked() -> tuple[str, str, str]:
    """A trace and a span of a sender, and the header that says so."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, f"00-{trace}-{span}-01"


def one(found: list[Span], service: str, name: str) -> Span:
    (span,) = [each for each in found if each.service == f"thamesthrive-hub-{service}" and each.name == name]
    return span


@pytest.mark.usefixtures("defined")
def test_an_events_trace_goes_from_the_senders_span_to_the_store_the_call_of_a_flow_and_a_destination(
    hub: Site, spans: Receiver, other: HttpServer
) -> None:
    trace, theirs, header = asked()
    hub.post("/track", payload("purchase"), traceparent=header)
    # each process tells its own, when it likes
    last = {("api", "POST /track"), ("collector", "store"), ("agents", "flow tea"), ("bridges", "send crm")}
    last |= {("worker", "POST"), ("worker", "flow tea")}
    wanted = {(f"thamesthrive-hub-{service}", name) for service, name in last}
    found = spans.until(trace, "the whole trace", lambda some: wanted <= {(span.service, span.name) for span in some})

    events, stored = f"{hub.namespace}.events.v1", f"{hub.namespace}.stored.v1"
    request, sent = one(found, "api", "POST /track"), one(found, "api", f"send {events}")
    assert (request.kind, request.parent, request.attributes["http.response.status_code"]) == ("server", theirs, 200)
    assert (sent.kind, sent.parent, sent.attributes["messaging.destination.name"]) == ("producer", request.id, events)
    processed, kept = one(found, "collector", f"process {events}"), one(found, "collector", "store")
    assert (processed.kind, processed.parent, kept.parent) == ("consumer", sent.id, processed.id)
    (event,) = hub.get("/events", q="type = 'purchase'")["items"]
    assert processed.attributes["hub.event.ids"] == [event["id"]]
    assert one(found, "collector", f"send {stored}").parent == processed.id
    leg, call = one(found, "agents", "flow tea"), one(found, "worker", "POST")
    assert leg.parent == processed.id
    assert (call.kind, call.attributes["http.response.status_code"]) == ("client", 200)
    assert one(found, "worker", "flow tea").id == call.parent
    to_crm = one(found, "bridges", "send crm")
    assert (to_crm.kind, to_crm.parent) == ("client", processed.id)

    # whoever is called knows of it
    told = {json.loads(got.body).get("from", "destination"): got.headers["traceparent"] for got in other.requests}
    assert told["flow"] == f"00-{trace}-{call.id}-01"
    assert told["destination"] == f"00-{trace}-{to_crm.id}-01"

    # the batch is a trace of its own, and each knows the other
    (link,) = processed.links
    batch = next(span for span in wait_for("the batch's span", lambda: spans.of(link[0])) if span.id == link[1])
    assert (batch.name, (sent.trace, sent.id) in batch.links) == (f"process batch {events}", True)
    assert batch.attributes["messaging.batch.message_count"] >= 1
    assert all(span.began_ns <= span.ended_ns for span in found)


def test_a_message_of_a_bridge_brings_its_trace(hub: Site, spans: Receiver, defined: KafkaSource, kafka: str) -> None:
    trace, theirs, header = asked()
    producer = Producer({"bootstrap.servers": kafka, "log_level": 3})
    headers: list[tuple[str, str | bytes | None]] = [("traceparent", header.encode())]
    producer.produce(defined.topic, json.dumps(payload("visit")).encode(), headers=headers)
    defined.put([json.dumps(payload("visit")).encode()])  # one without stays without
    assert producer.flush(30) == 0
    names = {"bridge orders", "store"}
    found = spans.until(trace, "both spans", lambda some: names <= {span.name for span in some})
    sent = one(found, "bridges", "bridge orders")
    assert (sent.kind, sent.parent, sent.attributes["hub.bridge.kind"]) == ("producer", theirs, "kafka")
    processed = one(found, "collector", f"process {hub.namespace}.events.v1")
    assert processed.parent == sent.id


def test_nothing_is_traced_that_nobody_asks_for(hub: Site, spans: Receiver) -> None:
    """Nor what a sender does not keep, or says in no way that W3C Trace Context has."""
    trace, span, header = asked()
    hub.post("/track", payload("quiet"))
    hub.post("/track", payload("quiet"), traceparent=f"00-{trace}-{span}-00")
    hub.post("/track", payload("quiet"), traceparent=f"00-{trace}-{'0' * 16}-01")
    hub.post("/track", payload("loud"), traceparent=header.replace(trace, loud := secrets.token_hex(16)))
    spans.until(loud, "the last one", lambda some: "store" in {span.name for span in some})
    assert spans.of(trace) == []
    requests = [span for span in spans.all() if span.name == "POST /track"]
    quiet = {event["id"] for event in hub.get("/events", q="type = 'quiet'")["items"]}
    assert len(quiet) == 3
    told = {id for span in spans.all() for id in span.attributes.get("hub.event.ids", [])}
    assert not quiet & told
    assert all(span.parent for span in requests)


@pytest.mark.usefixtures("defined")
def test_a_line_of_a_log_is_an_object_with_fields_that_are_documented_and_no_secrets(
    hub: Site, spans: Receiver
) -> None:
    """Of every process; docs/telemetry.md has the fields."""
    trace, _, header = asked()
    hub.post("/track", payload("purchase"), traceparent=header)
    spans.until(trace, "the call", lambda some: "POST" in {span.name for span in some})
    seen = set()
    for line in filter(None, hub.logs().splitlines()):  # each file ends with a line end
        told = json.loads(line)
        assert datetime.fromisoformat(told["timestamp"]).tzinfo is not None
        assert told["level"] in {"debug", "info", "warning", "error", "critical"}
        assert told["event"]
        assert told["logger"]
        assert told["pid"] > 0
        seen.add(told["process"])
    assert seen == {"api", "collector", "agents", "worker", "bridges"}
    assert SECRET not in hub.logs()
    assert KEY not in hub.logs()
    sent = "\n".join(map(repr, spans.all()))
    assert SECRET not in sent
    assert KEY not in sent
