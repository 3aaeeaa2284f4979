"""`hub partitions grow` on a real hub under load: nothing is lost or doubled, each profile's events are in order."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from hub.log.admin import LogAdmin
from hub.log.hold import Hold
from hub.log.partitions import partition_of_key
from hub.settings import Kafka
from tests import stores
from tests.live.numbered_load import Load
from tests.live.whole_hub import HUB, ROOT, WholeHub, environment, hub, whole_hub

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@contextmanager
def running(folder: Path) -> Iterator[WholeHub]:
    with whole_hub(folder) as hub:
        hub.define("source", "web", name="web", type=["rest"])
        yield hub


def grow(hub_: WholeHub, to: int, *options: str) -> subprocess.CompletedProcess[str]:
    return hub("partitions", "grow", "--to", str(to), "--data", str(hub_.data), *options)


def check(hub_: WholeHub, load: Load) -> None:
    """Once it has stopped."""
    load.stop()
    namespace = hub_.state().namespace
    load.check(Kafka(bootstrap=hub_.kafka), namespace, stores.store_url(hub_.data, namespace))


def counts(hub_: WholeHub) -> dict[int, int]:
    """Records by partition."""
    return LogAdmin(Kafka(bootstrap=hub_.kafka), hub_.state().namespace).end_offsets()


def test_partitions_grow_under_load(tmp_path: Path) -> None:
    """And are used from then on, by the key; a second call does nothing, and there are never fewer."""
    with running(tmp_path / "data") as hub_, Load(hub_.url) as load:
        load.more()
        before = counts(hub_)
        grown = grow(hub_, 12)
        assert grown.returncode == 0, grown.stderr
        assert "events.v1 has 12 partitions; nothing was taken in for" in grown.stdout
        load.more()
        load.more()
        assert load.refused, "nobody noticed that the log was held"
        check(hub_, load)
        after = counts(hub_)
        assert len(before) == 6
        assert len(after) == 12
        used = {partition_of_key(profile.encode(), 12) for profile in load.accepted}
        assert {number for number in range(6, 12) if after[number]} == used - set(range(6))
        again = grow(hub_, 12)
        assert (again.returncode, again.stdout) == (0, "events.v1 has 12 partitions already\n")
        fewer = grow(hub_, 6)
        assert fewer.returncode == 2
        assert "they can only become more" in fewer.stderr
        replayed = hub("replay", "--from", "beginning", "--into", "shadow", "--data", str(hub_.data), timeout_s=300)
        assert replayed.returncode == 0, replayed.stderr
        assert f"  {len(load.accepted):,} are the same" in replayed.stdout, replayed.stdout


@pytest.mark.parametrize("step", ["is held", "adding partitions", "until every producer knows"])
def test_whoever_grows_them_may_be_killed_at_each_step(tmp_path: Path, step: str) -> None:
    """Nothing is taken in until the same is done again; then it is as if nothing had been."""
    with running(tmp_path / "data") as hub_, Load(hub_.url) as load:
        load.more()
        command = [*HUB, "partitions", "grow", "--to", "9", "--data", str(hub_.data)]
        with subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if step in line:
                    break
            process.send_signal(signal.SIGKILL)
        hold = Hold(Kafka(bootstrap=hub_.kafka), hub_.state().namespace)
        assert hold.is_on
        again = grow(hub_, 9)
        assert again.returncode == 0, again.stderr
        assert not hold.is_on
        load.more()
        check(hub_, load)
        assert len(counts(hub_)) == 9


def test_without_collectors_it_gives_up_and_the_log_takes_records_again(tmp_path: Path) -> None:
    with running(tmp_path / "data") as hub_, Load(hub_.url) as load:
        load.more()
        collector = hub_.processes()["collector"].pid
        assert collector is not None
        psutil.Process(collector).suspend()
        try:
            given_up = grow(hub_, 9, "--within", "3")
        finally:
            psutil.Process(collector).resume()
        assert given_up.returncode == 2
        assert "it takes records again" in given_up.stderr
        load.more()
        check(hub_, load)
        assert len(counts(hub_)) == 6


def test_a_log_that_was_left_held_is_released(tmp_path: Path) -> None:
    with running(tmp_path / "data") as hub_, Load(hub_.url) as load:
        Hold(Kafka(bootstrap=hub_.kafka), hub_.state().namespace).begin()
        released = hub("partitions", "release", "--data", str(hub_.data))
        assert (released.returncode, released.stdout) == (0, "events.v1 takes records\n")
        load.more()
        check(hub_, load)
