"""A mailbox as a source: mails are read in the order of their UIDs, and marked, moved or deleted when they are done."""

from __future__ import annotations

import asyncio
import contextlib
import select
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final, Literal, TypeVar

import structlog
from imapclient import IMAPClient
from pydantic import Field, model_validator

from bridges.base import Batch, Bridge, BridgeSpec, Context, Delivery
from bridges.imap_link import FAILURES, ImapServer, Mailbox, opened, port_error, shut
from bridges.mail import NotMailError, as_json, body_of
from hub.errors import Refused, Unavailable

T = TypeVar("T")
log: Final = structlog.get_logger()

WAIT_S: Final = 0.5
"""How long `take` waits for a first mail."""
IDLE_S: Final = 6.0
"""How long one IDLE lasts: its end is a sign of life, so a connection that is cut is noticed soon after."""
NOOP_EVERY_S: Final = 60.0
"""How often the other session says something: servers end one that says nothing for half an hour."""
SWEEP_EVERY_S: Final = 60.0
"""How often old mails are looked through again: somebody may have taken a mark off."""
CLOSE_S: Final = 1.0
WINDOW: Final = 50_000
"""UIDs that one search is about: its answer is a line, and imaplib takes none of more than a million bytes."""
MOST_WAITING: Final = 20_000
"""So many found mails are remembered; more are looked for when these have been taken."""
MOST_FETCHED: Final = 200
ENOUGH_BYTES: Final = 16_777_216
"""Mails are fetched together up to this size; a larger one comes alone."""
SIZES: Final = 500


class ImapSettings(ImapServer, frozen=True, extra="forbid"):
    """Settings of a bridge of type `imap`."""

    after: Annotated[
        Literal["seen", "keyword", "move", "delete"],
        Field(description="What becomes of a mail that our Kafka has. Mails that bear that mark are not taken."),
    ] = "seen"
    keyword: Annotated[str, Field(pattern=r"^[A-Za-z0-9$_.-]+$", description="Of `keyword`: the flag that is set.")] = (
        "HubTaken"
    )
    move_to: Annotated[str, Field(description="Of `move`: the folder, which has to be there.")] = ""
    content: Annotated[
        Literal["mail", "body"],
        Field(description="mail: JSON made of the whole mail. body: the mail's first part is the message itself."),
    ] = "mail"
    attachment_bytes: Annotated[
        int, Field(ge=0, le=33_554_432, description="Attachments up to this size come with their content, as base64.")
    ] = 65_536
    poll_s: Annotated[
        float, Field(ge=0.5, le=600, description="How often to look when the server cannot tell (no IDLE).")
    ] = 10.0

    @model_validator(mode="after")
    def _fits_after(self) -> ImapSettings:
        if (self.after == "move") != bool(self.move_to):
            raise ValueError('move_to goes with after: "move": set both, or neither')
        if self.move_to == self.folder:
            raise ValueError("move_to is the folder that is read: name another one")
        return self


class MailDelivery(Delivery):
    """A mail: `body` is as it lies on the server, `json` what a mapping sees."""

    def meta(self) -> dict[str, Any]:
        """Besides what every delivery has: folder, uidvalidity, uid."""
        folder, uidvalidity, uid = self.position.rsplit("/", 2)
        return {**super().meta(), "folder": folder, "uidvalidity": int(uidvalidity), "uid": int(uid)}


def decoder(settings: ImapSettings, _: Context) -> Callable[[Delivery], None]:
    """What fills `json` of a mail."""

    def decode(delivery: Delivery) -> None:
        try:
            if settings.content == "body":
                delivery.json = body_of(delivery.body)
            else:
                delivery.json = as_json(delivery.body, settings.attachment_bytes)
        except NotMailError as exc:
            delivery.fault = str(exc)

    return decode


