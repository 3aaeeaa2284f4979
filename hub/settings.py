"""Every setting of the hub, read once from `HUB_…` variables (`__` between levels)."""

from __future__ import annotations

import os
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import quote, urlencode, urlsplit

from pydantic import BaseModel, Field, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from hub.references import everywhere
from hub.search_engine import Layout, filled_in, is_engine


class _Part(BaseModel, frozen=True, extra="forbid"):
    pass


class Kafka(_Part):
    """The hub's own Kafka."""

    bootstrap: Annotated[
        str, Field(description="Brokers, host:port with commas between. Empty: `hub up` starts its own.")
    ] = ""
    partitions: Annotated[int, Field(ge=1, le=10_000, description="Partitions of new topics.")] = 6
    replication: Annotated[int, Field(ge=1, description="Copies of new topics. 3 on a cluster.")] = 1
    delivery_timeout_s: Annotated[
        float,
        Field(gt=0, le=3_600, description="How long the edge waits for Kafka's acknowledgement before it answers 503."),
    ] = 10.0
    linger_ms: Annotated[
        float, Field(ge=0, le=900_000, description="How long a record waits in the producer for company.")
    ] = 0.5
    options: Annotated[
        dict[str, str | int | float | bool],
        Field(
            repr=False,
            description="Further librdkafka options as JSON, such as security.protocol, sasl.* and ssl.* "
            "(docs/security.md).",
        ),
    ] = {}
    fsync: Annotated[
        bool,
        Field(
            description="Embedded Kafka forces every write to disk before it acknowledges. Slow; survives a power cut."
        ),
    ] = False


class Redis(_Part):
    """Redis or Valkey."""

    url: Annotated[
        str,
        Field(repr=False, description="redis:// URL, rediss:// for TLS. Empty: `hub up` starts its own Valkey."),
    ] = ""
    username: Annotated[str, Field(description="ACL user. Empty: the server's default user.")] = ""
    password: Annotated[SecretStr | None, Field(description="Of that user.")] = None
    ca_file: Annotated[
        Path | None, Field(description="Authority of the server's certificate, a PEM file. Unset: the system's.")
    ] = None
    cert_file: Annotated[Path | None, Field(description="Our certificate, a PEM file, if the server asks for one.")] = (
        None
    )
    key_file: Annotated[Path | None, Field(description="Its key, a PEM file without a passphrase.")] = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        parts = urlsplit(self.url)
        if self.url and (parts.scheme not in ("redis", "rediss") or not parts.hostname):
            raise ValueError("url: write redis://host:port/database, or rediss://… for TLS")
        if (self.username or self.password) and (not self.url or "@" in parts.netloc):
            raise ValueError("username and password go with a url, and one that has none of its own")
        if (self.ca_file or self.cert_file or self.key_file) and parts.scheme != "rediss":
            raise ValueError("ca_file, cert_file and key_file are for TLS: write rediss://… in url")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        return self

    @property
    def address(self) -> str:
        """
        All of it as one URL, with the password: for clients, not for people. Empty if there is none.

        One text, because that is what every client of Redis takes, those on a loop and RQ's as well.
        """
        parts = urlsplit(self.url)
        host, query = parts.netloc, parts.query
        if self.username or self.password:
            password = self.password.get_secret_value() if self.password else ""
            host = f"{quote(self.username, safe='')}:{quote(password, safe='')}@{host}"
        files = {"ssl_ca_certs": self.ca_file, "ssl_certfile": self.cert_file, "ssl_keyfile": self.key_file}
        given = urlencode({name: str(file.absolute()) for name, file in files.items() if file is not None})
        return parts._replace(netloc=host, query="&".join(filter(None, (query, given)))).geturl()


