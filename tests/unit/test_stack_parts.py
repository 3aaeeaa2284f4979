"""Parts of the stack that need no server: ports, lock, lines, keys, back-off, jars."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from hub.errors import Refused
from hub.stack import jars, keys, ports, slot, state
from hub.stack.kafka import Probe
from hub.stack.lines import FILE_BYTES, Lines


def test_a_jar_with_another_checksum_is_refused_by_name(tmp_path: Path) -> None:
    """What is not in the lock never gets on the class path, whether it was always wrong or has changed since."""
    good, bad = b"good", b"bad"
    lock = tmp_path / "lock"
    digest = "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c"  # of `good`
    names = ("one", "two")
    lock.write_text(
        "".join(
            f'[[dependencies]]\ngroupId = "org.example"\nartifactId = "{name}"\nversion = "1.0"\nsha256 = "{digest}"\n'
            for name in names
        )
    )
    cache = tmp_path / "cache"
    for jar in jars.locked(lock):
        (cache / "jars" / jar.path).parent.mkdir(parents=True)
        (cache / "jars" / jar.path).write_bytes(good)
    assert [path.name for path in jars.resolve(cache, lock=lock)] == ["one-1.0.jar", "two-1.0.jar"]
    path = cache / "jars/org/example/two/1.0/two-1.0.jar"
    path.write_bytes(bad)
    with pytest.raises(Refused, match=r"two-1\.0\.jar is not the jar of the lock") as refused:
        jars.resolve(cache, lock=lock)
    assert str(path) in refused.value.detail  # how to mend it


def test_the_committed_lock_names_each_jar_once_with_its_checksum_and_no_host() -> None:
    """The lock alone decides what runs, and where it is fetched from is not its business."""
    found = jars.locked()
    assert len({jar.path for jar in found}) == len(found) > 40
    assert all(len(jar.sha256) == 64 for jar in found)
    assert "://" not in jars.LOCK.read_text()
    assert {jar.version for jar in found if jar.group == "org.apache.kafka"} == {"4.3.1"}


def test_a_taken_port_is_named_with_its_owner_and_the_way_out() -> None:
    """The message alone must be enough to mend it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(Refused) as refused:
            ports.require_free("127.0.0.1", port, "Choose another one with --port")
    assert f"port {port} on 127.0.0.1 is taken" in refused.value.detail
    assert f"process {os.getpid()}" in refused.value.detail
    assert "--port" in refused.value.detail
    ports.require_free("127.0.0.1", port, "")


def test_ports_stay_the_same_until_somebody_else_takes_one(tmp_path: Path) -> None:
    """Clients that were given an address find it again after a restart."""
    kept = tmp_path / "ports.json"
    first = ports.choose(kept, ("a", "b"))
    assert len(set(first.values())) == 2
    assert ports.choose(kept, ("a", "b")) == first
    with socket.create_server(("127.0.0.1", first["a"])):
        second = ports.choose(kept, ("a", "b"))
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]


def test_one_hub_a_data_folder(tmp_path: Path) -> None:
    """The second is refused and told who was first; looking at the lock takes nothing and disturbs nobody."""
    assert state.holder(tmp_path) is None
    with state.lock(tmp_path):
        assert state.holder(tmp_path) == os.getpid()
        with pytest.raises(Refused, match=f"runs as process {os.getpid()}"), state.lock(tmp_path):
            pass
        assert state.holder(tmp_path) == os.getpid()
    assert state.holder(tmp_path) is None
    with state.lock(tmp_path):
        pass


def test_the_state_file_is_read_as_it_was_written_and_gone_after_the_run(tmp_path: Path) -> None:
    """`hub status` never shows a hub that is not there."""
    process = state.ProcessState(
        name="api", state="ready", pid=1, port=8686, restarts=2, started_at_ms=3, last_exit="killed by SIGKILL"
    )
    run = state.RunState(
        pid=os.getpid(), ready=True, url="http://x", namespace="hub", kafka="k", redis="r", started_at_ms=1,
        processes=[process],
    )  # fmt: skip
    with state.lock(tmp_path):
        assert state.read(tmp_path) is None
        state.write(tmp_path, run)
        assert state.read(tmp_path) == run
    assert not (tmp_path / state.STATE).exists()
    state.write(tmp_path, run)  # left behind by a hub that was killed
    assert state.read(tmp_path) is None


