"""What could not be sent while the log is held stays in the outbox, in its order, ahead of what comes after it."""

from __future__ import annotations

import msgspec

from hub.collector.unsent import Unsent
from hub.model import Batch, Outgoing, Position
from tests.contracts.batches import batch
from tests.contracts.test_store_identity import identity, outgoing


def with_outbox(progress: dict[int, tuple[int, int]], *outbox: Outgoing) -> Batch:
    return msgspec.structs.replace(batch(progress=progress), identity=identity(outbox=list(outbox)))


def sent(made: Batch) -> list[Outgoing]:
    assert made.identity is not None
    return made.identity.outbox


def test_a_batch_is_as_it_was_when_nothing_waits_for_its_partitions() -> None:
    unsent, made = Unsent(), batch(progress={0: (5, 9)})
    assert unsent.with_batch(made) is made
    unsent.keep([outgoing(3, partition=1)])
    assert unsent.with_batch(made) is made


def test_what_waits_goes_with_the_next_batch_of_its_partition_and_ahead_of_it() -> None:
    unsent = Unsent()
    first, second, other = outgoing(3), outgoing(4), outgoing(2, partition=1)
    unsent.keep([first, other, second])
    own = outgoing(5)
    made = sent(unsent.with_batch(with_outbox({0: (5, 9)}, own)))
    assert [one.value for one in made] == [first.value, second.value, own.value]
    positions = [one.position for one in made]
    assert positions == sorted(positions) == [Position(1, 0, 5, -2), Position(1, 0, 5, -1), own.position]
    assert sent(unsent.with_batch(batch(progress={0: (9, 10), 1: (4, 5)}))) == [
        msgspec.structs.replace(other, position=Position(1, 1, 4, -1))
    ]


def test_what_waits_is_given_back_to_be_sent_when_there_is_nothing_else_to_do() -> None:
    unsent = Unsent()
    assert unsent.take() == []
    unsent.keep([outgoing(3), outgoing(4)])
    assert unsent.take() == [outgoing(3), outgoing(4)]
    unsent.keep([outgoing(3)])
    assert unsent.take() == []  # tried a moment ago
    assert sent(unsent.with_batch(batch(progress={0: (5, 6)})))[0].value == outgoing(3).value
