"""`python -m hub.stack.relock`: write kafka.lock for the version below. For maintainers; needs the network."""

from __future__ import annotations

import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

import jgo
import jgo.maven

from hub.stack import jars

KAFKA: Final = "org.apache.kafka:kafka_2.13:4.3.1"
BINDING: Final = ("org.apache.logging.log4j", "log4j-slf4j-impl")
"""Without it Kafka logs nowhere. Its POM manages Kafka's own version too, so it is left out of the resolution."""

HEADER: Final = """\
# The jars of the embedded Kafka. Made by `python -m hub.stack.relock`; a jar with another checksum is not used.
"""


def main() -> None:
    """Resolve, and write the lock."""
    with tempfile.TemporaryDirectory() as folder:
        environment = jgo.build(KAFKA, cache_dir=Path(folder))
        document = tomllib.loads((environment.path / "jgo.lock.toml").read_text())
    found = [
        jars.Jar(item["groupId"], item["artifactId"], item["version"], item["sha256"])
        for item in document["dependencies"]
    ]
    log4j = next(jar.version for jar in found if jar.artifact == "log4j-core")
    binding = jgo.maven.MavenContext().project(*BINDING).at_version(log4j).artifact().resolve()
    found.append(jars.Jar(*BINDING, log4j, jars.checksum(binding)))
    jars.LOCK.write_text(HEADER + "".join(map(_entry, sorted(found))))
    sys.stdout.write(f"{len(found)} jars in {jars.LOCK}\n")


def _entry(jar: jars.Jar) -> str:
    return (
        f'\n[[dependencies]]\ngroupId = "{jar.group}"\nartifactId = "{jar.artifact}"\n'
        f'version = "{jar.version}"\nsha256 = "{jar.sha256}"\n'
    )


if __name__ == "__main__":
    main()
