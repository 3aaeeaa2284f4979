"""Settings that say where a service of AWS, or of a server like it, is and who we are there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from hub.definitions.secrets import SecretRef
from hub.errors import Refused


class AwsServer(BaseModel, frozen=True, extra="forbid"):
    """Without any of them: AWS, as boto's default chain finds it."""

    region: Annotated[str, Field(description="Such as eu-west-2. Empty: that of AWS's default chain.")] = ""
    endpoint_url: Annotated[
        str, Field(pattern="^(https?://.+)?$", description="Of a server other than AWS. Empty: AWS.")
    ] = ""
    access_key_id: Annotated[
        str, Field(description="Empty: AWS's default chain (variables, profile, role of the machine).")
    ] = ""
    secret_access_key: Annotated[SecretRef, Field(description="Of access_key_id. A secret.")] = ""
    session_token: Annotated[SecretRef, Field(description="Of temporary credentials. A secret.")] = ""
    ca_file: Annotated[str, Field(description="TLS: the authority to trust, a PEM file. Empty: the usual ones.")] = ""

    @model_validator(mode="after")
    def _both_halves(self) -> Self:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("access_key_id and secret_access_key go together: set both, or neither")
        return self


def check_ca_file(settings: AwsServer, port: str) -> None:
    """botocore only says that there is no such file, not which. Args: port: `source` or `target`. Raises Refused."""
    if settings.ca_file and not Path(settings.ca_file).is_file():
        raise Refused(port, f"settings.ca_file: there is no file {settings.ca_file} on the machine of the bridge")
