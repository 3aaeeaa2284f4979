"""What the kit defines in the hub under test for as long as a run lasts, and deletes again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import aiohttp
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from hub.chaos.checker.flows import HEARD, MISSED, Flows, Rule
from hub.chaos.checker.segments import Segments
from hub.chaos.plan import DOORS, Options
from hub.errors import Unavailable

FIELDS: Final = [
    {"event": "properties.amount", "profile": "traits.sum", "op": "add"},
    {"event": "properties.one", "profile": "traits.count", "op": "add"},
    {"event": "properties.amount", "profile": "traits.first", "op": "set-if-empty"},
    {"event": "properties.seq", "profile": "traits.last", "op": "set"},
    {"event": "properties.amount", "profile": "traits.highest", "op": "max"},
    {"event": "properties.label", "profile": "traits.labels", "op": "append-unique"},
]
IDENTIFIERS: Final = [{"event": "properties.email", "kind": "email"}]
WINDOW_S: Final = 4
SUMS: Final = (150, 900)
"""What most profiles have come to at the end, and few, for each second of the load."""
COUNT: Final = 0.15
"""The same of events with one of the labels: what half of the profiles have come to."""
PAUSE: Final = "3s"
PATIENCE_S: Final = 10.0
AGAIN_S: Final = 0.2
AGENTS_S: Final = 10.0
"""For so long it is waited for a sign of life of an agents process."""


class Defined(NamedTuple):
    """
    All of it, by name.

    Attributes:
        name: Of source, mapping, identification point, bridge, its topic, and the heartbeat.
        mine: A condition that all profiles of this run meet and no others.
        flows: Each for some events, about one in twenty.
        beat_type, every_s: Of the heartbeat: type of its events, and how often it is due.
        beat_ending: Of the ids of those whom it is for. Not all: it lets each of them look at its segments, and of
            others agents alone shall notice that time has passed.
    """

    name: str
    event_type: str
    mine: str
    segments: Segments
    flows: Flows
    beat_type: str
    every_s: int
    beat_ending: str


def defined(options: Options) -> Defined:
    """For a run. Bounds grow with it: so there are profiles on either side of them at its end."""
    name, load = f"chaos-{options.run}", options.seconds * options.rate
    return Defined(
        name=name,
        event_type=f"chaos-step-{options.run}",
        mine=f'id STARTS WITH "{name}-"',
        segments=Segments(
            by_sum=f"{name}-by-sum",
            low=round(SUMS[0] * load),
            high=round(SUMS[1] * load),
            by_time=f"{name}-by-time",
            time_label="label-3",
            window_ms=WINDOW_S * 1_000,
            by_count=f"{name}-by-count",
            count_label="label-5",
            many=max(1, round(COUNT * load)),
        ),
        flows=Flows(
            acts=f"{name}-acts",
            acts_on=Rule("label-1", 500, 1_001),
            waits=f"{name}-waits",
            waits_on=Rule("label-2", 0, 500),
            hears=f"{name}-hears",
            hears_on=Rule("label-4", 700, 1_001),
            told_type=f"chaos-told-{options.run}",
        ),
        beat_type=f"chaos-beat-{options.run}",
        every_s=max(2, round(options.seconds / 60)),
        beat_ending=f"-{DOORS[0]}",
    )


class Definitions:
    """Source, mapping, identification point, segments, heartbeat, flows and, with a topic, bridge; the topic too."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        what: Defined,
        *,
        url: str,
        key: str,
        bootstrap: str,
        bridge_bootstrap: str,
    ) -> None:
        """Args: as of `hub.chaos.run.Target`."""
        self._session = session
        self._what = what
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._bootstrap = bootstrap
        self._bridge_bootstrap = bridge_bootstrap
        self._made: list[str] = []

    async def __aenter__(self) -> Definitions:
        """Raises Unavailable: the hub will not take them."""
        what = self._what
        await self._put("source", {"name": "Chaos kit"})
        await self._put("mapping", {"event_type": what.event_type, "fields": FIELDS})
        await self._put("identification-point", {"event_type": what.event_type, "identifiers": IDENTIFIERS})
        if self._bootstrap:
            await asyncio.to_thread(make_topic, self._bootstrap, what.name)
            await self._put("bridge", self._bridge())
        return self

    async def for_agents(self, *, may_lack: bool) -> bool:
        """
        Heartbeat, segments and flows. Returns whether they are there.

        Args: may_lack: whether they are left out if no agents process runs. Raises Unavailable: the hub will not take
        them.
        """
        what, segments = self._what, self._what.segments
        whom = f'{what.mine} AND id ENDS WITH "{what.beat_ending}"'
        every = f"{what.every_s}s"
        beat = {"event_type": what.beat_type, "condition": whom, "every": every, "catch_up": "all"}
        await self._put("heartbeat", beat)
        if may_lack and not await self._agents_live():
            await self._delete(self._made.pop())
            return False
        sums = f"traits.sum >= {segments.low} AND traits.sum < {segments.high}"
        recent = f"{self._count(segments.time_label)} in last {segments.window_ms // 1_000} seconds >= 1"
        await self._segment(segments.by_sum, sums)
        await self._segment(segments.by_time, recent)
        await self._segment(segments.by_count, "traits.count >= 3")
        await self._acts("as it was at first")
        await self._flow(what.flows.waits, what.flows.waits_on, _waits())
        await self._flow(what.flows.hears, what.flows.hears_on, _hears(what.flows.told_type))
        return True

    async def __aexit__(self, *_: object) -> None:
        for path in reversed(self._made):
            await self._delete(path)

    async def change(self) -> None:
        """
        Let a segment ask for something of which profiles have kept no account, and a flow have another version.

        Tried until the hub takes it.
        """
        segments = self._what.segments
        while True:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._segment(segments.by_count, f"{self._count(segments.count_label)} >= {segments.many}")
                    await self._acts("as it was later")
                return
            except (TimeoutError, aiohttp.ClientError, OSError, Unavailable):
                await asyncio.sleep(AGAIN_S)

    def _count(self, label: str) -> str:
        return f'count("{self._what.event_type}" WHERE properties.label = "{label}")'

    def _bridge(self) -> dict[str, Any]:
        what = self._what
        properties = {name: name for name in ("seq", "amount", "label", "one", "email")}
        event = {"type": f"'{what.event_type}'", "id": "event", "properties": properties}
        settings = {"bootstrap": self._bridge_bootstrap, "topics": what.name, "protocol": "consumer"}
        mapping = {"id": "payload", "profile": "who", "event": event}
        return {"type": "kafka", "source": what.name, "settings": settings, "mapping": mapping}

    async def _agents_live(self) -> bool:
        deadline = time.monotonic() + AGENTS_S
        while True:
            url = f"{self._url}/heartbeats/{self._what.name}"
            async with self._session.get(url, headers=self._headers) as answer:
                if answer.status == 200 and not (await answer.json())["hint"]:
                    return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(AGAIN_S)

    async def _segment(self, id: str, condition: str) -> None:
        await self._put("segment", {"name": "Chaos kit", "condition": f"{self._what.mine} AND {condition}"}, id)

    async def _acts(self, description: str) -> None:
        flows = self._what.flows
        await self._flow(flows.acts, flows.acts_on, _acts(flows.told_type), description)

    async def _flow(self, id: str, rule: Rule, nodes: Mapping[str, Any], description: str = "") -> None:
        label = f'event@properties.label = "{rule.label}"'
        amount = f"event@properties.amount >= {rule.least} AND event@properties.amount < {rule.below}"
        trigger = {
            "type": "event",
            "event_type": self._what.event_type,
            "source": self._what.name,
            "condition": f"{label} AND {amount}",
        }
        spec = {"name": "Chaos kit", "description": description, "triggers": [trigger], "nodes": nodes}
        await self._put("flow", spec, id)

    async def _put(self, kind: str, spec: Mapping[str, Any], id: str = "") -> None:
        path = f"/definitions/{kind}/{id or self._what.name}"
        async with self._session.put(f"{self._url}{path}", json=spec, headers=self._headers) as answer:
            if answer.status >= 300:
                raise Unavailable("api", f"PUT {path}: {answer.status} {(await answer.text())[:500]}")
        if path not in self._made:
            self._made.append(path)

    async def _delete(self, path: str) -> None:
        async with self._session.delete(f"{self._url}{path}", headers=self._headers):
            pass


