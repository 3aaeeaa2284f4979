"""Kafka: brokers, topics as they should be, rights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclOperation,
    AdminClient,
    ConfigResource,
    ResourceType,
)

from hub.doctor.finding import FAIL, OK, WARN, Finding
from hub.errors import Unavailable
from hub.log.reaching import admin_client
from hub.settings import Kafka
from schemas.topics import TOPICS, Topic

ANSWER_S: Final = 8.0
NEEDED: Final = {"read": AclOperation.READ, "write": AclOperation.WRITE, "describe": AclOperation.DESCRIBE}
OFTEN: Final = 3
"""Copies from which on one may be away without a stop."""


class Cluster:
    """What the brokers say. Raises Unavailable where they do not."""

    def __init__(self, kafka: Kafka, namespace: str) -> None:
        """Does not connect yet."""
        self.kafka = kafka
        self.namespace = namespace

    @cached_property
    def client(self) -> AdminClient:
        """Raises Refused: such options there cannot be."""
        return admin_client(self.kafka)

    def ask(self, act: Any) -> Any:
        """Raises Unavailable."""
        try:
            return act()
        except KafkaException as exc:
            raise Unavailable("kafka", exc.args[0].str()) from exc

    def has(self, topic: Topic) -> bool:
        """Whether it is there. Raises Unavailable."""
        return topic.name(self.namespace) in self.metadata().topics

    def metadata(self) -> Any:
        """Of all topics and brokers."""
        return self.ask(lambda: self.client.list_topics(timeout=ANSWER_S))

    def configs(self, names: Sequence[str]) -> dict[str, dict[str, str | None]]:
        """By topic, its settings."""
        wanted = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        found = self.client.describe_configs(wanted, request_timeout=ANSWER_S)
        return {
            resource.name: {key: entry.value for key, entry in self.ask(future.result).items()}
            for resource, future in found.items()
        }

    def rights(self, names: Sequence[str]) -> dict[str, set[Any]]:
        """By topic, what we may do; a topic is left out of which the broker does not say."""
        described = self.client.describe_topics(
            TopicCollection(list(names)), include_authorized_operations=True, request_timeout=ANSWER_S
        )
        found = {name: self.ask(future.result).authorized_operations for name, future in described.items()}
        return {name: set(operations) for name, operations in found.items() if operations is not None}


def brokers(cluster: Cluster) -> Iterator[Finding]:
    """Are they there, and enough?"""
    where = cluster.kafka.bootstrap
    try:
        there = cluster.metadata().brokers
    except Unavailable as exc:
        mend = "Check HUB_KAFKA__BOOTSTRAP and HUB_KAFKA__OPTIONS, and that the brokers run"
        yield Finding(FAIL, "Kafka", f"{where} does not answer: {exc.detail}", mend)
        return
    count = f"{where} answers, {len(there)} broker{'s' if len(there) != 1 else ''}"
    if cluster.kafka.replication > len(there):
        mend = "Start the others, or lower HUB_KAFKA__REPLICATION"
        yield Finding(FAIL, "Kafka", f"{count}; {cluster.kafka.replication} copies of a topic do not fit", mend)
    else:
        yield Finding(OK, "Kafka", count)


def topics(cluster: Cluster) -> Iterator[Finding]:
    """Each of the hub's: there, with the right partitions, settings and copies."""
    metadata = cluster.metadata()
    there = [topic for topic in TOPICS if topic.name(cluster.namespace) in metadata.topics]
    if not there:
        yield Finding(
            WARN, "topics", f"none of {cluster.namespace}.* is there", "The first process that starts makes them"
        )
        return
    configs = cluster.configs([topic.name(cluster.namespace) for topic in there])
    for topic in TOPICS:
        name = topic.name(cluster.namespace)
        if topic not in there:
            yield Finding(
                FAIL, f"topic {name}", "is not there", "Start any process of the hub: it makes what is missing"
            )
            continue
        faults = [*_partitions(topic, metadata.topics[name], cluster.kafka), *_settings(topic, configs[name])]
        faults += _copies(metadata.topics[name], configs[name], len(metadata.brokers))
        if faults:
            yield from (fault._replace(subject=f"topic {name}") for fault in faults)
        else:
            count = len(metadata.topics[name].partitions)
            yield Finding(OK, f"topic {name}", f"{count} partition{'s' if count != 1 else ''}, {_kept(configs[name])}")


