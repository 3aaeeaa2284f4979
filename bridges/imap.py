"""A mailbox as a source: mails are read in the order of their UIDs, and marked, moved or deleted when they are done."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final, Literal, TypeVar

import structlog
from pydantic import Field, model_validator

from bridges.base import WAIT_S, Batch, Bridge, BridgeSpec, Context, Delivery
from bridges.bell import Bell
from bridges.imap_link import FAILURES, Client, ImapServer, Mailbox, opened, port_error, shut
from bridges.mail import NotMailError, as_json, body_of
from hub.errors import PortError, Refused, Unavailable

T = TypeVar("T")
log: Final = structlog.get_logger()

IDLE_S: Final = 6.0
"""How long one IDLE lasts: its end is a sign of life, so a connection that is cut is noticed soon after."""
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
SMALL_BYTES: Final = ENOUGH_BYTES // MOST_FETCHED
"""Nobody asks for the sizes of smaller mails: they may all be fetched together."""
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

    uid: int = 0

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
    One session, which marks what is done between two looks: a second one would be told of each mark by the server.

    imapclient's calls block, so they have a thread. Nobody blocks while there is nothing to do: the loop waits for the
    server to say something, in IDLE.
    """

    def __init__(self, settings: ImapSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._decode = decoder(settings, context)
        self._session = _Session(settings, context)
        self._mark = f"\\{settings.after}".encode() if settings.after == "seen" else settings.keyword.encode()
        self._waiting: deque[tuple[int, int]] = deque()
        """UIDs of mails that were found and not fetched, with their sizes."""
        self._open: set[int] = set()
        """UIDs of mails that were found and are not acknowledged."""
        self._next_uid = 1
        """Where the next search begins."""
        self._look = True
        """Whether there may be mails that were not found."""
        self._idling = False
        """Whether the server is in IDLE, and takes no command but its end."""
        self._rest_until = 0.0
        """Until then there is nothing to do unless the server says something."""
        self._look_at = 0.0
        self._sweep_at = 0.0
        self._stirred = Bell()
        self._ear: int | None = None
        """The socket whose bytes stir whoever waits."""
        self._waits = False

    async def connect(self) -> None:
        """See Bridge.connect."""
        await self._session.run(self._session.open)
        await self._session.run(self._check)
        self._sweep_at = time.monotonic() + SWEEP_EVERY_S

    async def take(self, limit: int) -> Batch:
        """See Bridge.take."""
        deliveries: list[MailDelivery] = []
        if time.monotonic() >= self._rest_until:
            deliveries = await self._next(limit)
        if not deliveries and await self._heard():
            deliveries = await self._next(limit)
        return Batch(deliveries, [delivery.uid for delivery in deliveries])

    async def ack(self, batch: Batch) -> None:
        """See Bridge.ack. One command for all mails, or two."""
        if not batch.token:
            return
        self._deafen()  # what is said now is the answer
        try:
            await self._session.run(lambda: self._settle(batch.token))
        except BaseException:
            self._stirred.ring()
            raise
        self._open.difference_update(batch.token)
        if self._look or not self._idling:
            self._stirred.ring()
        elif self._waits:
            self._listen()

    async def close(self) -> None:
        """See Bridge.close. Nothing was marked, so nothing has to be given back."""
        self._deafen()
        await self._session.close(self._awake)

    def lag(self) -> int | None:
        """See Bridge.lag: mails that were found and are not taken."""
        return len(self._waiting)

    async def _heard(self) -> bool:
        """Whether the server says something, or it is time to look; WAIT_S at most."""
        if self._look:
            return True
        left = max(0.0, min(self._rest_until, self._sweep_at) - time.monotonic())
        self._stirred.hush()
        self._waits = True
        if self._idling:
            self._listen()
        try:
            return await self._stirred.rings(min(WAIT_S, left)) or left <= WAIT_S
        finally:
            self._waits = False

    async def _next(self, limit: int) -> list[MailDelivery]:
        self._deafen()
        return await self._session.run(lambda: self._take(limit))

    def _listen(self) -> None:
        """Until something comes, or `_deafen`."""
        if self._ear is not None:
            return
        self._ear = self._session.mailbox.client.socket().fileno()
        # only whether there is something: to read it here would lose half of a line that comes in two parts
        asyncio.get_running_loop().add_reader(self._ear, self._stir)

    def _stir(self) -> None:
        self._deafen()  # it would be called again and again until somebody reads
        self._stirred.ring()

    def _deafen(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            asyncio.get_running_loop().remove_reader(ear)

    # on the session's thread

    def _take(self, limit: int) -> list[MailDelivery]:
        self._awake()
        if not self._waiting:
            self._find()
        while self._waiting:
            found = self._fetch(limit)
            if found:
                return found
        self._rest()
        return []

    def _awake(self) -> Client:
        """The session, ready for a command; what the server had to say is heard."""
        client = self._session.mailbox.client
        self._rest_until = 0.0
        if self._idling:
            self._idling = False
            client.idle_done()
        self._hear(client)
        return client

    def _hear(self, client: Client) -> None:
        """Call it after every command: an answer may tell of new mails, and then nothing else does."""
        if client.told_of_mails():
            self._look = True

    def _rest(self) -> None:
        """There is nothing to do: let the server tell when there is, if it can."""
        client = self._session.mailbox.client
        self._rest_until = self._look_at
        if client.has_capability("IDLE"):
            client.idle()
            self._idling = True
            self._rest_until = time.monotonic() + IDLE_S

    def _find(self) -> None:
        """Look for mails unless there can be none."""
        now = time.monotonic()
        mailbox = self._session.mailbox
        if now >= self._sweep_at:
            self._next_uid, self._look = 1, True
        elif now >= self._look_at and not mailbox.client.has_capability("IDLE"):
            self._look = True
        if not self._look:
            return
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_EVERY_S
            self._refuse_another(mailbox)
        while len(self._waiting) < MOST_WAITING:
            end = self._next_uid + WINDOW
            last = end >= mailbox.uidnext
            wanted = ["UID", f"{self._next_uid}:{'*' if last else end - 1}", *self._wanted()]
            uids = mailbox.client.search(wanted)
            # of a range that begins beyond the last mail servers give that mail all the same
            new = sorted(uid for uid in uids if uid >= self._next_uid and uid not in self._open)
            self._note(mailbox.client, new, wanted)
            if last:
                self._next_uid = max([mailbox.uidnext, self._next_uid, *(uid + 1 for uid in uids)])
                self._look = False
                break
            self._next_uid = end
        self._hear(mailbox.client)
        self._look_at = time.monotonic() + self._settings.poll_s

    def _wanted(self) -> list[str]:
        match self._settings.after:
            case "seen":
                return ["UNDELETED", "UNSEEN"]
            case "keyword":
                return ["UNDELETED", "UNKEYWORD", self._settings.keyword]
            case _:
                return ["UNDELETED"]

    def _note(self, client: Client, uids: list[int], wanted: list[str]) -> None:
        if not uids:
            return
        large = sorted({*uids}.intersection(client.search([*wanted, "LARGER", str(SMALL_BYTES)])))
        sizes: dict[int, int] = {}
        for start in range(0, len(large), SIZES):
            answer = client.fetch(large[start : start + SIZES], ["RFC822.SIZE"])
            # one that is gone by now has no size
            sizes |= {uid: found[b"RFC822.SIZE"] for uid, found in answer.items() if b"RFC822.SIZE" in found}
        self._waiting.extend((uid, sizes.get(uid, SMALL_BYTES)) for uid in uids)
        self._open.update(uids)

    def _refuse_another(self, mailbox: Mailbox) -> None:
        """Raises Unavailable: the folder was made again while we looked at the one before."""
        now = mailbox.client.folder_status(self._settings.folder, ["UIDVALIDITY"])[b"UIDVALIDITY"]
        if now != mailbox.uidvalidity:
            raise Unavailable("source", _made_again(self._settings.folder, mailbox.uidvalidity, now))

    def _fetch(self, limit: int) -> list[MailDelivery]:
        mailbox = self._session.mailbox
        uids: list[int] = []
        size = 0
        while self._waiting and len(uids) < min(limit, MOST_FETCHED):
            if uids and size + self._waiting[0][1] > ENOUGH_BYTES:
                break
            uid, bytes = self._waiting.popleft()
            uids.append(uid)
            size += bytes
        answer = mailbox.client.fetch(uids, ["BODY.PEEK[]", "INTERNALDATE"])
        self._hear(mailbox.client)
        found: list[MailDelivery] = []
        for uid in uids:
            body = answer.get(uid, {}).get(b"BODY[]")
            if body is None:
                self._open.discard(uid)  # gone since it was found
                continue
            time_ms = int(answer[uid][b"INTERNALDATE"].timestamp() * 1000)
            position = f"{self._settings.folder}/{mailbox.uidvalidity}/{uid}"
            delivery = MailDelivery(body, position, time_ms, uid=uid)
            self._decode(delivery)
            found.append(delivery)
        return found

    def _check(self) -> None:
        """Whether mails can be settled as the settings say. Raises Refused."""
        settings, mailbox = self._settings, self._session.mailbox
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
        idling = self._idling
        client = self._awake()
        self._mark_done(client, uids)
        self._hear(client)
        if idling and not self._look:
            self._rest()

    def _mark_done(self, client: Client, uids: list[int]) -> None:
        settings = self._settings
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

    def __init__(self, settings: ImapSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"imap-{context.bridge}")
        self._client: Client | None = None
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
        self._mailbox = opened(self._settings, self._context, keep=self._keep)
        log.info(
            "bridge.mailbox",
            bridge=self._context.bridge,
            folder=self._settings.folder,
            uidvalidity=self.mailbox.uidvalidity,
        )

    async def close(self, awake: Callable[[], object]) -> None:
        """Raises nothing; does not wait for a server that is silent. Args: awake: makes it take commands."""
        if self._mailbox is not None:
            leaving = asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._leave(awake))
            await asyncio.wait({leaving}, timeout=CLOSE_S)
        if self._client is not None:
            shut(self._client)  # whatever its thread waits for ends with that
        self._mailbox = self._client = None
        self._thread.shutdown(wait=False)

    def _keep(self, client: Client) -> None:
        self._client = client

    def _leave(self, awake: Callable[[], object]) -> None:
        client = self._client
        if client is not None:
            with contextlib.suppress(*FAILURES, PortError, AttributeError):
                awake()
                client.logout()


def _made_again(folder: str, before: int, now: int) -> str:
    return (
        f"the folder {folder} was made again (its UIDVALIDITY was {before}, and is {now}): it is read from "
        "its beginning, all that bears no mark"
    )


SPEC: Final = BridgeSpec("imap", "Read the mails of a folder.", ImapSettings, ImapBridge, decoder=decoder)
