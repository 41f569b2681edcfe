"""People who post and read over the public verbs, and note in an `Audit` what they did and saw.

Every post of one conversation has a text of its own: that is the name under which the audit knows it.

Left out: pace and choice (a test's own), faults (`faulty`), and clients over a network (`hubbub.client`).
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from ..engine import (
    Ack,
    Author,
    Conversation,
    Draft,
    EngineBroken,
    EngineClosed,
    EngineError,
    Event,
    OutcomeUnknown,
    Retry,
    Store,
)
from ..engine.core.ids import conversation_id
from .audit import Audit

_PAGE_ITEMS = 500
_PAGE_BYTES = 1 << 20


def name_of(event: Event) -> str:
    """What the audit calls a durable event: a message's text; a change of the conversation by its type and offset."""
    return f"{event.type} at {event.offset}" if event.message is None else event.message.text


class Poster:
    """Posts, and tries again as the errors tell, under one idempotency key for each text.

    Args:
        audit: where tries, acks and refusals are noted.
        author: who posts; two posters of one conversation need two.
        tries: how often one post is tried at most.
        retry_s: pause between two tries, seconds.
        timeout_s: deadline of one try, seconds; the engine's own when left out.
    """

    def __init__(
        self,
        audit: Audit,
        author: Author | str = "poster",
        *,
        tries: int = 10,
        retry_s: float = 0.1,
        timeout_s: float | None = None,
    ) -> None:
        self._audit = audit
        self._author = author
        self._tries = tries
        self._retry_s = retry_s
        self._timeout_s = timeout_s
        self._keys: dict[tuple[str, str], str] = {}

    async def post(self, conversation: Conversation, text: str) -> Ack | None:
        """Post a text until it is acknowledged. Calling it again with the same text is a retry of the same post.

        Returns:
            The ack, or None when the last try failed, or an error said that trying again is of no use.

        Cancellation leaves the post open, for the audit too.
        """
        draft = Draft(text, author=self._author, idempotency_key=self._key(conversation.id, text))
        for number in range(self._tries):
            if number:
                await trio.sleep(self._retry_s)
            self._audit.tried(conversation.id, text)
            try:
                ack = await conversation.post(draft, timeout_s=self._timeout_s)
            except EngineError as error:
                if not isinstance(error, OutcomeUnknown | EngineBroken):  # all others say that nothing was stored
                    self._audit.refused(conversation.id, text, error.code)
                if error.retry not in (Retry.SAME, Retry.AFTER):
                    return None
            else:
                self._audit.acked(conversation.id, text, ack.cursor.offset, ack.message.id)
                return ack
        return None

    def _key(self, conversation: str, text: str) -> str:
        return self._keys.setdefault((conversation, text), f"post-{len(self._keys) + 1}")


class Reader:
    """Follows a conversation, notes what it sees, and goes on from its cursor after an error.

    Args:
        audit: where it is noted.
        name: unique among the readers of a conversation.
        since: the offset it begins after.
        retry_s: pause before it subscribes again, seconds.
        name_of: what the audit calls an event.

    Attributes:
        cursor: offset of the last event that it saw.
        errors: codes of the errors that interrupted it, the last 100.
    """

    def __init__(
        self,
        audit: Audit,
        name: str = "reader",
        *,
        since: int = 0,
        retry_s: float = 0.1,
        name_of: Callable[[Event], str] = name_of,
    ) -> None:
        self._audit = audit
        self._name = name
        self._retry_s = retry_s
        self._name_of = name_of
        self._conversation: str | None = None
        self._scope: trio.CancelScope | None = None
        self._stopped = False
        self.cursor = since
        self.errors: list[str] = []

    async def run(
        self, conversation: Conversation, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Read until `stop`, until the engine closes, or until cancelled. A reader reads one conversation at a time.

        Running it again, with the same conversation of the next engine too, goes on from the cursor. A reader that is not
        stopped owes the audit the whole log.

        Args:
            task_status: for ``nursery.start``: tells when the first subscription stands.

        Raises:
            EngineError: one after which reading on is of no use (NotFound, RecoveryFailed).
        """
        if self._stopped:
            task_status.started()
            return
        if self._conversation is None:
            self._audit.reads(self._name, conversation.id, self.cursor)
        self._conversation = conversation.id
        with trio.CancelScope() as self._scope:
            while not self._stopped:
                try:
                    await self._follow(conversation, task_status)
                except EngineClosed:
                    return
                except EngineError as error:
                    self.errors = [*self.errors[-99:], error.code]
                    if error.retry not in (Retry.SAME, Retry.AFTER) and error.code != "slow":
                        raise
                task_status = trio.TASK_STATUS_IGNORED
                await trio.sleep(self._retry_s)

    async def _follow(self, conversation: Conversation, task_status: trio.TaskStatus[None]) -> None:
        async with conversation.subscribe(since=self.cursor, name=self._name) as events:
            task_status.started()
            async for event in events:
                if event.offset is not None:
                    self._audit.seen(self._name, conversation.id, event.offset, self._name_of(event))
                    self.cursor = event.offset

    def stop(self) -> None:
        """Leave for good: it need not see the rest. Idempotent."""
        self._stopped = True
        if self._conversation is not None:
            self._audit.leaves(self._name, self._conversation)
        if self._scope is not None:
            self._scope.cancel()

    async def wait_offset(self, offset: int, *, within_s: float = 60.0) -> None:
        """Wait until it has seen the event with this offset.

        Raises:
            trio.TooSlowError: it did not in time.
        """
        with trio.fail_after(within_s):
            while self.cursor < offset:  # noqa: ASYNC110  it reads in another task, and tells nobody
                await trio.sleep(0.02)


async def note_log(audit: Audit, store: Store, conversation: str, *, name_of: Callable[[Event], str] = name_of) -> int:
    """Read a conversation's whole log from the store and note it, for `Audit.finish` to compare with. Returns its head.

    Changes of the conversation itself are noted as posted: the audit has no other way to know who made them.

    Raises:
        StoreUnavailable: the store cannot be read; nothing was noted.
    """
    name = conversation_id(conversation)
    log: list[Event] = []
    while page := await store.events(name, after=len(log), limit=_PAGE_ITEMS, max_bytes=_PAGE_BYTES):
        log.extend(page)
    stored: list[tuple[int, str, str]] = []
    for event in log:
        if event.message is None:
            audit.tried(name, name_of(event))
        stored.append((event.offset or 0, "" if event.message is None else event.message.id, name_of(event)))
    audit.stored(name, stored)
    return len(log)