class Store(_Part):
    """Where events and profiles are kept."""

    url: Annotated[
        str,
        Field(
            repr=False,
            description="sqlite:///FILE, or a search engine: elasticsearch+https://HOST:PORT,HOST:PORT or "
            "opensearch+https://… (docs/store.md). Empty: hub.sqlite in the data folder.",
        ),
    ] = ""
    username: Annotated[str, Field(description="Whom the search engine knows us as.")] = ""
    password: Annotated[SecretStr | None, Field(description="Of that user.")] = None
    api_key: Annotated[
        SecretStr | None, Field(description="Of Elasticsearch, encoded, instead of a user and a password.")
    ] = None
    ca_file: Annotated[
        Path | None,
        Field(description="Authority to trust in the search engine's TLS, a PEM file. Unset: whom the system trusts."),
    ] = None
    shards: Annotated[
        int,
        Field(
            ge=1, le=1_024, description="Shards of each new index: profiles, sessions, letters, each month of events."
        ),
    ] = 1
    copies: Annotated[
        int, Field(ge=0, le=100, description="Replicas of each shard of new indices; 0 on a single node.")
    ] = 1
    refresh_ms: Annotated[
        int,
        Field(ge=50, le=60_000, description="A search finds what a collector has stored at most so much later."),
    ] = 1_000

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if is_engine(self.url):
            filled_in(self.url, "", Layout())
        elif self.username or self.password or self.api_key or self.ca_file:
            raise ValueError("username, password, api_key and ca_file are for a search engine: name one in url")
        if (self.username or "@" in self.url) and self.api_key:
            raise ValueError("a username or an api_key: one of them is enough")
        if self.password and not self.username:
            raise ValueError("password goes with a username")
        return self

    def located(self, namespace: str) -> str:
        """The URL for `open_store`; empty: none is set. Args: namespace: the hub's."""
        if not is_engine(self.url):
            return self.url
        return filled_in(
            self.url,
            namespace,
            Layout(self.shards, self.copies, self.refresh_ms),
            username=self.username,
            password=self.password.get_secret_value() if self.password else "",
            api_key=self.api_key.get_secret_value() if self.api_key else "",
            ca_file=str(self.ca_file.absolute()) if self.ca_file else "",
        )


