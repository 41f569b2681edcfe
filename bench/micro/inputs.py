"""What the benchmarks work on: messages as people write them, and stand-ins for what surrounds a machine.

The stand-ins answer at once and keep nothing, so that the machine under test is all that is measured.
"""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from ...engine import Engine
from ...engine.core.authors import Author
from ...engine.core.batch import Row
from ...engine.core.buckets import SECOND_NS
from ...engine.core.commands import Command, Join, Submit, digest_of
from ...engine.core.compose import Stamp
from ...engine.core.cursor import Cursor
from ...engine.core.ids import ConversationId, uuid7
from ...engine.core.kinds import EventType, Visibility
from ...engine.core.messages import Ack, Event, Message, Record
from ...engine.core.outcomes import message_of
from ...engine.core.principals import Principal
from ...engine.core.recovery import decide
from ...engine.core.session import SessionSettings
from ...engine.core.subscriber import Joined, Subscriber
from ...engine.core.tail import Tail
from ...transport.admission import Admission
from ...transport.api import Api
from ...transport.auth import Authenticator, Credential
from ...transport.endpoints import ROUTES
from ...transport.identity.accounts import Accounts
from ...transport.identity.watchers import Watcher
from ...transport.live import GUESTS_WELCOME, Live
from ...transport.oidc_login import OidcLogin
from ...transport.ports import Machine
from .. import wire

NOW_MS: Final = 1_795_000_000_123
EPOCH: Final = "9f86d081"
ROOM: Final = ConversationId("team:release-42")
ADA: Final = Author("019aa5f4-7c1e-7b3a-9d2e-3f1c5a7b9d11", "Ada Lovelace")
PRINCIPAL: Final = Principal(ADA)
TEXT: Final = (
    "The rollout to the second region is done; error rates look the same as before. "
    "Could somebody check the dashboards?"
)
TOKEN: Final = "hbg_" + "k" * 43
MASK: Final = b"\x37\xfa\x21\x3d"
RECORD: Final = Record(ROOM, "Release 42", Visibility.PUBLIC, ADA.id, EPOCH, 0, NOW_MS)


def message_id(number: int) -> str:
    """A message id, different for each number."""
    return uuid7(NOW_MS + number, number * 0x9E37_79B9_7F4A_7C15)


def message_event(offset: int, **more: Any) -> Event:
    """The event of a posted message; `more` goes to the message."""
    fields = {"text": TEXT} | more
    message = Message(message_id(offset), ROOM, offset, ADA, created_at_ms=NOW_MS, **fields)
    return Event(EventType.MESSAGE_CREATED, ROOM, offset, NOW_MS, ADA, message=message)


def filled_tail(events: int, max_items: int = 4096) -> Tail:
    """A tail that holds so many events, from offset 1 (fewer when they are more than it may hold)."""
    tail = Tail(0, max_items=max_items, max_bytes=1 << 40)
    for offset in range(1, events + 1):
        tail.append(message_event(offset))
    return tail


def row(number: int, key: str | None = None) -> Row:
    """A row to be stored."""
    digest = digest_of(TEXT, None, None) if key else b""
    return Row(
        conversation=ROOM,
        type=EventType.MESSAGE_CREATED,
        id=message_id(number),
        actor=ADA,
        at_ms=NOW_MS,
        text=TEXT,
        key=key,
        digest=digest,
    )


def ack_of(stored: Row, offset: int) -> Ack:
    """The ack of a row that was stored there."""
    return Ack(message_of(stored, offset), Cursor(EPOCH, offset))


def ignore(_: object) -> None:
    """A reply that nobody reads."""


def run_now(work: Coroutine[Any, Any, None]) -> None:
    """Carry out a coroutine that has nothing to wait for, without an event loop.

    Raises:
        RuntimeError: it waited all the same.
    """
    try:
        work.send(None)
    except StopIteration:
        return
    raise RuntimeError("the coroutine waits: it needs an event loop")


def client_frame(document: dict[str, object]) -> bytes:
    """A command in a client's frame."""
    return wire.frame(json.dumps(document, separators=(",", ":")).encode(), MASK)


class NullOutlet:
    """Takes everything, or refuses everything."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes

    def push(self, data: bytes) -> bool:
        """Say whether it was taken."""
        return self.takes

    def fell_behind(self, subscriber: Subscriber) -> None:
        """Nothing to do: the benchmark resumes it."""

    def cut_off(self, subscriber: Subscriber, code: str) -> None:
        """Nothing to do."""


class NullConnection:
    """A connection of the table, without a socket: everything is taken and forgotten."""

    machine: Machine
    blocked = False
    peer = ("127.0.0.1", 50_000)

    def push(self, data: bytes) -> bool:
        """Take all."""
        return True

    def write(self, data: bytes) -> None:
        """Take all."""

    def close(self) -> None:
        """Nothing to close."""

    def abort(self) -> None:
        """Nothing to close."""

    def pause(self) -> None:
        """Nothing is read."""

    def resume(self) -> None:
        """Nothing is read."""

    def again(self) -> None:
        """The benchmark calls the machine itself."""

    def set_deadline(self, delay_s: float | None) -> None:
        """Time stands still."""

    def release(self) -> socket.socket:
        """There is none."""
        raise NotImplementedError


class AnsweringEngine:
    """Answers at once, as a conversation with 100 events in its tail would."""

    draining = False

    def __init__(self) -> None:
        self.session_settings = SessionSettings()
        self._tail = filled_tail(100)
        self._ids = 0

    def now_ms(self) -> int:
        """The wall clock, which stands still."""
        return NOW_MS

    def fresh_id(self) -> str:
        """An id."""
        self._ids += 1
        return message_id(self._ids)

    def stamp(self, timeout_s: float | None = None, request_id: str | None = None) -> Stamp:
        """Id, time and deadline of a post."""
        return Stamp(id=self.fresh_id(), at_ms=NOW_MS, deadline=1e9, request_id=request_id)

    def send(self, conversation: ConversationId, command: Command) -> None:
        """Answer a post or a join."""
        match command:
            case Submit():
                command.answer(ack_of(command.row, 101))
            case Join():
                self._join(command)
            case _:
                raise NotImplementedError(type(command).__name__)

    def _join(self, command: Join) -> None:
        tail, subscriber = self._tail, command.subscriber
        decision = decide(command.since, epoch=EPOCH, oldest=0, floor=tail.floor, head=tail.head)
        upto = tail.reach(decision.offset, command.page_bytes)
        subscriber.cursor = upto
        command.answer(Joined(RECORD, decision, tail.page(decision.offset, upto), upto))


class KnowingAuthenticator:
    """Knows everybody as Ada."""

    def check(self, token: str, done: Callable[[Credential], None]) -> None:
        """Answer at once."""
        done(Credential(PRINCIPAL, NOW_MS * 2))

    def watch(self, watcher: Watcher) -> None:
        """Nothing is ever revoked."""

    def unwatch(self, watcher: Watcher) -> None:
        """Nobody was watching."""


def api() -> Api:
    """What transports share, on the stand-ins."""
    live = Live(GUESTS_WELCOME)
    return Api(
        cast("Engine", AnsweringEngine()),
        cast("Authenticator", KnowingAuthenticator()),
        ROUTES,
        live,
        lambda _: None,
        admission=Admission(
            live, itertools.count(0, 10 * SECOND_NS).__next__
        ),  # a clock under which nothing is ever refused
        accounts=cast("Accounts", None),
        oidc=cast("OidcLogin", None),
    )
