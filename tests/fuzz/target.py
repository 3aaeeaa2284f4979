"""What atheris runs: `python -m tests.fuzz.target`, started by `python -m tests.fuzz`, which reads what this writes."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from pathlib import Path

import atheris
import structlog
from hypothesis import HealthCheck, given, settings

with atheris.instrument_imports(include=["hub.api", "hub.definitions", "hub.edge", "schemas", "bridges"]):
    from hub.settings import Kafka
    from tests.fuzz.ledger import Line, line
    from tests.fuzz.shots import Shot, shots
    from tests.fuzz.site import judged, site

SLOW_S = 20
RSS_MB = 4_096


def main(bootstrap: str, namespace: str, folder: Path, seconds: str) -> None:
    """Fire for so many seconds; never returns, as atheris ends the process."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    seen: set[str] = set()
    number = 0
    with (
        (folder / "lines.jsonl").open("w", buffering=1) as lines,
        (folder / "wrong.jsonl").open("w", buffering=1) as faults,
        site(Kafka(bootstrap=bootstrap, partitions=1), namespace, folder) as one,
    ):

        @settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(shot=shots())
        def fire(shot: Shot) -> None:
            nonlocal number
            number += 1
            entry, wrong = Line(number, 500, False, "", "", None), ""
            try:
                reply = one.fire(shot, number)
                entry, wrong = line(number, shot, reply), judged(shot, reply)
            except Exception:  # noqa: BLE001 - it is told, and the next shot fired
                wrong = traceback.format_exc()
            print(json.dumps(entry), file=lines)
            kind = f"{shot.path.split('/')[1]} {wrong[-60:]}"
            if wrong and kind not in seen:
                seen.add(kind)
                print(json.dumps([wrong, repr(shot)]), file=faults)

        atheris.Setup(
            [
                sys.argv[0],
                f"-max_total_time={seconds}",
                f"-timeout={SLOW_S}",
                f"-rss_limit_mb={RSS_MB}",
                f"-artifact_prefix={folder}/",
                "-max_len=4096",
                "-len_control=0",
                "-print_final_stats=1",
            ],
            fire.hypothesis.fuzz_one_input,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4])