class Api(_Part):
    """The HTTP server."""

    host: Annotated[str, Field(description="Address to listen on. Loopback unless you say otherwise.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8686
    cert_file: Annotated[
        Path | None,
        Field(description="Certificate with its chain, a PEM file: then it speaks HTTPS alone (docs/security.md)."),
    ] = None
    key_file: Annotated[Path | None, Field(description="Key of the certificate, a PEM file.")] = None
    key_password: Annotated[SecretStr | None, Field(description="Passphrase of the key. Unset: it has none.")] = None
    ca_file: Annotated[
        Path | None,
        Field(description="Authority that commands trust when they ask the API, a PEM file. Unset: the system's."),
    ] = None
    connections: Annotated[
        int,
        Field(ge=10, description="Connections at a time, in one API process; then those that wait are closed first."),
    ] = 10_000
    head_s: Annotated[
        float, Field(gt=0, description="How long the head of a request may take to come, or a TLS handshake.")
    ] = 10.0
    body_s: Annotated[float, Field(gt=0, description="How long the body of a request may take to come.")] = 60.0
    stalled_s: Annotated[
        float, Field(gt=0, description="Whoever has taken nothing of an answer for so long is gone.")
    ] = 60.0
    tail_listeners: Annotated[
        int, Field(ge=0, description="Who may listen to `/tail` at a time, in one API process.")
    ] = 20
    collect_key: Annotated[
        bool,
        Field(
            description="`/track`, `/collect/…` and `/customer/consent` ask for an API key with the role `collect`. "
            "For hubs that only servers send to: pages cannot keep a key."
        ),
    ] = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        return self

    @property
    def scheme(self) -> str:
        """Of its URLs."""
        return "http" if self.cert_file is None else "https"


class Limits(_Part):
    """What one payload may be; beyond it the answer is 413 or 422 and names the limit."""

    body_bytes: Annotated[int, Field(ge=1, description="Body, after decompression.")] = 1_048_576
    events: Annotated[int, Field(ge=1, description="Events in one payload.")] = 1_000
    event_bytes: Annotated[int, Field(ge=1, description="Properties and context of one event, as JSON.")] = 262_144
    depth: Annotated[int, Field(ge=4, le=200, description="Nesting of objects and lists in the body.")] = 32
    id_chars: Annotated[int, Field(ge=36, description="Length of an id or an event type.")] = 256
    head_bytes: Annotated[int, Field(ge=1_024, description="Head of a request: its first line and headers.")] = 65_536
    headers: Annotated[int, Field(ge=10, description="Headers of a request.")] = 100


class Collector(_Part):
    """The process that turns the log into events and profiles."""

    batch_records: Annotated[int, Field(ge=1, description="Most records in one batch.")] = 1_000
    batch_ms: Annotated[
        int, Field(ge=0, le=60_000, description="How long the first record of a batch waits for company.")
    ] = 20
    cache_profiles: Annotated[int, Field(ge=1, description="Profiles kept in memory, and as many sessions.")] = 20_000
    cache_events: Annotated[int, Field(ge=1, description="Event ids kept in memory for deduplication.")] = 50_000
    stop_share: Annotated[
        float,
        Field(ge=0, le=1, description="It stops when more than this share of a window is unreadable to it. 1: never."),
    ] = 0.5
    stop_window: Annotated[int, Field(ge=1, description="The newest events that it looks at for that.")] = 1_000


class Identity(_Part):
    """How customers are told from each other."""

    key: Annotated[
        SecretStr | None,
        Field(
            description="Secret that identifiers are hashed with, the same in all processes and for ever. "
            "Unset: made at first start, kept in the data folder."
        ),
    ] = None
    most_profiles: Annotated[
        int,
        Field(ge=1, description="An identifier that more profiles come with, such as info@, joins no more of them."),
    ] = 2_000


class Privacy(_Part):
    """What is done for the people whose data it is."""

    shredding: Annotated[
        bool,
        Field(
            description="Seal each record on events.v1 with a key of its own, which an erasure throws away "
            "(docs/privacy.md). The same in all processes."
        ),
    ] = False


class Geo(_Part):
    """Where customers are, by their IP address."""

    file: Annotated[
        Path | None,
        Field(description="City or country database in MaxMind's format (.mmdb), for `device.geo`. Unset: none."),
    ] = None


class Bridges(_Part):
    """The process that pulls from other queues."""

    in_flight: Annotated[
        int, Field(ge=1, description="Most messages of one bridge between its source and our Kafka.")
    ] = 10_000
    stop_share: Annotated[
        float,
        Field(ge=0, le=1, description="A bridge stops when more than this share of a window is refused. 1: never."),
    ] = 0.5
    stop_window: Annotated[int, Field(ge=1, description="The newest messages that a bridge looks at for that.")] = 1_000


class Agents(_Part):
    """The process that does what is due: heartbeats, segments that change with time alone."""

    up: Annotated[
        bool,
        Field(
            description="Whether `hub up` runs agents and a worker, some 220 MB. Without them heartbeats and flows "
            "wait until some run, and so does what a new definition or time changes in segments."
        ),
    ] = True
    instance: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9._-]{0,200}$",
            description="Name of this process among its like, which it keeps: a restart then moves no work. "
            "Empty: others take over when it has been silent for 10 s.",
        ),
    ] = ""
    events_per_s: Annotated[
        float,
        Field(gt=0, description="What the hub can do: a heartbeat that needs more events a second is refused."),
    ] = 10_000.0
    stuck_s: Annotated[
        float,
        Field(gt=0, description="An agents process with triggers that wait and no step for so long ends itself."),
    ] = 120.0


class Segments(_Part):
    """How segments are kept right as time goes by."""

    check_every_s: Annotated[
        float,
        Field(
            ge=0,
            description="Between two second opinions of the store on who is in which segment, which repair and count "
            "what differs; 0: none.",
        ),
    ] = 3_600.0
    slice_profiles: Annotated[
        int, Field(ge=1, description="Profiles of one job when all of them are looked at, as for a new segment.")
    ] = 20_000


