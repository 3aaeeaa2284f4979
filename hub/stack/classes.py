"""
Where Kafka's classes are kept as Java has them once they are loaded: an AOT cache (JEP 483), mapped at the next start.

It lies beside Kafka's first jar, under a name that changes with everything it was made from. Without one, or with one
that Java does not want, Kafka starts as well, but takes twice as long. hub/stack/training.py makes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path


def file(java: Path, options: Sequence[str], class_path: Sequence[Path]) -> Path:
    """Where the cache of this Java, run so, is or would be. Java itself looks at size and time of each jar, too."""
    release = java.parent.parent / "release"
    parts = [release.read_text() if release.exists() else str(java), *options]
    for jar in class_path:
        status = jar.stat()
        parts.append(f"{jar} {status.st_size} {status.st_mtime_ns}")
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return class_path[0].with_name(f"classes-{digest[:16]}.aot")


def options(kept: Path) -> tuple[str, ...]:
    """What Java is told so that it uses the cache, if it is there. It says nothing of one that does not fit."""
    return (f"-XX:AOTCache={kept}", "-Xlog:aot*=off", "-Xlog:cds*=off") if kept.exists() else ()
