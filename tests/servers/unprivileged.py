"""For servers that refuse to run as root: as another user, who may still go into the folders of the tests."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from pathlib import Path
from typing import Final

USER: Final = "nobody"


def argv(*command: str) -> tuple[str, ...]:
    """What runs `command` as somebody who is not root; an absolute path first."""
    if os.geteuid() != 0:
        return command
    who = pwd.getpwnam(USER)
    # pytest's folders are closed to others: the capability opens them
    capability = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return (
        str(shutil.which("setpriv")),
        f"--reuid={who.pw_uid}",
        f"--regid={who.pw_gid}",
        "--clear-groups",
        *capability,
        *command,
    )


def user() -> str:
    """The name of whoever that is."""
    return USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def group() -> str:
    """The name of that user's group."""
    return grp.getgrgid(pwd.getpwnam(user()).pw_gid).gr_name


def give(folder: Path) -> None:
    """The folder and all that is in it to that user."""
    if os.geteuid() != 0:
        return
    who = pwd.getpwnam(USER)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, who.pw_uid, who.pw_gid)