def test_the_admin_key_is_made_once_and_is_for_its_owner_only(tmp_path: Path) -> None:
    """Whoever reads the data folder's files as another user must not become admin."""
    made = keys.admin_key(None, tmp_path)
    assert len(made) >= 40
    assert keys.admin_key(None, tmp_path) == made
    assert stat.S_IMODE((tmp_path / keys.NAME).stat().st_mode) == 0o600
    assert keys.admin_key(SecretStr("mine"), tmp_path) == "mine"


def test_back_off_begins_at_once_and_grows_to_half_a_minute() -> None:
    """A process that was killed is back in no time; one that cannot work does not burn the machine."""
    waits = [slot.delay_s(deaths) for deaths in range(1, 15)]
    assert waits[0] <= 0.1
    assert waits == sorted(waits)
    assert waits[-1] == 30.0
    assert sum(waits[:4]) < 2.0  # four kills in a row, as a chaos test does


def test_lines_carry_the_process_name_and_servers_stay_in_their_files(tmp_path: Path) -> None:
    """One stream for people; all of it in files."""
    stream = io.StringIO()
    lines = Lines(tmp_path, stream)
    lines.to_file_only("kafka")
    lines.take("kafka", "started")
    lines.take("api", "hello")
    lines.plain("ready http://127.0.0.1:1")
    lines.aside("console: http://127.0.0.1:1/console", other := io.StringIO())
    lines.close()
    assert stream.getvalue() == "      api | hello\nready http://127.0.0.1:1\n"
    assert other.getvalue() == "console: http://127.0.0.1:1/console\n"
    assert (tmp_path / "kafka.log").read_text() == "started\n"
    assert (tmp_path / "api.log").read_text() == "hello\n"


def test_lines_for_machines_are_one_object_each(tmp_path: Path) -> None:
    """Also what is no JSON, such as a traceback."""
    stream = io.StringIO()
    lines = Lines(tmp_path, stream, json_lines=True)
    lines.take("api", '{"event": "batch.stored", "events": 3}')
    lines.take("api", 'Traceback: "x"')
    lines.say("stopping")
    lines.close()
    first, second, third = map(json.loads, stream.getvalue().splitlines())
    assert first == {"process": "api", "event": "batch.stored", "events": 3}
    assert second == {"process": "api", "event": 'Traceback: "x"'}
    assert third["process"] == "hub"
    assert third["event"] == "stopping"


def test_a_terminal_that_stands_still_stops_nobody(tmp_path: Path) -> None:
    """`hub up | less` must not hold up the API because nobody scrolls."""
    reading = threading.Event()

    class Still(io.StringIO):
        def write(self, text: str) -> int:
            reading.wait(30)
            return super().write(text)

    stream = Still()
    lines = Lines(tmp_path, stream)
    for number in range(20_000):
        lines.take("api", f"line {number}")
    reading.set()
    lines.take("api", "last")
    lines.close()
    shown = stream.getvalue()
    assert "lines left out here" in shown
    assert (tmp_path / "api.log").read_text().count("\n") == 20_001


def test_log_files_are_rotated_by_size(tmp_path: Path) -> None:
    """A disk that fills with logs would stop the hub."""
    lines = Lines(tmp_path, None)
    line = "x" * (FILE_BYTES // 10)
    for _ in range(80):
        lines.take("api", line)
    lines.close()
    files = sorted(tmp_path.glob("api.log*"))
    assert [path.name for path in files] == ["api.log", "api.log.1", "api.log.2", "api.log.3", "api.log.4"]
    assert all(path.stat().st_size <= FILE_BYTES for path in files)
    shutil.rmtree(tmp_path)  # 50 MB


def test_each_look_for_kafka_in_vain_is_by_a_client_of_its_own() -> None:
    """One that has got no answer may ask nobody any more, so that a broker that is back would not be seen."""
    asked: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        with connection:
            if first := connection.recv(4_096):  # whoever only looks whether somebody listens says nothing
                asked.append(first)
                while connection.recv(4_096):  # nor is there an answer
                    pass

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=listen, args=server.accept()[:1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        probe = Probe(f"127.0.0.1:{server.getsockname()[1]}")
        assert not probe.is_ready()
        assert not probe.is_ready()
        assert len(asked) == 2
