"""Identity in the store: claims, where merged profiles went, the journal of merges, and what is still to be sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from hub.errors import Fenced
from hub.model import Alias, Ask, Batch, Claim, Claimed, Outgoing, Undo
from hub.store.elastic import documents as made
from hub.store.elastic.changes import is_there
from hub.store.elastic.client import Action, Engine
from hub.store.elastic.head import HeadDocument
from hub.store.elastic.indices import ALIVE, PROFILES, ROWS
from hub.store.elastic.paging import every, sources, term
from hub.store.elastic.undo import undo
from hub.store.port import OVERTAKEN, MergeRow

_HELD: Final = ["profile_id", "uses", "gone", "at"]


class IdentitySide:
    """The identity part of the port. Its writes are those of `write`, apart from the claims."""

    _engine: Engine
    _head: HeadDocument

    def claim(self, claims: Iterable[Claim]) -> dict[str, Claimed]:
        """See the port. Raises Unavailable."""
        first = {claim.identifier: claim for claim in reversed(list(claims))}
        found = self.identifier_uses(list(first))
        missing = [id for id in reversed(first) if id not in found]
        if not missing:
            return found
        seq, at = self._head.take(len(missing))
        sources = {id: made.claim_source(first[id], seq + place, at) for place, id in enumerate(missing)}
        ids = {made.row_id(made.CLAIMS, id): source for id, source in sources.items()}
        conflicts = self._engine.bulk(Action("create", ROWS, id, source) for id, source in ids.items())
        gone = self._engine.many(ROWS, [one.id for one in conflicts], _HELD)
        self._engine.bulk(
            Action("index", ROWS, id, {**ids[id], "at": max(at, one.source["at"])}, if_=one)
            for id, one in gone.items()
            if not is_there(one.source)
        )
        return found | self.identifier_uses(missing)

    def identifier_uses(self, identifiers: Sequence[str]) -> dict[str, Claimed]:
        """See the port. Raises Unavailable."""
        rows = {made.row_id(made.CLAIMS, id): id for id in identifiers}
        return {
            rows[id]: Claimed(one.source["profile_id"], one.source["uses"])
            for id, one in self._engine.many(ROWS, rows, _HELD).items()
            if is_there(one.source)
        }

    def aliases(self, ids: Sequence[str]) -> dict[str, Alias]:
        """See the port. Raises Unavailable."""
        found = self._engine.many(PROFILES, ids, made.ALIAS)
        aliases = {id: made.alias_of(one.source) for id, one in found.items()}
        return {id: alias for id, alias in aliases.items() if alias is not None}

    def survivor(self, id: str) -> str:
        """See the port. Raises Unavailable."""
        while (alias := self.aliases([id]).get(id)) is not None:
            id = alias.into
        return id

    def asks(self, ids: Sequence[str]) -> dict[str, Ask]:
        """See the port. Raises Unavailable."""
        rows = [made.row_id(made.ASKS, id) for id in ids]
        found = (made.ask_of(one.source) for one in self._engine.many(ROWS, rows).values() if is_there(one.source))
        return {ask.id: ask for ask in found}

    def outbox(self, epoch: int, partitions: Sequence[int]) -> list[Outgoing]:
        """See the port. Raises Unavailable."""
        rows = self._engine.many(ROWS, [made.row_id(made.OUTBOX, epoch, partition) for partition in partitions])
        steps = self._head.read().progress.get(epoch, {})
        found = [made.outgoing_of(item) for one in rows.values() for item in one.source["items"]]
        # a later batch of the partition leaves the row as it is: what was before it was sent
        left = [
            one
            for one in found
            if one.position.partition not in steps or one.position.offset >= steps[one.position.partition].before
        ]
        return sorted(left, key=lambda one: one.position)

    def undo(self, merge_id: str) -> Undo | None:
        """See the port. Raises Unavailable."""
        return undo(self._engine, merge_id)

    def merges(self, ids: Sequence[str]) -> list[MergeRow]:
        """See the port. Raises Unavailable."""
        either = [term(name, list(ids)) for name in ("survivor_id", "loser_id")]
        sources = self._merge_sources({"bool": {"should": either, "minimum_should_match": 1}})
        return [made.merge_row(source) for source in sources if source["survivor"] or not source["undone"]]

    def merge(self, id: str) -> MergeRow | None:
        """See the port. Raises Unavailable."""
        source = self._merge_source(id)
        return None if source is None else made.merge_row(source)

    def _merge_source(self, id: str) -> dict[str, Any] | None:
        found = self._engine.get(ROWS, made.row_id(made.MERGES, id))
        return None if found is None or not is_there(found.source) else found.source

    def _merge_sources(self, query: dict[str, Any]) -> list[Mapping[str, Any]]:
        self._engine.refresh(ROWS)  # another object of this process may have written them
        return list(sources(every(self._engine, ROWS, [term("table", made.MERGES), ALIVE, query])))

    def _check_answers(self, batch: Batch) -> None:
        """Raises Fenced: one of two was erased after it was read what the other one is asked."""
        answered = () if batch.identity is None else batch.identity.answered
        if answered and any(ask.cause and not ask.is_done for ask in self.asks(answered).values()):
            raise Fenced("store", OVERTAKEN)
