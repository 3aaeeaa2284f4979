"""What the collector tells gets onto the log whole and in its order, whatever fails on the way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from hub.collector.output import Output
from hub.errors import Unavailable
from hub.log.config import producer_config
from hub.log.hold import Hold
from hub.log.sealing import Sealing
from hub.model import Batch, Identity, Outgoing, Position
from hub.pipeline.data_keys import Wrapping
from hub.pipeline.process import Outcome
from hub.pipeline.sealed import Sealer
from hub.settings import Kafka
from schemas.codec import decode_trigger
from schemas.records import Trigger
from schemas.topics import EVENTS, KEYS, TRIGGERS
from tests.kafka_tools import read
from tests.waiting import wait_for

NOWHERE = Kafka(bootstrap="127.0.0.1:1")
COUNT = 50


def producers(*configs: Kafka, timeout_ms: int) -> Iterator[Producer]:
    """The first ones give up after `timeout_ms`, the last one never."""
    for place, kafka in enumerate(configs, 1):
        yield Producer(producer_config(kafka, **{"delivery.timeout.ms": 0 if place == len(configs) else timeout_ms}))


def outbox() -> list[Outgoing]:
    return [Outgoing(Position(1, 0, 0, 0), b"p1", b"%d" % number, None) for number in range(COUNT)]


def test_a_failure_sends_all_of_it_again_in_order(ours: Kafka, namespace: str) -> None:
    made = producers(NOWHERE, ours, timeout_ms=100)
    output = Output(lambda: next(made), namespace, 5.0)
    output.forward(outbox())
    with pytest.raises(Unavailable, match="the outcome of a batch cannot be told"):
        output.flush()
    output.flush()
    assert [message.value() for message in read(ours, namespace, EVENTS)] == [b"%d" % n for n in range(COUNT)]


def test_waiting_longer_sends_nothing_twice(ours: Kafka, namespace: str) -> None:
    made = producers(ours, timeout_ms=100)
    output = Output(lambda: next(made), namespace, 0.001)
    output.forward(outbox())
    wait_for("all is acknowledged", lambda: flushed(output))
    assert [message.value() for message in read(ours, namespace, EVENTS)] == [b"%d" % n for n in range(COUNT)]


@pytest.mark.parametrize("sealing", [False, True])
def test_triggers_go_out_in_order_by_profile_and_not_sealed(ours: Kafka, namespace: str, sealing: bool) -> None:
    made = producers(NOWHERE, ours, timeout_ms=100)
    seal = Sealing(Sealer(Wrapping("secret"), b"key"), KEYS.name(namespace)) if sealing else None
    output = Output(lambda: next(made), namespace, 5.0, seal)
    triggers = [trigger(f"t{number}", "p1") for number in range(COUNT)] + [trigger("none", "")]
    batch = Batch(
        epoch=1,
        progress={},
        events=[],
        profiles=[],
        sessions=[],
        dead_letters=[],
        counters={},
        identity=Identity(
            aliases={}, restored=[], taken=[], uses={}, merges=[], undone={}, forwarded=[], outbox=outbox()
        ),
    )
    output.produce(Outcome(batch, [], [], {}, {}, 0, triggers=triggers))
    with pytest.raises(Unavailable):
        output.flush()
    output.flush()
    told = [(message.key(), decode_trigger(message.value() or b"")) for message in read(ours, namespace, TRIGGERS)]
    assert [one for key, one in told if key == b"p1"] == triggers[:-1]
    assert [one for key, one in told if key != b"p1"] == triggers[-1:]
    assert {key for key, _ in told} == {b"p1", b"e-none"}
    assert len(read(ours, namespace, EVENTS)) == COUNT


def trigger(id: str, profile_id: str) -> Trigger:
    return Trigger(id=id, kind="flow", target="tea", profile_id=profile_id, event_id=f"e-{id}", at_ms=1, data=b"{}")


def flushed(output: Output) -> bool:
    try:
        output.flush()
    except Unavailable:
        return False
    return True


def is_taken(kafka: Kafka, namespace: str) -> bool:
    """Whether events.v1 takes a record."""
    producer, errors = Producer(producer_config(kafka)), []
    producer.produce(EVENTS.name(namespace), b"v", b"k", on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(20) == 0
    return errors[0] is None


@pytest.mark.parametrize("sealing", [False, True])
def test_while_the_log_is_held_what_is_for_others_is_given_back(ours: Kafka, namespace: str, sealing: bool) -> None:
    """All else is told, and what was given back can be sent afterwards."""
    seal = Sealing(Sealer(Wrapping("secret"), b"key"), KEYS.name(namespace)) if sealing else None
    output = Output(lambda: next(producers(ours, timeout_ms=100)), namespace, 5.0, seal)
    hold = Hold(ours, namespace)
    assert not hold.is_on
    hold.begin()
    wait_for("it is known to be held", lambda: hold.is_on)
    wait_for("the broker refuses records", lambda: not is_taken(ours, namespace))
    before = len(read(ours, namespace, EVENTS))
    output.forward(outbox())
    output.flush()
    assert output.take_held() == outbox()
    assert output.take_held() == []
    hold.end()
    wait_for("it is known to be free", lambda: not hold.is_on)
    wait_for("the broker takes records", lambda: is_taken(ours, namespace))
    output.forward(outbox())
    output.flush()
    assert output.take_held() == []
    assert len(read(ours, namespace, EVENTS)) == before + 1 + COUNT
