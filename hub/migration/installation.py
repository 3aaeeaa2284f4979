"""Which installations of the predecessor a cluster has: told by the names of its indices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from hub.errors import Refused
from hub.imports.rows import unreadable

RELEASES: Final[Mapping[str, str]] = {
    "080": "0.8.0",
    "08x": "0.8.1",
    "081": "0.8.1",
    "0820": "0.8.2",
    "082x": "0.8.2",
    "082": "0.8.2",
    "09x": "0.9.0",
    "090": "0.9.0",
}
"""What the predecessor calls its schemas in the names of indices, and the release that has them."""
TIMED: Final = ("event", "session", "profile")
"""What is cut by time, and taken over document by document."""
DEFINED: Final = (
    "event-source",
    "segment",
    "consent-type",
    "event-management",
    "event-to-profile",
    "identification-point",
    "event-redirect",
    "rule",
    "flow",
)
"""What becomes a definition here. From 0.9.0 on MySQL has it."""
LEFT: Final[Mapping[str, str]] = {
    "log": "logs stay where they are",
    "user-logs": "logs stay where they are",
    "console-log": "logs stay where they are",
    "dispatch-log": "logs stay where they are",
    "field-update-log": "this hub has changes of fields in the events that made them",
    "entity": "this hub has no entities",
    "item": "this hub has no items",
    "live-segment": "segments by workflow: a flow with a schedule does that here",
    "destination": "its resource holds credentials: define a destination anew (docs/destinations.md)",
    "resource": "it holds credentials, which are nobody's to copy",
    "user": "it holds passwords, which are nobody's to copy",
    "event-validation": "its schemas are written another way: define a validator (docs/rules.md)",
    "event-reshaping": "its templates are written another way: define a reshaper (docs/rules.md)",
    "consent-data-compliance": "define a data-compliance (docs/rules.md)",
    "import": "its resource holds credentials: import anew (docs/imports.md)",
    "report": "this hub has no reports",
}
"""Why the documents of an index stay; any other is left as the predecessor's own."""
OWN: Final = "the predecessor's own, of no use here"

_NAME: Final = re.compile(
    r"(?P<stage>prod-|static-)?(?P<version>[0-9][0-9a-z-]*)\.(?P<tenant>[^.]+)\."
    r"(?P<brand>tracardi|thamesthrive)-(?P<kind>[a-z][a-z-]*[a-z])(?:-(?P<part>\d{4}-[0-9a-z-]+))?"
)


class Index(NamedTuple):
    """
    An index of the predecessor.

    Attributes:
        kind: Such as `event`, `event-source`.
        stage: `prod-`, `static-` (of both), or empty: staging, which is for tests.
        part: Of time: `2024-3`, `2024-q1`, `2024-year`; empty: it is not cut by time.
    """

    name: str
    stage: str
    version: str
    tenant: str
    kind: str
    part: str


class Installation(NamedTuple):
    """
    All indices that belong together.

    Attributes:
        release: Such as 0.8.2; empty: the name of its schema is not known.
    """

    version: str
    tenant: str
    production: bool
    indices: Sequence[Index]

    @property
    def release(self) -> str:
        """Of the predecessor; empty: nobody knows."""
        return RELEASES.get(self.version, "")

    @property
    def id(self) -> str:
        """What ids are made from: the same whatever cluster has it."""
        return f"{'prod-' if self.production else ''}{self.version}.{self.tenant}"

    @property
    def has_definitions(self) -> bool:
        """Whether definitions are in it; else MySQL has them."""
        return any(index.kind in DEFINED for index in self.indices)

    def of(self, kind: str) -> list[Index]:
        """Its indices of a kind, the oldest first."""
        return sorted((index for index in self.indices if index.kind == kind), key=lambda index: _age(index.part))

    def told(self) -> str:
        """In words."""
        release = self.release or f"an unknown release (schema {self.version})"
        return f"{release}, tenant {self.tenant}, {'production' if self.production else 'staging'}"


def index_of(name: str) -> Index | None:
    """An index by its name; None: it is not the predecessor's."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    of = found.groupdict()
    return Index(name, of["stage"] or "", of["version"], of["tenant"], of["kind"], of["part"] or "")


def installations(names: Iterable[str]) -> list[Installation]:
    """What there is, production first. Args: names: of all indices."""
    groups: dict[tuple[str, str, bool], list[Index]] = {}
    for index in filter(None, map(index_of, names)):
        if index.stage != "static-":
            groups.setdefault((index.version, index.tenant, index.stage == "prod-"), []).append(index)
    found = [Installation(*key, sorted(indices)) for key, indices in groups.items()]
    return sorted(found, key=lambda one: (not one.production, one.version, one.tenant))


def chosen(found: Sequence[Installation], *, version: str, tenant: str, production: bool | None) -> Installation:
    """The one that is meant. Args: each empty or None: any. Raises Refused: there is none, or there are several."""
    if not found:
        raise unreadable("there are no indices of Tracardi or ThamesThrive (names such as 082x.8504a.tracardi-event-…)")
    some = [
        one
        for one in found
        if (not version or version in {one.version, one.release})
        and (not tenant or one.tenant == tenant)
        and (production is None or one.production == production)
    ]
    if len(some) == 1:
        return _readable(some[0])
    told = "; ".join(f"{one.told()} ({len(one.indices)} indices)" for one in found)
    what = "none of them is meant" if not some else "say which one is meant"
    raise Refused("import", f"{what}, by version, tenant, production or staging. There are: {told}")


def _readable(one: Installation) -> Installation:
    if not one.release:
        known = ", ".join(sorted(set(RELEASES.values())))
        raise Refused("import", f"{one.told()} is none that this hub can take over: those are {known}")
    return one


def _age(part: str) -> tuple[int, ...]:
    """So that 2024-2 comes before 2024-10."""
    return tuple(int(number) for number in re.findall(r"\d+", part))
