"""Rows become payloads whose ids depend on source, name and line only; a checkpoint never runs ahead."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.definitions.catalogue import Catalogue
from hub.edge.admit import admit
from hub.edge.inbound import inbound
from hub.edge.mapping import compile_mapping
from hub.ids import ordered
from hub.send.parcels import Failure, Packer, Parcel
from hub.send.rows import Row
from hub.send.tally import Checkpoint, Tally
from hub.settings import Limits

MAPPING = {"profile": "c", "event": {"type": "'purchase'", "properties": {"n": "number(n)"}}}
ROWS = [Row(2, 0, {"c": "1", "n": "5"}), Row(3, 1, {"c": "1", "n": "5"}), Row(4, 2, {"c": "2", "n": "6"})]


def packer(**changes: Any) -> Packer:
    return Packer(**{"mapping": compile_mapping(MAPPING), "source": "shop", "name": "file.csv", **changes})


def event_ids(made: list[Parcel | Failure]) -> list[str]:
    """The ids that the edge gives to the events of these parcels."""
    ids = []
    for parcel in made:
        assert isinstance(parcel, Parcel)
        taken = inbound(
            admit(parcel.body, Limits()),
            catalogue=Catalogue(),
            payload_id=parcel.id,
            now_ms=0,
            origin="rest",
            request=b"{}",
            new_id=ordered,
        )
        ids += [event["id"] for event in taken.record["body"][1]["events"]]  # type: ignore[typeddict-item]
    return ids


def test_a_row_of_many_events_and_one_of_none_share_payloads_like_others() -> None:
    """A row without events stays by itself, so that the hub counts it as dropped."""
    mapping = compile_mapping({"profile": "c", "events": [{"each": "kinds", "type": "@"}]})
    rows = [Row(n, n, {"c": "1", "kinds": kinds}) for n, kinds in enumerate([["a", "b"], ["c"], [], ["d"], ["e"]], 1)]
    together = list(packer(mapping=mapping).pack_together(rows))
    assert [parcel.rows for parcel in together if isinstance(parcel, Parcel)] == [2, 1, 2]
    assert event_ids(together) == event_ids([packer(mapping=mapping).pack(row) for row in rows])
    many = [Row(n, n, {"c": "1", "kinds": ["a"] * 200}) for n in range(1, 6)]
    assert [parcel.rows for parcel in packer(mapping=mapping).pack_together(many) if isinstance(parcel, Parcel)] == [
        2,
        2,
        1,
    ]


def test_a_mapping_with_a_format_reads_the_lines_itself() -> None:
    made = packer(
        mapping=compile_mapping({"format": "csv", "columns": ["c", "n"], "profile": "c", "event": {"type": "n"}})
    )
    parcel = made.pack(Row(1, 0, None, b"ann,sale"))
    assert isinstance(parcel, Parcel)
    assert msgspec.json.decode(parcel.body) == {
        "events": [{"type": "sale"}],
        "profile": {"id": "ann"},
        "source": {"id": "shop"},
    }
    failure = made.pack(Row(2, 1, None, b"ann"))
    assert isinstance(failure, Failure)
    assert "1 cells" in failure.reason


def test_equal_rows_are_two_events_and_a_rerun_gives_the_same() -> None:
    once = event_ids([packer().pack(row) for row in ROWS])
    assert len(set(once)) == 3
    assert once == event_ids([packer().pack(row) for row in ROWS])
    assert not set(once) & set(event_ids([packer(name="other.csv").pack(row) for row in ROWS]))
    assert not set(once) & set(event_ids([packer(source="web").pack(row) for row in ROWS]))


def test_rows_that_share_a_payload_keep_the_ids_of_their_events() -> None:
    together = list(packer().pack_together(ROWS))
    assert [parcel.rows for parcel in together if isinstance(parcel, Parcel)] == [2, 1]
    assert event_ids(together) == event_ids([packer().pack(row) for row in ROWS])


def test_rows_that_differ_in_more_than_their_events_do_not_share_a_payload() -> None:
    own = compile_mapping({**MAPPING, "session": "s"})
    rows = [Row(2, 0, {"c": "1", "s": "a"}), Row(3, 1, {"c": "1", "s": "b"}), Row(4, 2, {"c": "1"})]
    assert len(list(packer(mapping=own).pack_together(rows))) == 3
    with_id = compile_mapping({**MAPPING, "id": "i"})
    assert len(list(packer(mapping=with_id).pack_together([Row(n, n, {"c": "1", "i": "x"}) for n in range(3)]))) == 3


def test_a_row_that_does_not_map_is_a_failure_with_its_line() -> None:
    made = packer().pack(Row(7, 5, {"c": "1", "n": "five"}))
    assert isinstance(made, Failure)
    assert made.line == 7
    assert "event.properties.n" in made.reason
    assert packer().pack(Row(8, 6, None, None, "not UTF-8")) == Failure(8, "not UTF-8")


def test_a_row_without_mapping_goes_as_it_is() -> None:
    raw = b'{"profile": {"id": "p"},   "events": []}'
    plain = packer(mapping=None, source="").pack(Row(1, 0, msgspec.json.decode(raw), raw))
    assert isinstance(plain, Parcel)
    assert (plain.body, plain.key) == (raw, "p")
    named = packer(mapping=None).pack(Row(1, 0, msgspec.json.decode(raw), raw))
    assert isinstance(named, Parcel)
    assert msgspec.json.decode(named.body)["source"] == {"id": "shop"}


@given(st.permutations(range(12)), st.integers(0, 12))
def test_the_checkpoint_stands_before_the_first_row_that_is_not_settled(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], done: int
) -> None:
    path = tmp_path_factory.mktemp("checkpoint") / "state"
    ticks = count()
    tally = Tally(Checkpoint(path, "file", lambda: float(next(ticks))))
    parcels = [Parcel((10 * n, 10 * n + 5), 2, str(n), "", b"") for n in range(1, 13)]
    for parcel in parcels:
        tally.opened(parcel)
    for place in order[:done]:
        tally.accepted(parcels[place])
    tally.close()
    settled = set(order[:done])
    first_open = next((n for n in range(12) if n not in settled), 12)
    assert Checkpoint(path, "file", lambda: 0.0).done_line == (10 * first_open + 5 if first_open else 0)


def test_another_files_checkpoint_is_refused(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "state", "one", lambda: 0.0).save()
    with pytest.raises(ValueError, match="of one, not of two"):
        Checkpoint(tmp_path / "state", "two", lambda: 0.0)
    (tmp_path / "state").write_text("{")
    with pytest.raises(ValueError, match="no checkpoint"):
        Checkpoint(tmp_path / "state", "one", lambda: 0.0)
