"""The hub of a chaos run: that of `hub up`, with two collectors, clocks that can be set, links that can be cut."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from hub.chaos.plan import TO_KAFKA
from hub.stack import plan
from hub.stack.process import Program
from hub.stack.supervisor import Stage

FILE: Final = "rig.json"
OURS: Final = ("collector", "collector-2", "api", "bridges")
LATE: Final = (*plan.LATE, "scheduler")
"""The worker of `scheduler:live` is started with the others, and not by one of them, so that it can be got at."""

# The last entry of a name counts in a properties file, so these lines behind those of `hub up` replace them. Each of
# our processes has a listener of its own, and is told the address of the proxy in front of that.
LISTENERS: Final = """\
listeners=BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}{listeners}
advertised.listeners=BROKER://127.0.0.1:{broker}{advertised}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""


class Link(NamedTuple):
    """Between one of our processes and Kafka. Ports of this machine."""

    listener: int
    proxy: int


class Rig(NamedTuple):
    """
    What the kit and the process that runs the hub agree on, by the name of the process.

    Attributes:
        links: To Kafka.
        stores: Port of the proxy in front of its search engine; empty: there are none.
    """

    links: dict[str, Link]
    stores: dict[str, int]

    def write(self, data: Path) -> None:
        """Into the data folder."""
        (data / FILE).write_text(json.dumps(self._asdict()))


def read(data: Path) -> Rig:
    """What `write` wrote."""
    written = json.loads((data / FILE).read_text())
    return Rig({name: Link(*ports) for name, ports in written["links"].items()}, written["stores"])


def clock_file(data: Path, name: str) -> Path:
    """Where the clock of a process is set."""
    return data / f"clock-{name}"


def rebuilt(what: plan.Plan, data: Path) -> plan.Plan:
    """The plan of `hub up` for the processes OURS, changed as the rig needs it."""
    rig = read(data)
    links = rig.links
    servers, *ours = what.stages
    kafka, *others = servers.programs
    bent = (replace(one, programs=[_bent(each, rig, data) for each in one.programs]) for one in ours)
    return replace(what, stages=(Stage([_with_links(kafka, links, data), *others], servers.then), *bent))


def behind(url: str, port: int) -> str:
    """A search engine by way of a proxy of this machine. Args: url: as the setting has it, of one host."""
    scheme, _, place = url.partition("://")
    account, at, _ = place.rpartition("@")
    return f"{scheme}://{account}{at}127.0.0.1:{port}"


def _with_links(kafka: Program, links: dict[str, Link], data: Path) -> Program:
    prepare = kafka.prepare
    assert prepare is not None
    names = {name: f"LINK{number}" for number, name in enumerate(TO_KAFKA)}

    def prepare_with_links() -> None:
        prepare()
        controller = json.loads((data / "ports.json").read_text())["controller"]
        text = LISTENERS.format(
            broker=kafka.port,
            controller=controller,
            listeners="".join(f",{names[name]}://127.0.0.1:{link.listener}" for name, link in links.items()),
            advertised="".join(f",{names[name]}://127.0.0.1:{link.proxy}" for name, link in links.items()),
            protocols="".join(f",{name}:PLAINTEXT" for name in names.values()),
        )
        with (data / "kafka" / "server.properties").open("a") as file:
            file.write(text)

    return replace(kafka, prepare=prepare_with_links)


def _bent(program: Program, rig: Rig, data: Path) -> Program:
    python, *_, name = program.argv
    command = name.partition("-")[0]  # collector-2 is a collector
    env = {**program.env, "HUB_KAFKA__BOOTSTRAP": f"127.0.0.1:{rig.links[program.name].proxy}"}
    if program.name in rig.stores:
        env["HUB_STORE__URL"] = behind(env["HUB_STORE__URL"], rig.stores[program.name])
    return replace(
        program,
        argv=(python, "-m", "hub.chaos.clock", str(clock_file(data, program.name)), command),
        env=env,
    )