class ImapBridge(Bridge):
    """
    Two sessions: one looks for mails and fetches them, changing nothing; the other marks what is done.

    imapclient's calls block, so each session has a thread of its own.
    """

    def __init__(self, settings: ImapSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._decode = decoder(settings, context)
        self._reader = _Session(settings, context, readonly=True)
        self._settler = _Session(settings, context, readonly=False)
        self._mark = f"\\{settings.after}".encode() if settings.after == "seen" else settings.keyword.encode()
        self._waiting: deque[tuple[int, int]] = deque()
        """UIDs of mails that were found and not fetched, with their sizes."""
        self._open: set[int] = set()
        """UIDs of mails that were found and are not acknowledged."""
        self._next_uid = 1
        """Where the next search begins."""
        self._look = True
        """Whether there may be mails that were not found."""
        self._idle_until = 0.0
        """When an IDLE is under way: when it is to end."""
        self._look_at = 0.0
        self._sweep_at = 0.0
        self._noop_at = 0.0

    async def connect(self) -> None:
        """See Bridge.connect."""
        await self._reader.run(self._reader.open)
        await self._settler.run(self._settler.open)
        await self._settler.run(self._check)
        self._sweep_at = time.monotonic() + SWEEP_EVERY_S
        self._noop_at = time.monotonic() + NOOP_EVERY_S

    async def take(self, limit: int) -> Batch:
        """See Bridge.take."""
        if time.monotonic() >= self._noop_at:
            self._noop_at = time.monotonic() + NOOP_EVERY_S
            await self._settler.run(self._settler.mailbox.client.noop)
        deliveries = await self._reader.run(lambda: self._take(limit))
        return Batch(deliveries, [delivery.meta()["uid"] for delivery in deliveries])

    async def ack(self, batch: Batch) -> None:
        """See Bridge.ack. One command for all mails, or two."""
        if batch.token:
            await self._settler.run(lambda: self._settle(batch.token))
            self._open.difference_update(batch.token)

    async def close(self) -> None:
        """See Bridge.close. Nothing was marked, so nothing has to be given back."""
        await asyncio.gather(self._reader.close(), self._settler.close())

    def lag(self) -> int | None:
        """See Bridge.lag: mails that were found and are not taken."""
        return len(self._waiting)

    # on the reader's thread

    def _take(self, limit: int) -> list[MailDelivery]:
        if not self._waiting:
            self._find()
        if not self._waiting and self._wait():
            self._find()
        while self._waiting:
            found = self._fetch(limit)
            if found:
                return found
        return []

    def _find(self) -> None:
        """Look for mails unless there can be none."""
        now = time.monotonic()
        if now >= self._sweep_at:
            self._next_uid, self._look = 1, True
        if not self._look:
            return
        self._end_idle()
        mailbox = self._reader.mailbox
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_EVERY_S
            self._refuse_another(mailbox)
        wanted = self._wanted()
        while len(self._waiting) < MOST_WAITING:
            end = self._next_uid + WINDOW
            last = end >= mailbox.uidnext
            uids = mailbox.client.search(["UID", f"{self._next_uid}:{'*' if last else end - 1}", *wanted])
            # of a range that begins beyond the last mail servers give that mail all the same
            new = sorted(uid for uid in uids if uid >= self._next_uid and uid not in self._open)
            self._note(mailbox.client, new)
            if last:
                self._next_uid = max([mailbox.uidnext, self._next_uid, *(uid + 1 for uid in uids)])
                self._look = False
                break
            self._next_uid = end
        self._look_at = time.monotonic() + self._settings.poll_s

    def _wanted(self) -> list[str]:
        match self._settings.after:
            case "seen":
                return ["UNDELETED", "UNSEEN"]
            case "keyword":
                return ["UNDELETED", "UNKEYWORD", self._settings.keyword]
            case _:
                return ["UNDELETED"]

    def _note(self, client: IMAPClient, uids: list[int]) -> None:
        for start in range(0, len(uids), SIZES):
            some = uids[start : start + SIZES]
            answer = client.fetch(some, ["RFC822.SIZE"])
            # one that is gone by now has no size
            found = [(uid, answer[uid][b"RFC822.SIZE"]) for uid in some if b"RFC822.SIZE" in answer.get(uid, ())]
            self._waiting.extend(found)
            self._open.update(uid for uid, _ in found)

    def _refuse_another(self, mailbox: Mailbox) -> None:
        """Raises Unavailable: the folder was made again while we looked at the one before."""
        now = mailbox.client.folder_status(self._settings.folder, ["UIDVALIDITY"])[b"UIDVALIDITY"]
        if now != mailbox.uidvalidity:
            raise Unavailable("source", _made_again(self._settings.folder, mailbox.uidvalidity, now))

    def _wait(self) -> bool:
        """Whether it is time to look for mails; half a second at most."""
        client = self._reader.mailbox.client
        if not client.has_capability("IDLE"):
            left = self._look_at - time.monotonic()
            time.sleep(min(WAIT_S, max(0.0, left)))
            self._look = self._look or left <= WAIT_S
            return self._look
        now = time.monotonic()
        if self._idle_until and now >= self._idle_until:
            self._end_idle()
            if self._look:
                return True
        if not self._idle_until:
            client.idle()
            self._idle_until = now + IDLE_S
        # only whether there is something: idle_check would read, and lose half of a line that comes in two parts
        poll = select.poll()
        poll.register(client.socket().fileno(), select.POLLIN)
        if poll.poll(WAIT_S * 1000):
            self._end_idle()
        return self._look

    def _end_idle(self) -> None:
        """Hear what the server had to say."""
        if not self._idle_until:
            return
        self._idle_until = 0.0
        _, said = self._reader.mailbox.client.idle_done()
        for each in said:
            if b"EXISTS" in each or b"RECENT" in each:
                self._look = True

    def _fetch(self, limit: int) -> list[MailDelivery]:
        self._end_idle()
        mailbox = self._reader.mailbox
        uids: list[int] = []
        size = 0
        while self._waiting and len(uids) < min(limit, MOST_FETCHED):
            if uids and size + self._waiting[0][1] > ENOUGH_BYTES:
                break
            uid, bytes = self._waiting.popleft()
            uids.append(uid)
            size += bytes
        answer = mailbox.client.fetch(uids, ["BODY.PEEK[]", "INTERNALDATE"])
        found: list[MailDelivery] = []
        for uid in uids:
            body = answer.get(uid, {}).get(b"BODY[]")
            if body is None:
                self._open.discard(uid)  # gone since it was found
                continue
            time_ms = int(answer[uid][b"INTERNALDATE"].timestamp() * 1000)
            position = f"{self._settings.folder}/{mailbox.uidvalidity}/{uid}"
            delivery = MailDelivery(body, position, time_ms)
            self._decode(delivery)
            found.append(delivery)
        return found

    # on the settler's thread

    def _check(self) -> None:
        """Whether mails can be settled as the settings say. Raises Refused."""
        settings, mailbox = self._settings, self._settler.mailbox
        if mailbox.uidvalidity != self._reader.mailbox.uidvalidity:
            words = _made_again(settings.folder, self._reader.mailbox.uidvalidity, mailbox.uidvalidity)
            raise Unavailable("source", words)
        if settings.after == "move" and not mailbox.client.folder_exists(settings.move_to):
            raise Refused("source", f"there is no folder {settings.move_to}: make it, or correct settings.move_to")
        flag = {"seen": b"\\seen", "keyword": self._mark.lower()}.get(settings.after, b"\\deleted")
        settable = mailbox.lasting_flags
        if settable and flag not in settable and not (b"\\*" in settable and settings.after == "keyword"):
            raise Refused(
                "source",
                f"{settings.address} keeps no flag {flag.decode()} in {settings.folder}: give {settings.username} the "
                "right to write there, or choose another settings.after",
            )

    def _settle(self, uids: list[int]) -> None:
        settings, client = self._settings, self._settler.mailbox.client
        # a session knows only the mails that it has been told of, and commands about others are OK and do nothing
        client.noop()
        if settings.after in ("seen", "keyword"):
            client.add_flags(uids, [self._mark], silent=True)
            return
        if settings.after == "move":
            if client.has_capability("MOVE"):
                client.move(uids, settings.move_to)
                return
            client.copy(uids, settings.move_to)
        client.add_flags(uids, [b"\\Deleted"], silent=True)
        if client.has_capability("UIDPLUS"):
            client.uid_expunge(uids)
        # else they stay marked as deleted: a plain EXPUNGE would take mails that others have marked


class _Session:
    """A connection and its thread."""

    def __init__(self, settings: ImapSettings, context: Context, *, readonly: bool) -> None:
        self._settings = settings
        self._context = context
        self._readonly = readonly
        name = "read" if readonly else "settle"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"imap-{name}-{context.bridge}")
        self._client: IMAPClient | None = None
        self._mailbox: Mailbox | None = None

    @property
    def mailbox(self) -> Mailbox:
        """Raises Unavailable: it is closed."""
        if self._mailbox is None:
            raise Unavailable("source", "the bridge is closed")
        return self._mailbox

    async def run(self, call: Callable[[], T]) -> T:
        """On its thread. Raises Unavailable, Refused."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except FAILURES as exc:
            raise port_error(exc, self._settings) from exc
        except RuntimeError as exc:  # its thread has ended
            raise Unavailable("source", "the bridge is closed") from exc

    def open(self) -> None:
        """Blocks. Raises Unavailable, Refused."""
        self._mailbox = opened(self._settings, self._context, readonly=self._readonly, keep=self._keep)
        log.info(
            "bridge.mailbox",
            bridge=self._context.bridge,
            folder=self._settings.folder,
            uidvalidity=self.mailbox.uidvalidity,
        )

    async def close(self) -> None:
        """Raises nothing; does not wait for a server that is silent."""
        if self._mailbox is not None:
            leaving = asyncio.get_running_loop().run_in_executor(self._thread, self._leave)
            await asyncio.wait({leaving}, timeout=CLOSE_S)
        if self._client is not None:
            shut(self._client)  # whatever its thread waits for ends with that
        self._mailbox = self._client = None
        self._thread.shutdown(wait=False)

    def _keep(self, client: IMAPClient) -> None:
        self._client = client

    def _leave(self) -> None:
        client = self._client
        if client is not None:
            with contextlib.suppress(*FAILURES, AttributeError):
                client.logout()


def _made_again(folder: str, before: int, now: int) -> str:
    return (
        f"the folder {folder} was made again (its UIDVALIDITY was {before}, and is {now}): it is read from "
        "its beginning, all that bears no mark"
    )


SPEC: Final = BridgeSpec(
    "imap", "Read the mails of a folder.", ImapSettings, ImapBridge, decoder=decoder
)
