"""What becomes of a page of documents: taken, there already, or left; counted, so that it adds up. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from hub.definitions.catalogue import Catalogue
from hub.edge.pseudonyms import compiled_pseudonyms
from hub.migration import events, profiles, sessions
from hub.migration.look import Copy
from hub.migration.made import MISSHAPEN, Document, Left, Made, Takeover
from schemas.records import TRACK, Inbound

Convert: TypeAlias = Callable[[Document, Takeover, int], Made]
State: TypeAlias = Literal["taken", "duplicate", "left"]

CONVERTERS: Final[Mapping[str, Convert]] = {
    "event": events.convert,
    "session": sessions.convert,
    "profile": profiles.convert,
}
ERASED: Final = "its person was erased here, or wants nothing kept"
KNOWN: Final = "this hub has it"
MOST_SHOWN: Final = 3
"""Documents of a page that are shown for each reason."""


class Fate(NamedTuple):
    """
    Of one document.

    Attributes:
        made: What it becomes; None: nothing.
        is_sent: Whether its event has to be sent: not that of one that this very task has taken before.
        why: Of one that is not taken, in words that are the same for all of its kind.
    """

    document: Document
    state: State
    made: Made | None = None
    is_sent: bool = False
    why: str = ""

    @property
    def records(self) -> Sequence[tuple[str, Inbound]]:
        """What has to be sent, with its keys. What comes behind the event may not have been, and does nothing twice."""
        if self.made is None:
            return ()
        return self.made.records if self.is_sent else self.made.records[1:]


def converted(
    kind: str, documents: Iterable[Document], copies: Mapping[str, Sequence[Copy]], takeover: Takeover, now_ms: int
) -> list[Fate]:
    """
    Each on its own. Of several documents of one id that one counts which was changed last; of events, which never are,
    the first.

    Args: kind: of CONVERTERS. copies: of those that are in several indices. now_ms: the receive time, since 1970.
    """
    convert = CONVERTERS[kind]
    made = []
    for document in documents:
        there = copies.get(document.id)
        if there is not None and document.within != _counting(kind, there):
            which = "is the first one" if kind == "event" else "is newer"
            made.append(Fate(document, "duplicate", why=f"another index has it, too, and that {which}"))
            continue
        try:
            made.append(Fate(document, "taken", convert(document, takeover, now_ms), is_sent=True))
        except Left as exc:
            made.append(Fate(document, "left", why=str(exc)))
        except MISSHAPEN:
            made.append(Fate(document, "left", why=f"it is not shaped as {kind}s are"))
    return made


def judged(fates: Iterable[Fate], origins: Mapping[str, str], erased: frozenset[str], takeover: Takeover) -> list[Fate]:
    """
    What the hub says to that.

    Args:
        origins: By event id, of what it has.
        erased: Of the profile ids among these, those of people who were erased here, or want nothing kept.
    """
    made = []
    for fate in fates:
        if fate.made is None:
            made.append(fate)
            continue
        profile = fate.made.records[0][1]["profile_id"]
        before = origins.get(fate.made.event_id)
        if profile in erased:
            made.append(Fate(fate.document, "left", why=ERASED))
        elif before is None:
            made.append(fate)
        elif before.endswith(f":{takeover.task}:{fate.document.name}"):
            # by this task, which was interrupted before it could say so
            made.append(fate._replace(is_sent=False))
        else:
            made.append(Fate(fate.document, "duplicate", why=KNOWN))
    return made


def hide(fates: Iterable[Fate], catalogue: Catalogue) -> None:
    """Put pseudonyms in the place of values in what is sent, as the edge does with what comes to it."""
    pseudonyms = catalogue.compiled("pseudonym", compiled_pseudonyms)
    if not pseudonyms:
        return
    for fate in fates:
        for _, record in fate.records:
            if record["body"][0] == TRACK:
                pseudonyms.apply(record["body"][1], record["source"], catalogue.identity_key)


def counts(kind: str, fates: Iterable[Fate]) -> dict[str, int]:
    """By name, such as `events taken`, `events left: it has no id`."""
    found: dict[str, int] = {}

    def add(what: str) -> None:
        name = f"{kind}s {what}"
        found[name] = found.get(name, 0) + 1

    for fate in fates:
        add("read")
        add(fate.state)
        if fate.why:
            add(f"{fate.state}: {fate.why}")
        for what in () if fate.made is None else fate.made.changed:
            add(f"changed: {what}")
    return found


def shown(fates: Iterable[Fate]) -> list[dict[str, Any]]:
    """Some of those that are not taken as they were, for people."""
    said: dict[str, int] = {}
    rows = []
    for fate in fates:
        whys = [f"{fate.state}: {fate.why}"] if fate.why else []
        whys += () if fate.made is None else (f"changed: {what}" for what in fate.made.changed)
        for why in whys:
            said[why] = said.get(why, 0) + 1
            if said[why] <= MOST_SHOWN:
                rows.append({"document": fate.document.name, "what": why})
    return rows


def _counting(kind: str, there: Sequence[Copy]) -> str:
    """In which index the document is that counts."""
    if kind == "event":
        return min(copy.within for copy in there)
    return max(there, key=lambda copy: (copy.newest_ms, copy.within)).within
