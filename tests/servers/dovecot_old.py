"""An IMAP server without IDLE, MOVE and UIDPLUS, as old ones are."""

from __future__ import annotations

from typing import Final

from tests.servers.dovecot import Dovecot

CAPABILITIES: Final = """
imap_capability = IMAP4rev1 LITERAL+ MULTIAPPEND STARTTLS
"""

SERVER = Dovecot("dovecot_old", CAPABILITIES)
