"""All checks, in the order in which one mends what they find."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from hub.api.definitions import Validator
from hub.definitions.kinds import KINDS, Destination
from hub.doctor.clocks import clocks
from hub.doctor.configured import settings as settings_of
from hub.doctor.definitions import definitions, read
from hub.doctor.finding import FAIL, OK, WARN, Finding, Level, carefully
from hub.doctor.groups import expected, groups
from hub.doctor.kafka import Cluster, brokers, rights, topics
from hub.doctor.machine import certificates, files, keys
from hub.doctor.processes import processes
from hub.doctor.redis import redis
from hub.doctor.store import store
from hub.errors import HubError
from hub.settings import Settings
from hub.stack import doctor as stack
from hub.stack import state
from schemas.topics import DEFINITIONS


class Patient(NamedTuple):
    """
    What is looked at.

    Attributes:
        environ: What the settings were read from; leftovers: variables that no setting reads.
        validators: By kind of definition, what its types do not say.
    """

    settings: Settings
    needs: stack.Needs
    environ: Mapping[str, str]
    leftovers: Sequence[str]
    validators: Mapping[str, Validator]


def examine(patient: Patient) -> Iterator[Finding]:
    """One after the other; none of them raises, starts or changes anything."""
    settings = patient.settings
    run = state.read(settings.data) if settings.data.exists() else None
    kafka = settings.kafka
    if run is not None and not kafka.bootstrap:
        kafka = kafka.model_copy(update={"bootstrap": run.kafka})
    redis_url = settings.redis.address or (run.redis if run is not None else "")
    yield from _stack(patient)
    yield from carefully("settings", partial(settings_of, settings, patient.environ, patient.leftovers))
    yield from carefully("open files", partial(files, settings))
    yield from carefully("keys", partial(keys, settings))
    yield from carefully("certificates", partial(certificates, settings, datetime.now(UTC)))
    if redis_url:
        yield from carefully("Redis", partial(redis, redis_url, time.time))
    answers = False
    if kafka.bootstrap:
        cluster = Cluster(kafka, settings.namespace)
        found = list(carefully("Kafka", partial(brokers, cluster)))
        answers = any("answers" in one.detail for one in found)
        yield from found
        if answers:
            yield from _of_kafka(cluster, patient, runs_agents=bool(redis_url) and settings.agents.up)
    url = settings.store_url
    yield from carefully("store", partial(store, url, kafka if answers else None, settings.namespace))
    yield from carefully("processes", partial(processes, settings))


def _stack(patient: Patient) -> Iterator[Finding]:
    for one in stack.examine(patient.needs):
        level: Level = FAIL if not one.ok else WARN if one.mend else OK
        yield Finding(level, one.subject, one.detail, one.mend)


def _of_kafka(cluster: Cluster, patient: Patient, *, runs_agents: bool) -> Iterator[Finding]:
    yield from carefully("topics", partial(topics, cluster))
    yield from carefully("rights", partial(rights, cluster))
    yield from carefully("clocks", partial(clocks, cluster, time.time_ns() // 1_000_000))
    destinations: list[str] = []
    try:
        if cluster.has(DEFINITIONS):
            catalogue = read(cluster.kafka, cluster.namespace)
            destinations = [
                id
                for id, entry in catalogue.entries("destination").items()
                if isinstance(entry.spec, Destination) and entry.spec.sends == "events" and entry.spec.enabled
            ]
            yield from carefully("definitions", partial(definitions, catalogue, sorted(KINDS), patient.validators))
    except HubError as exc:
        yield Finding(FAIL, "definitions", f"cannot be read: {exc}", "See to Kafka, and look again")
    wanted = expected(cluster.namespace, destinations, runs_agents=runs_agents)
    yield from carefully("groups", partial(groups, cluster, wanted))
