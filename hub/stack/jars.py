"""Kafka's jars: fetched once, checked against the committed lock at every start."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from hub.errors import Refused, Unavailable

LOCK: Final = Path(__file__).with_name("kafka.lock")
"""Every jar of the class path with its SHA-256; made by `python -m hub.stack.relock`."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told (jar, jars done, jars in all) after each download; called on the caller's thread."""

_DOWNLOADS: Final = 8


class Jar(NamedTuple):
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """Its file name."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> Path:
        """Where it lies in a Maven repository."""
        return Path(*self.group.split("."), self.artifact, self.version, self.name)


def default_cache(xdg_cache_home: str | None) -> Path:
    """Where jars are kept between starts, for all data folders of this user."""
    base = Path(xdg_cache_home) if xdg_cache_home else Path.home() / ".cache"
    return base / "thamesthrive-hub"


def locked(lock: Path = LOCK) -> list[Jar]:
    """The jars of the lock, in class-path order."""
    document = tomllib.loads(lock.read_text())
    return [
        Jar(item["groupId"], item["artifactId"], item["version"], item["sha256"]) for item in document["dependencies"]
    ]


def missing(cache: Path, lock: Path = LOCK) -> list[Jar]:
    """Jars that a start would have to download."""
    return [jar for jar in locked(lock) if not (cache / "jars" / jar.path).exists()]


def resolve(cache: Path, progress: Progress | None = None, lock: Path = LOCK) -> list[Path]:
    """
    The class path, complete and verified. Needs no network once every jar is in `cache`.

    Raises:
        Refused: A jar is not the one of the lock; nothing of it is used. Names the jar.
        Unavailable: A jar could not be downloaded. What has arrived is kept for the next attempt.
    """
    store = cache / "jars"
    store.mkdir(parents=True, exist_ok=True)
    with _alone(cache / "jars.lock"):
        wanted = missing(cache, lock)
        if wanted:
            _download(wanted, store, progress)
    paths = []
    for jar in locked(lock):
        path = store / jar.path
        _verify(jar, path)
        paths.append(path)
    return paths


def _download(wanted: Sequence[Jar], store: Path, progress: Progress | None) -> None:
    incoming = Path(tempfile.mkdtemp(prefix="incoming-", dir=store))
    try:
        with ThreadPoolExecutor(_DOWNLOADS, "jars") as pool:
            jobs = {pool.submit(_fetch, jar, incoming, store): jar for jar in wanted}
            try:
                for done, job in enumerate(as_completed(jobs), start=1):
                    job.result()
                    if progress:
                        progress(jobs[job].name, done, len(wanted))
            finally:
                pool.shutdown(cancel_futures=True)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _fetch(jar: Jar, incoming: Path, store: Path) -> None:
    """Download to `incoming`, verify, and only then move to `store`: a broken download never gets there."""
    import jgo.maven  # noqa: PLC0415 - a tenth of a second that only a first start needs
    import requests  # noqa: PLC0415

    context = jgo.maven.MavenContext(repo_cache=incoming, timeout=30)
    try:
        path = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    except (requests.RequestException, RuntimeError, OSError) as exc:
        detail = f"cannot download {jar.name}: {exc}. Check the network and start again; what has arrived is kept"
        raise Unavailable("kafka jars", detail) from exc
    _verify(jar, path)
    target = store / jar.path
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(jar: Jar, path: Path) -> None:
    found = checksum(path)
    if found != jar.sha256:
        raise Refused(
            "kafka jars",
            f"{jar.name} is not the jar of the lock (SHA-256 {found}, wanted {jar.sha256}). "
            f"Delete {path} and start again",
        )


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One downloader at a time; the others wait and then find everything there."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
