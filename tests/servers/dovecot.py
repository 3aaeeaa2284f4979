"""Dovecot's IMAP with all its files in one folder: a port without TLS (and with STARTTLS), and one with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hub.stack import ports as tcp
from hub.stack.process import Program
from tests.servers import tls, unprivileged
from tests.servers.kinds import Image, found

HOST: Final = "127.0.0.1"
PASSWORD: Final = "correct-horse"
# every name is a user's; nothing has to outlive the machine; one process each, which serves many users in turn
CONF: Final = """
protocols = imap
base_dir = {home}/run
state_dir = {home}/state
log_path = /dev/stderr
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
first_valid_uid = 1
first_valid_gid = 1
listen = 127.0.0.1
ssl = yes
ssl_cert = <{home}/tls/server.pem
ssl_key = <{home}/tls/server.key
disable_plaintext_auth = no
mail_location = mdbox:~/mail
mail_fsync = never
mail_max_userip_connections = 1000
mail_privileged_group =
imap_max_line_length = 64k
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={home}/mail/%u
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
"""


class Dovecot:
    """See Server."""

    package = "dovecot-imapd"
    ports = ("imap", "imaps")
    image: Image | None = None

    def __init__(self, name: str = "dovecot", more: str = "") -> None:
        """Args: more: settings besides ours."""
        self.name = name
        self._more = more

    def binary(self) -> Path | None:
        return found("dovecot")

    def program(self, home: Path, ports: Mapping[str, int]) -> Program:
        return Program(
            name="dovecot",
            argv=unprivileged.argv(str(self.binary()), "-F", "-c", str(home / "dovecot.conf")),
            env={"LANG": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/bin"},
            port=ports["imap"],
            prepare=lambda: prepare(home, ports, self._more),
            ready=lambda: all(tcp.answers(port, HOST) for port in ports.values()),
        )

    def url(self, ports: Mapping[str, int]) -> str:
        return f"imap://{HOST}:{ports['imap']}"

    def image_url(self, host: str, port: int) -> str:
        return f"imap://{host}:{port}"


def prepare(home: Path, ports: Mapping[str, int], more: str) -> None:
    """Its configuration."""
    tls.make(home / "tls")
    for name in ("run", "state", "mail"):
        (home / name).mkdir(exist_ok=True)
    # a socket's path is short: that of the tests' folder may not be
    conf = CONF.format(home=home, user=unprivileged.user(), group=unprivileged.group(), password=PASSWORD, **ports)
    (home / "dovecot.conf").write_text(conf + more)
    unprivileged.give(home)


SERVER = Dovecot()
