"""What `hub privacy` prints."""

from __future__ import annotations

from hub.api.privacy import Copies, Erasure
from hub.cli.privacy import report_lines


def test_a_report_says_when_each_copy_is_gone() -> None:
    """The keys of what was sealed, too, after which nobody can read it: they go long before the topics do."""
    kafka = Copies(topics={"events.v1": None}, gone_at=None, keys_gone_at="2026-11-24T12:22:00.000Z", note="never")
    report = Erasure(
        id="o1",
        kind="erase",
        state="done",
        person="m",
        reason="",
        suppressed=False,
        asked_at="2026-11-24T12:00:00.000Z",
        done_at="2026-11-24T12:00:01.000Z",
        void_until="2026-11-24T12:00:00.000Z",
        removed={"keys": 1_000},
        kafka=kafka,
    )
    lines = report_lines(report.model_dump())
    assert lines[-4:] == [
        "removed     1,000 keys",
        "on Kafka    keys of what was sealed: gone by 2026-11-24T12:22:00.000Z",
        "on Kafka    events.v1: gone by no date",
        "            never",
    ]
    plain = report.model_copy(update={"kafka": kafka.model_copy(update={"keys_gone_at": None})})
    assert not any("sealed" in line for line in report_lines(plain.model_dump()))
