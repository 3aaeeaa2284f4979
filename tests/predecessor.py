"""An installation of the predecessor: documents of its shapes (0.8.2 and 0.9.0), seeded, and a server that has them."""

from __future__ import annotations

import base64
import gzip
import json
import random
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import httpx

Layout: TypeAlias = Literal["082x", "09x"]
BEGAN: Final = datetime(2024, 1, 1, 8, tzinfo=UTC)
TENANT: Final = "8504a"
SOURCE: Final = "3f2b1c9e-0000-4000-8000-00000000cafe"
HOOK: Final = "shop-hook"
BULK: Final = 2_000
PLANS: Final = ("gold", "silver", "none")
TYPES: Final = ("page-view", "purchase", "sign-in")


class Doc(NamedTuple):
    """`where`: its index, behind `tracardi-`, with its part of time."""

    where: str
    id: str
    source: dict[str, Any]


class Data(NamedTuple):
    """An installation. `prefix`: of its indices."""

    prefix: str
    docs: list[Doc]

    def of(self, kind: str) -> list[Doc]:
        """Documents of a kind that is cut by time, or is not."""
        return [doc for doc in self.docs if doc.where == kind or doc.where.startswith(f"{kind}-2")]


def installation(
    layout: Layout, profiles: int, *, tenant: str = TENANT, seed: int = 7, production: bool = True, events: int = 4
) -> Data:
    """
    Profiles with two sessions each, and about so many events each.

    Some are as they should not be: without a profile, a time or a type; in two indices; keys with dots; ids merged.
    """
    made = _Maker(layout, random.Random(seed))
    docs = (
        [*made.definitions(), *made.everybody(profiles, events)]
        if layout == "082x"
        else [*made.everybody(profiles, events)]
    )
    return Data(f"{'prod-' if production else ''}{layout}.{tenant}.tracardi-", docs)