class Imports(_Part):
    """Imports of files, tables and topics."""

    folder: Annotated[
        Path | None,
        Field(
            description="Folder of files that `POST /imports` may read, the same for the API and `hub worker "
            "import:worker`. Unset: none."
        ),
    ] = None
    stop_share: Annotated[
        float,
        Field(ge=0, le=1, description="An import stops when more than this share of a window is bad rows. 1: never."),
    ] = 0.5
    stop_window: Annotated[int, Field(ge=1, description="The newest rows that an import looks at for that.")] = 1_000


class Tasks(_Part):
    """Long pieces of work that workers do."""

    slice_events: Annotated[
        int, Field(ge=1, description="Stored events of one job when they are copied or indexed anew.")
    ] = 50_000
    on_demand: Annotated[
        bool,
        Field(
            description="`hub worker segmentation:live` starts a worker for each other queue, too, as long as that has "
            "tasks. The one of `hub up` does."
        ),
    ] = False


class Flows(_Part):
    """What flows may do to other systems, and how long somebody may wait for their answer."""

    private_networks: Annotated[
        list[IPv4Network | IPv6Network],
        Field(
            description="Networks that flows may call although they are not of the public internet, as JSON, such as "
            '`["10.1.0.0/16"]`.'
        ),
    ] = []
    ca_file: Annotated[
        Path | None,
        Field(description="Authority to trust in calls, a PEM file, instead of the system's. Unset: the system's."),
    ] = None
    answer_bytes: Annotated[
        int, Field(ge=1_000, le=16_777_216, description="Most bytes of an answer to a call, unpacked.")
    ] = 262_144
    calls_per_host: Annotated[int, Field(ge=1, le=1_000, description="Calls of one host at a time, of a process.")] = 16
    failures: Annotated[
        int,
        Field(ge=1, description="After so many attempts in a row without an answer a host is left alone for a while."),
    ] = 5
    rest_s: Annotated[
        float, Field(gt=0, description="For how long it is left alone; then one call is let through, to see.")
    ] = 30.0
    retry_after_s: Annotated[
        float,
        Field(ge=0, description="An answer that asks for a longer wait, in Retry-After, is the last attempt."),
    ] = 30.0
    send_s: Annotated[
        float,
        Field(
            ge=0,
            description="A destination that is away is tried for so long; then the run lets others go first, and comes "
            "again.",
        ),
    ] = 10.0
    give_up_s: Annotated[
        float,
        Field(
            ge=0,
            description="A message that could not be sent for so long becomes a dead letter; the `give_up_s` of the "
            "destination goes before.",
        ),
    ] = 3_600.0
    wait_s: Annotated[
        float,
        Field(ge=0, le=30, description="The sender of an event with `async: false` waits so long at most."),
    ] = 2.0
    kept_days: Annotated[
        float, Field(gt=0, description="Runs are forgotten so many days after their end, with their traces.")
    ] = 30.0
    waiters: Annotated[
        int, Field(ge=0, description="Senders that may wait at a time, in one API process. 0: nobody waits.")
    ] = 500


class Egress(_Part):
    """Whom bridges, destinations and imports may connect to. Flows have rules of their own."""

    networks: Annotated[
        list[IPv4Network | IPv6Network],
        Field(
            description="Networks that bridges, destinations and imports may connect to, as JSON, such as "
            '`["10.1.0.0/16", "fd12::/48"]`. Empty: all. Addresses where clouds keep the secrets of machines, such as '
            "169.254.169.254, only if a network within theirs is named."
        ),
    ] = []


class Bulk(_Part):
    """
    Imports, replays and backlogs of bridges, which must not delay live events.

    With a slowdown of 1 bulk takes the time that a collector waits for company of a single event, and no more; the
    slowest events wait longer then, as the mean is what is steered.
    """

    slowdown: Annotated[
        float,
        Field(gt=0, description="Because of bulk, events wait on the log at most so many times as long as without."),
    ] = 1.0
    patience_s: Annotated[
        float,
        Field(gt=0, description="How long bulk waits for a collector that stores nothing before that is a failure."),
    ] = 30.0


