"""What a takeover is told: where the predecessor's documents are, which of them, and how they come in. No secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field

from hub.definitions.secrets import SecretRef, resolve
from hub.errors import Refused
from hub.imports.elastic import Cluster
from hub.imports.rows import unreadable

MEND: Final = "start `hub migrate`, or `hub worker migration:worker`, with it"
SCHEME: Final = "elasticsearch+"
Stage: TypeAlias = Literal["", "production", "staging"]


_LOCATION: Final = re.compile(r"elasticsearch\+https?://[^/@\s]+/?")


def _located(text: str) -> str:
    if _LOCATION.fullmatch(text) is None:
        raise ValueError(
            "write the cluster as elasticsearch+https://host:9200 (or +http), without a path, a user or a password"
        )
    return text


class TakeoverSpec(BaseModel, frozen=True, extra="forbid"):
    """A takeover of documents. The same one given again brings nothing twice."""

    location: Annotated[
        str,
        AfterValidator(_located),
        Field(description="elasticsearch+https://host:9200. No password."),
    ]
    username: Annotated[str, Field(description="Of the cluster. Empty: it asks for none.")] = ""
    password: Annotated[SecretRef, Field(description="Of that user: env:NAME.")] = ""
    ca_file: Annotated[str, Field(description="The authority to trust, a PEM file.")] = ""
    version: Annotated[
        str, Field(max_length=40, description="Of the installation, such as 0.8.2 or 082x, if there are several.")
    ] = ""
    tenant: Annotated[str, Field(max_length=100, description="Of the installation, if there are several.")] = ""
    stage: Annotated[Stage, Field(description="Of the installation: production or staging, if there are both.")] = ""
    only: Annotated[
        list[Literal["events", "sessions", "profiles"]], Field(description="Only these. Empty: all three.")
    ] = []
    apply_events: Annotated[
        bool,
        Field(
            description="Whether mappings are applied to events, and visits counted. Then counters of profiles are "
            "not taken over, as they come from the events."
        ),
    ] = False
    dry_run: Annotated[bool, Field(description="Only say what would become of everything.")] = False
    priority: Annotated[
        Literal["normal", "live"],
        Field(description="normal: it gives way to live events. live: it takes what it can get."),
    ] = "normal"

    @property
    def production(self) -> bool | None:
        """None: whichever there is."""
        return None if not self.stage else self.stage == "production"

    def wants(self, kind: str) -> bool:
        """Whether documents of a kind, such as `event`, are to be taken over."""
        return not self.only or f"{kind}s" in self.only


def cluster_of(spec: TakeoverSpec, environ: Mapping[str, str]) -> Cluster:
    """Where it is. Raises Refused: the password is not there."""
    parts = urlsplit(spec.location.removeprefix(SCHEME))
    try:
        password = resolve(spec.password, environ, MEND)
    except Refused as exc:
        raise unreadable(exc.detail) from exc
    return Cluster(
        url=f"{parts.scheme}://{parts.netloc}",
        name="the indices of the predecessor",
        username=spec.username,
        password=password,
        ca_file=spec.ca_file,
    )
