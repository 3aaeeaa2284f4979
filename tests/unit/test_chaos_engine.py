"""How the chaos kit gets at a search engine of somebody's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hub.chaos.engine import SearchEngine
from hub.chaos.here import choices
from hub.chaos.rig import behind
from hub.settings import Store


def engine(url: str, pid_file: Path | None = None) -> SearchEngine:
    return SearchEngine(Store(url=url), "chaos-s1-ab", pid_file)


def test_a_proxy_is_put_in_front_of_one_host_without_tls() -> None:
    assert behind("opensearch+http://search.example:9200", 4000) == "opensearch+http://127.0.0.1:4000"
    assert behind("elasticsearch+http://me:p%40ss@search.example", 4000) == (
        "elasticsearch+http://me:p%40ss@127.0.0.1:4000"
    )
    with closing(engine("elasticsearch+http://search.example")) as one:
        assert one.target == ("search.example", 9200)


@pytest.mark.parametrize("url", ["elasticsearch+https://search.example", "opensearch+http://one.example,two.example"])
def test_links_are_left_out_where_there_can_be_no_proxy(url: str) -> None:
    with closing(engine(url)) as one:
        assert one.target is None
        theirs, ours = choices(one, ["docker restart search"])
    assert {kind for kind, _ in theirs} == {"block", "full", "command"}
    assert ("full", "store") not in ours, "there is no disk of a store to fill"
    assert ("cut", "collector-kafka") in ours


def test_the_process_is_the_one_that_the_file_names_now(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with closing(engine("elasticsearch+http://search.example", file)) as one:
        assert one.pid() is None, "it has not been started yet"
        file.write_text(f"{os.getpid()}\n")
        assert one.pid() == os.getpid()
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        file.write_text(str(ended.pid))
        assert one.pid() is None
        with pytest.raises(ProcessLookupError):
            one.signal(signal.SIGKILL)