class Health(_Part):
    """Live, ready and metrics of a process that is no API."""

    host: Annotated[str, Field(description="Address of the health port.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Health port of this process; 0: none.")] = 0


class Log(_Part):
    """What the processes print."""

    level: Annotated[str, Field(pattern="^(debug|info|warning|error)$", description="Least level that is printed.")] = (
        "info"
    )
    json_lines: Annotated[bool, Field(description="One JSON object a line, for machines.")] = False


class Telemetry(_Part):
    """OpenTelemetry traces (docs/telemetry.md)."""

    endpoint: Annotated[
        str,
        Field(
            pattern=r"^(https?://\S+)?$",
            description="OTLP over HTTP, such as `http://localhost:4318`. Empty: no traces. Takes the extra "
            "`thamesthrive-hub[telemetry]`.",
        ),
    ] = ""
    share: Annotated[
        float,
        Field(ge=0, le=1, description="Of payloads and messages that come without `traceparent`, so many are traced."),
    ] = 0.01
    asked_per_s: Annotated[
        float,
        Field(
            ge=0,
            description="Traces a second and process that senders may ask for by `traceparent`; beyond that the share "
            "counts. 0: it is not looked at.",
        ),
    ] = 100.0
    service: Annotated[
        str, Field(min_length=1, description="`service.name`; the process is appended, as in `thamesthrive-hub-api`.")
    ] = "thamesthrive-hub"


class _Referenced(PydanticBaseSettingsSource):
    """What another source has, `env:NAME` and `file:PATH` read."""

    def __init__(self, settings_cls: type[BaseSettings], inner: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._inner = inner

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._inner.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = everywhere(self._inner(), os.environ)
        return found


class Settings(BaseSettings):
    """All settings; a wrong one stops the process at start with its name."""

    model_config = SettingsConfigDict(
        env_prefix="HUB_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,  # it may be a secret
    )

    namespace: Annotated[
        str,
        Field(
            pattern="^[a-z][a-z0-9-]{0,31}$",
            description="Prefix of topics, groups and indices: one tenant or stage.",
        ),
    ] = "hub"
    data: Annotated[Path, Field(description="Folder of everything that the hub keeps on this machine.")] = Path(
        "hub-data"
    )
    admin_key: Annotated[
        SecretStr | None,
        Field(description="Key of admin calls. Unset: made at first start, kept in the data folder."),
    ] = None
    key: Annotated[
        SecretStr | None,
        Field(description="API key that commands send (docs/security.md). Unset: the admin key."),
    ] = None
    secret_key: Annotated[
        SecretStr | None,
        Field(
            description="What secrets in definitions and keys of records are sealed with, the same in all processes. "
            "Unset: made at first start, kept in the data folder."
        ),
    ] = None
    secret_folder: Annotated[
        Path | None,
        Field(description="Folder of files that secrets in definitions may name, as `file:NAME`. Unset: none."),
    ] = None
    kafka: Kafka = Kafka()
    redis: Redis = Redis()
    store: Store = Store()
    api: Api = Api()
    limits: Limits = Limits()
    collector: Collector = Collector()
    identity: Identity = Identity()
    privacy: Privacy = Privacy()
    geo: Geo = Geo()
    bridges: Bridges = Bridges()
    agents: Agents = Agents()
    segments: Segments = Segments()
    imports: Imports = Imports()
    tasks: Tasks = Tasks()
    flows: Flows = Flows()
    egress: Egress = Egress()
    bulk: Bulk = Bulk()
    health: Health = Health()
    log: Log = Log()
    telemetry: Telemetry = Telemetry()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as pydantic calls it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables, in which `env:NAME` and `file:PATH` stand for what is there."""
        return init_settings, _Referenced(settings_cls, env_settings)

    @property
    def store_url(self) -> str:
        """
        The store's URL for `open_store`, the embedded default filled in; that of a search engine with our namespace and
        the rest of the settings, secrets among them.
        """
        return self.store.located(self.namespace) or f"sqlite:///{(self.data / 'hub.sqlite').absolute()}"