class _Maker:
    def __init__(self, layout: Layout, by: random.Random) -> None:
        self._layout = layout
        self._by = by

    def everybody(self, profiles: int, events: int) -> Iterator[Doc]:
        for number in range(profiles):
            yield from self._somebody(number, events)

    def _id(self) -> str:
        return str(uuid.UUID(int=self._by.getrandbits(128), version=4))

    def _part(self, at: datetime) -> str:
        """Events of 0.8.2 by month, all else by quarter."""
        return f"{at.year}-q{(at.month - 1) // 3 + 1}"

    def _somebody(self, number: int, events: int) -> Iterator[Doc]:
        by, id = self._by, self._id()
        born = BEGAN + timedelta(minutes=97 * number)
        last = born
        sessions = [self._id() for _ in range(2)]
        spent = 0
        for turn, session in enumerate(sessions):
            at = born + timedelta(days=20 * turn)
            for step in range(max(1, events // 2)):
                last = at + timedelta(minutes=3 * step)
                type = TYPES[by.randrange(3)]
                amount = by.randrange(1, 90)
                spent += amount if type == "purchase" else 0
                yield self._event(id, session, type, last, amount)
            yield self._session(session, id, at, last)
        yield from self._odd(number, id, sessions[0], born)
        profile = self._profile(number, id, born, last, spent)
        index = f"profile-{self._part(born)}"
        if number % 10 == 3:
            # an older copy in an older index
            older = json.loads(json.dumps(profile))
            older["metadata"]["time"]["update"] = _told(born)
            older["traits"]["plan"] = "older"
            yield Doc("profile-2023-q4", id, older)
        yield Doc(index, id, profile)

    def _event(self, profile: str, session: str, type: str, at: datetime, amount: int) -> Doc:
        id = self._id()
        index = f"event-{at.year}-{at.month}" if self._layout == "082x" else f"event-{self._part(at)}"
        document = {
            "id": id,
            "name": type.title(),
            "type": type,
            "source": {"id": SOURCE},
            "session": {"id": session, "start": None, "duration": 0},
            "profile": {"id": profile},
            "entity": None,
            "metadata": {
                "time": {"insert": _told(at + timedelta(seconds=1)), "create": _told(at), "process_time": 0.2},
                "ip": "192.0.2.7",
                "status": "collected",
                "channel": "web",
                "processed_by": {"rules": [], "flows": [], "third_party": []},
                "profile_less": False,
                "valid": True,
            },
            "properties": {"amount": amount} if type == "purchase" else {},
            "traits": {},
            "context": {"page": {"url": "https://shop.example/tea"}},
            "request": {"headers": {"user-agent": "Mozilla/5.0", "authorization": "Basic c2VjcmV0"}},
            "config": {"async": True},
            "tags": {"values": ["shop"], "count": 1},
            "data": {"ec": {"order": {"income": {"value": amount}}}} if type == "purchase" else {},
        }
        if self._layout == "09x":
            document["journey"] = {"state": "awareness"}
        return Doc(index, id, document)

    def _odd(self, number: int, profile: str, session: str, at: datetime) -> Iterator[Doc]:
        kind = number % 20
        one = self._event(profile, session, "Odd One", at, 1)
        if kind == 1:
            yield Doc(one.where, one.id, {**one.source, "type": ""})
        elif kind == 2:
            yield Doc(one.where, one.id, {**one.source, "metadata": {"time": {}}})
        elif kind == 4:
            yield one
            other = "event-2024-12" if self._layout == "082x" else "event-2024-q4"
            if one.where != other:
                yield Doc(other, one.id, one.source)
        elif kind == 5:
            yield Doc(
                one.where, one.id, {**one.source, "type": "visit-started", "source": {"id": "@internal-0123456789"}}
            )
        elif kind == 6:
            metadata = {**one.source["metadata"], "profile_less": True}
            yield Doc(one.where, one.id, {**one.source, "profile": None, "session": None, "metadata": metadata})
        elif kind == 7:
            other = self._id()
            yield Doc(
                f"session-{self._part(at)}",
                other,
                {"id": other, "metadata": {"time": {"insert": _told(at)}}, "profile": None},
            )

    def _session(self, id: str, profile: str, at: datetime, until: datetime) -> Doc:
        time = {"insert": _told(at), "update": _told(until), "timestamp": at.timestamp(), "duration": 0, "weekday": 1}
        document = {
            "id": id,
            "metadata": {"time": time, "channel": "web", "status": "active"},
            "profile": {"id": profile},
            "device": {"name": "phone"},
            "os": {"name": "Linux"},
            "app": {"type": "browser"},
            "context": {"screen": {"width": 800}},
            "properties": {"campaign": "tea"},
            "traits": {},
        }
        return Doc(f"session-{self._part(at)}", id, document)

    def _profile(self, number: int, id: str, born: datetime, last: datetime, spent: int) -> dict[str, Any]:
        ids = [id, f"emm-{self._id()}"]
        if number % 10 == 8:
            ids.append(self._id())
        return {
            "id": id,
            "ids": ids,
            "primary_id": None,
            "active": number % 15 != 0,
            "metadata": {
                "time": {
                    "insert": _told(born),
                    "create": None,
                    "update": _told(last),
                    "visit": {"last": _told(born), "current": _told(last), "count": 2, "tz": "Europe/London"},
                },
                "aux": {},
                "status": None,
                "fields": {"traits.plan": [born.timestamp(), self._id()]},
                "system": {"integrations": {}, "aux": {}},
            },
            "stats": {"visits": 0, "views": number % 5, "counters": {"orders": number % 3, "spent": spent}},
            "traits": {"plan": PLANS[number % 3], "number": number, "a.b": 1, "nothing": None},
            "segments": ["vip", "seen"] if number % 4 == 0 else [],
            "interests": {"tea": 1.5},
            "consents": {"marketing": {"revoke": None}} if number % 2 else {},
            "aux": {"note": "x"},
            "data": {
                "anonymous": False,
                "pii": {"firstname": f"Ann {number}", "lastname": None},
                "contact": {"email": {"main": f"ann{number}@example.com"}, "phone": {"main": None}},
                "preferences": {"colors": ["red"]},
                "metrics": {"ltv": 0, "ltcosc": number % 4, "ltcop": 0, "custom": {}},
            },
        }

    def definitions(self) -> Iterator[Doc]:
        """Those of 0.8.2; 0.9.0 has them in MySQL."""
        yield from (Doc(kind, document["id"], document) for kind, document in DEFINITIONS)


def flow_document(id: str, nodes: Iterable[dict[str, Any]], edges: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """A flow as its record has it: a graph, packed. Args: edges: from, its port, to."""
    graph = {
        "nodes": [
            {
                "id": one["id"],
                "type": "flowNode",
                "position": {"x": 0, "y": 0},
                "data": {
                    "start": one["class"] == "StartAction",
                    "debug": False,
                    "spec": {
                        "className": one["class"],
                        "module": f"tracardi.process_engine.action.v1.{one['module']}",
                        "init": one.get("init"),
                    },
                    "metadata": {"name": one["class"]},
                },
            }
            for one in nodes
        ],
        "edges": [
            {
                "id": f"{source}-{target}",
                "source": source,
                "sourceHandle": port,
                "target": target,
                "targetHandle": "payload",
            }
            for source, port, target in edges
        ],
    }
    packed = {"id": id, "name": f"Flow {id}", "type": "collection", "flowGraph": graph}
    record = base64.b64encode(gzip.compress(json.dumps(packed).encode())).decode()
    return {"id": id, "name": f"Flow {id}", "description": "", "type": "collection", "draft": record, "production": ""}


DEFINITIONS: Final[list[tuple[str, dict[str, Any]]]] = [
    (
        "event-source",
        {"id": SOURCE, "name": "Shop", "type": ["rest"], "channel": "web", "enabled": True, "tags": ["general"]},
    ),
    ("event-source", {"id": HOOK, "name": "Hook", "type": ["webhook"], "enabled": True, "transitional": False}),
    ("event-source", {"id": "queue", "name": "Queue", "type": ["mqtt"], "enabled": True, "config": {"password": "x"}}),
    ("event-source", {"id": "odd", "name": "Odd", "type": ["telepathy"], "enabled": True}),
    ("event-source", {"id": "@internal-0123456789", "name": "Internal", "type": ["internal"], "enabled": True}),
    (
        "segment",
        {
            "id": "s1",
            "name": "Gold",
            "machine_name": "gold",
            "condition": 'profile@traits.plan == "gold"',
            "enabled": True,
            "eventType": [],
        },
    ),
    (
        "segment",
        {
            "id": "s2",
            "name": "Odd",
            "machine_name": "odd",
            "condition": "profile@traits.plan LIKES tea",
            "enabled": True,
        },
    ),
    (
        "consent-type",
        {
            "id": "marketing",
            "name": "Marketing",
            "revokable": True,
            "default_value": "deny",
            "enabled": True,
            "required": False,
            "auto_revoke": "15d",
            "tags": [],
        },
    ),
    (
        "event-management",
        {
            "id": "tasting",
            "event_type": "tasting",
            "name": "Tasting",
            "index_schema": {"tea": "tea"},
            "journey": "awareness",
            "tags": ["tea"],
            "enabled": True,
        },
    ),
    (
        "event-to-profile",
        {
            "id": "m1",
            "name": "Tasting to profile",
            "event_type": {"id": "tasting", "name": "tasting"},
            "enabled": True,
            "config": {},
            "event_to_profile": [
                {
                    "event": {"value": "properties.tea", "ref": True},
                    "op": 0,
                    "profile": {"value": "traits.tea", "ref": True},
                },
                {
                    "event": {"value": "properties.cup", "ref": True},
                    "op": 2,
                    "profile": {"value": "traits.cups", "ref": True},
                },
            ],
        },
    ),
    (
        "identification-point",
        {
            "id": "i1",
            "name": "By mail",
            "source": {"id": SOURCE, "name": "Shop"},
            "event_type": {"id": "sign-in", "name": "sign-in"},
            "fields": [
                {
                    "profile_trait": {"value": "data.contact.email.main", "ref": True},
                    "event_property": {"value": "email", "ref": True},
                }
            ],
            "enabled": True,
        },
    ),
    (
        "event-redirect",
        {
            "id": "r1",
            "name": "Link",
            "url": "https://shop.example/",
            "source": {"id": HOOK},
            "event_type": "clicked",
            "props": {},
            "tags": [],
        },
    ),
    (
        "flow",
        flow_document(
            "f1",
            [
                {"id": "n1", "class": "StartAction", "module": "flow.start.start_action", "init": {"event_types": []}},
                {
                    "id": "n2",
                    "class": "IfAction",
                    "module": "if_action",
                    "init": {"condition": "event@properties.amount > 10"},
                },
                {
                    "id": "n3",
                    "class": "AddSegmentAction",
                    "module": "segmentation.add.plugin",
                    "init": {"segment": "vip"},
                },
                {"id": "n4", "class": "EndAction", "module": "end_action"},
            ],
            [("n1", "payload", "n2"), ("n2", "true", "n3"), ("n3", "payload", "n4"), ("n2", "false", "n4")],
        ),
    ),
    (
        "flow",
        flow_document(
            "f2",
            [
                {"id": "n1", "class": "StartAction", "module": "flow.start.start_action"},
                {"id": "n2", "class": "SlackPoster", "module": "connectors.slack.plugin", "init": {"token": "secret"}},
            ],
            [("n1", "payload", "n2")],
        ),
    ),
    (
        "rule",
        {
            "id": "u1",
            "name": "Purchases",
            "type": "event-collect",
            "event_type": {"id": "purchase"},
            "source": {"id": SOURCE},
            "flow": {"id": "f1"},
            "enabled": True,
        },
    ),
    ("resource", {"id": "c1", "name": "Slack", "type": "slack", "credentials": "x"}),
    ("user", {"id": "admin", "password": "x"}),
]


def load(url: str, data: Data) -> None:
    """Put everything into a server, and close it to writing."""
    with httpx.Client(base_url=url, timeout=60) as http:
        for name in sorted({doc.where for doc in data.docs}):
            made = http.put(f"/{data.prefix}{name}", json={"settings": SETTINGS, "mappings": MAPPINGS})
            assert made.is_success, made.text
        for begin in range(0, len(data.docs), BULK):
            lines = []
            for doc in data.docs[begin : begin + BULK]:
                lines += [{"index": {"_index": f"{data.prefix}{doc.where}", "_id": doc.id}}, doc.source]
            answer = http.post(
                "/_bulk",
                content="".join(json.dumps(line) + "\n" for line in lines),
                headers={"content-type": "application/x-ndjson"},
            )
            assert answer.is_success, answer.text[:2_000]
            assert not answer.json()["errors"], answer.text[:2_000]
        http.post(f"/{data.prefix}*/_refresh").raise_for_status()
        # whoever writes, or changes anything, is told so
        http.put(f"/{data.prefix}*/_settings", json={"index.blocks.read_only": True}).raise_for_status()


SETTINGS: Final = {"number_of_shards": 2, "number_of_replicas": 0}
_OPAQUE: Final = {"type": "object", "enabled": False}
MAPPINGS: Final[dict[str, Any]] = {
    "dynamic": False,
    "date_detection": False,
    "properties": {
        "id": {"type": "keyword"},
        "type": {"type": "keyword"},
        "segments": {"type": "keyword"},
        "metadata": {"properties": {"time": {"properties": {"insert": {"type": "date"}, "update": {"type": "date"}}}}},
        "properties": _OPAQUE,
        "context": _OPAQUE,
        "traits": _OPAQUE,
        "data": _OPAQUE,
    },
}
"""As the predecessor's, as far as anybody searches by it."""


def _told(at: datetime) -> str:
    return at.isoformat()
