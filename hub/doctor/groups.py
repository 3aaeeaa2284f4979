"""Consumer groups: who reads, how far behind, and who is in a group but there no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from hub.doctor.finding import FAIL, OK, WARN, Finding, Level
from hub.doctor.kafka import ANSWER_S, Cluster
from hub.log.lag import destination_group
from hub.log.progress import agents_group, collector_group
from schemas.topics import EVENTS, STORED, TRIGGERS, Topic

MUCH: Final = 10_000
"""Records that wait; as HubCollectorLags of docs/alerts.yaml."""
LOOK_S: Final = 3.0
"""Between two looks at a group that is behind, to see whether it gets on."""


class Group(NamedTuple):
    """One that there has to be. `process`: the command that its members are."""

    name: str
    topic: Topic
    process: str


class _Look(NamedTuple):
    """`members`: by id, their partitions of the topic."""

    ends: Mapping[int, int]
    committed: Mapping[int, int]
    members: Mapping[str, list[int]]

    @property
    def lag(self) -> int:
        return sum(max(0, end - self.committed.get(number, 0)) for number, end in self.ends.items())


def expected(namespace: str, destinations: Iterator[str] | list[str], *, runs_agents: bool) -> list[Group]:
    """Args: destinations: ids of those that send events. runs_agents: whether there should be any."""
    agents = [Group(agents_group(namespace), TRIGGERS, "hub agents")] if runs_agents else []
    ours = [Group(collector_group(namespace), EVENTS, "hub collector"), *agents]
    return [*ours, *(Group(destination_group(namespace, id), STORED, "hub bridges") for id in destinations)]


def groups(cluster: Cluster, wanted: list[Group], pause: Callable[[float], None] = time.sleep) -> Iterator[Finding]:
    """Args: pause: waits so many seconds. Raises Unavailable."""
    there = cluster.metadata().topics
    some = [group for group in wanted if group.topic.name(cluster.namespace) in there]
    before = [(group, _look(cluster, group)) for group in some]
    if any(look.lag and look.members for _, look in before):
        pause(LOOK_S)
    for group, look in before:
        yield _judged(group, look, _look(cluster, group) if look.lag and look.members else look)


def _judged(group: Group, look: _Look, later: _Look) -> Finding:
    subject = f"group {group.name}"
    count = len(later.members)
    where = f"{later.lag:,} records of {group.topic.suffix} wait; {count} member{'s' if count != 1 else ''}"
    if not count and later.lag:
        return Finding(
            FAIL, subject, f"{where}: nobody reads them", f"Start `{group.process}`; its log says why it ended"
        )
    if not count:
        return Finding(WARN, subject, where, f"Start `{group.process}`")
    gone = _ghosts(look, later)
    if gone:
        mend = "The other members take it out of the group by themselves within a minute; else start one of them again"
        parts = "; ".join(f"{member} has {numbers}" for member, numbers in gone.items())
        return Finding(
            WARN, subject, f"{where}. Of these partitions nothing is read while others get on: {parts}", mend
        )
    if later.lag > MUCH:
        moves = sum(later.committed.values()) > sum(look.committed.values())
        level: Level
        level, why = (
            (WARN, "and they get fewer only slowly") if moves else (FAIL, f"and none was taken for {LOOK_S:g} s")
        )
        mend = f"Start more `{group.process}`, up to one a partition; /ready of those that run says what they wait for"
        return Finding(level, subject, f"{where}, {why}", mend)
    return Finding(OK, subject, where)


def _ghosts(look: _Look, later: _Look) -> dict[str, list[int]]:
    """Members whose partitions have records and stand still, while another member's move. By id, these partitions."""
    moves = {number for number, at in later.committed.items() if at > look.committed.get(number, 0)}
    found = {}
    for member, numbers in later.members.items():
        waits = [n for n in numbers if look.ends.get(n, 0) > look.committed.get(n, 0)]
        if waits and not moves.intersection(numbers) and moves:
            found[member] = sorted(waits)
    return found


def _look(cluster: Cluster, group: Group) -> _Look:
    topic = group.topic.name(cluster.namespace)
    numbers = sorted(cluster.metadata().topics[topic].partitions)
    wanted = {TopicPartition(topic, number): OffsetSpec.latest() for number in numbers}  # type: ignore[no-untyped-call]
    asked = cluster.client.list_offsets(wanted, request_timeout=ANSWER_S)
    ends = {place.partition: cluster.ask(future.result).offset for place, future in asked.items()}
    offsets = cluster.client.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group.name)], require_stable=False, request_timeout=ANSWER_S
    )
    committed = {
        place.partition: place.offset
        for place in cluster.ask(offsets[group.name].result).topic_partitions or ()
        if place.topic == topic and place.offset >= 0
    }
    described: Any = cluster.client.describe_consumer_groups([group.name], request_timeout=ANSWER_S)
    found = cluster.ask(described[group.name].result)
    members = {
        member.member_id: [
            place.partition for place in (member.assignment.topic_partitions or ()) if place.topic == topic
        ]
        for member in found.members
    }
    return _Look(ends, committed, members)