def _acts(told_type: str) -> dict[str, Any]:
    tells = {"event_type": told_type, "properties": {"because": "event@id"}}
    return {
        "start": {"type": "start", "to": {"out": "count"}},
        "count": _adds("acted", "sum"),
        "sum": _adds("acted_sum", "last", "event@properties.amount"),
        "last": {
            "type": "update-profile",
            "config": {"fields": {"traits.acted_last": "event@id"}},
            "to": {"out": "tell"},
        },
        "tell": {"type": "raise-event", "config": tells},
    }


def _waits() -> dict[str, Any]:
    return {
        "start": {"type": "start", "to": {"out": "wait"}},
        "wait": {"type": "pause", "config": {"wait": PAUSE}, "to": {"out": "count"}},
        "count": _adds("waited"),
    }


def _hears(told_type: str) -> dict[str, Any]:
    return {
        "start": {"type": "start", "to": {"out": "wait"}},
        "wait": {
            "type": "pause",
            "config": {"wait": PAUSE, "event_type": told_type},
            "to": {"out": HEARD, "timeout": MISSED},
        },
        HEARD: _adds(HEARD),
        MISSED: _adds(MISSED),
    }


def _adds(trait: str, to: str = "", by: str | int = 1) -> dict[str, Any]:
    config = {"field": f"traits.{trait}", "by": by}
    return {"type": "increment", "config": config} | ({"to": {"out": to}} if to else {})


def make_topic(bootstrap: str, name: str) -> None:
    """The bridge's topic. Raises Unavailable."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    for made in admin.create_topics([NewTopic(name, num_partitions=4)], request_timeout=10).values():
        try:
            made.result()
        except KafkaException as exc:
            raise Unavailable("kafka", f"cannot make topic {name}: {exc.args[0].str()}") from exc