def _partitions(topic: Topic, found: Any, kafka: Kafka) -> Iterator[Finding]:
    count, wanted = len(found.partitions), topic.partitions or kafka.partitions
    if topic.partitions is not None and count != topic.partitions:
        mend = "What it holds has to be in one order: copy it to a topic of the right size"
        yield Finding(FAIL, "", f"has {count} partitions; {topic.partitions} is what it has to have", mend)
    elif count != wanted:
        mend = "Nothing, if that is meant: HUB_KAFKA__PARTITIONS is for new topics"
        yield Finding(WARN, "", f"has {count} partitions; HUB_KAFKA__PARTITIONS says {wanted}", mend)
    headless = sorted(number for number, one in found.partitions.items() if one.leader < 0)
    if headless:
        yield Finding(FAIL, "", f"nobody leads partitions {headless}", "Start the brokers that have them")
    behind = sorted(number for number, one in found.partitions.items() if len(one.isrs) < len(one.replicas))
    if behind and not headless:
        yield Finding(
            WARN, "", f"copies of partitions {behind} are behind or away", "See to the brokers that have them"
        )


def _settings(topic: Topic, config: Mapping[str, str | None]) -> Iterator[Finding]:
    policy, wanted = config["cleanup.policy"], "compact" if topic.compacted else "delete"
    if policy != wanted:
        loses = (
            "what is not the newest of its key" if wanted == "delete" else "what is old, and it has to be kept for ever"
        )
        mend = f"kafka-configs --alter --add-config cleanup.policy={wanted} for this topic, at once"
        yield Finding(FAIL, "", f"cleanup.policy is {policy}: Kafka throws away {loses}", mend)
    elif topic.retention is not None:
        found = int(config["retention.ms"] or -1)
        meant = int(topic.retention.total_seconds() * 1000)
        if 0 <= found < meant:
            mend = f"Set retention.ms={meant}, if that is not meant"
            yield Finding(WARN, "", f"keeps records for {_days(found)}; {_days(meant)} is what the hub counts on", mend)
        if int(config["retention.bytes"] or -1) >= 0:
            mend = "Set retention.bytes=-1"
            yield Finding(
                WARN, "", f"retention.bytes is {config['retention.bytes']}: much traffic shortens the days", mend
            )
    largest = int(topic.broker_config()["max.message.bytes"])
    if int(config["max.message.bytes"] or 0) < largest:
        mend = f"Set max.message.bytes={largest}"
        yield Finding(FAIL, "", f"max.message.bytes is {config['max.message.bytes']}: records of ours are larger", mend)


def _copies(found: Any, config: Mapping[str, str | None], brokers: int) -> Iterator[Finding]:
    copies = min((len(one.replicas) for one in found.partitions.values()), default=0)
    least = int(config["min.insync.replicas"] or 1)
    if least > copies:
        mend = f"Set min.insync.replicas to {max(1, copies - 1)}, or add copies"
        yield Finding(
            FAIL, "", f"min.insync.replicas is {least}, and there are {copies} copies: nothing can be written", mend
        )
    elif copies >= OFTEN and least < 2:
        mend = "Set min.insync.replicas=2"
        yield Finding(WARN, "", f"min.insync.replicas is {least}: an acknowledgement may mean a single copy", mend)
    elif copies > 1 and least == copies:
        mend = f"Set min.insync.replicas={copies - 1}"
        yield Finding(WARN, "", f"min.insync.replicas is {least} of {copies} copies: one broker away stops all", mend)
    if copies == 1 and brokers >= OFTEN:
        mend = "Give it three (kafka-reassign-partitions); HUB_KAFKA__REPLICATION=3 for new ones"
        yield Finding(WARN, "", f"has one copy, on a cluster of {brokers} brokers", mend)


def rights(cluster: Cluster) -> Iterator[Finding]:
    """What these settings may do with the topics, as the brokers say."""
    metadata = cluster.metadata()
    names = [name for topic in TOPICS if (name := topic.name(cluster.namespace)) in metadata.topics]
    if not names:
        return
    found = cluster.rights(names)
    lacking = {
        name: sorted(word for word, operation in NEEDED.items() if operation not in operations)
        for name, operations in found.items()
    }
    if not any(lacking.values()):
        yield Finding(OK, "rights on topics", "read, write and describe" if found else "the brokers do not say")
    for name, words in lacking.items():
        if words:
            mend = f"Add ACLs for the user of HUB_KAFKA__OPTIONS, on topics with the prefix {cluster.namespace}."
            yield Finding(FAIL, f"rights on {name}", f"no right to {', '.join(words)}", mend)


def _kept(config: Mapping[str, str | None]) -> str:
    if config["cleanup.policy"] == "compact":
        return "compacted"
    kept = int(config["retention.ms"] or -1)
    return "kept for ever" if kept < 0 else f"kept for {_days(kept)}"


def _days(ms: int) -> str:
    return f"{ms / 86_400_000:.1f} days" if ms >= 86_400_000 else f"{ms / 3_600_000:.1f} hours"
