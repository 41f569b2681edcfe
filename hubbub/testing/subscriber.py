"""A scripted subscriber: a push reader, as a connection is, that takes so many pushes, blocks, frees itself, and is cut off.

It stands where a transport's connection stands: the engine pushes bytes without waiting and is told whether they were taken.
Here the bytes are only offsets and types of events, so that a test reads at once what arrived, in which order.

    subscriber = ScriptedSubscriber(takes=2)
    await subscriber.join(engine, "room")
    ...                                    # the third push is refused
    assert subscriber.offsets == [1, 2]
    subscriber.free()                      # the engine goes on where it left off, whatever happened meanwhile
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from ..engine import SYSTEM, Cursor, Engine, EngineError, Event, Principal
from ..engine.core.commands import Join
from ..engine.core.ids import conversation_id
from ..engine.core.recovery import Since
from ..engine.core.subscriber import Joined, Subscriber


class OffsetFormat:
    """A wire format that shows a durable event's offset and an ephemeral event's type, each with a semicolon.

    Args:
        name: subscribers whose formats have one name share encoded events.
    """

    def __init__(self, name: str = "offsets") -> None:
        self.name = name

    def encode(self, event: Event, body: bytes) -> bytes:
        """``5;`` or ``typing;``."""
        return f"{event.type if event.offset is None else event.offset};".encode()


OFFSETS: Final = OffsetFormat()


class ScriptedOutlet:
    """Where a subscriber's bytes go, as the engine sees it; it follows its owner.

    Attributes:
        offsets: durable events taken, in order of arrival. `signals`: types of ephemeral ones.
        blocked: refuse pushes.
        room_for: take so many pushes, then block; None is no bound. One push may carry many events.
        behind: a push was refused since the last `free`.
        cut: codes of the errors that the engine ended subscriptions with.
        on_push: called before a push is taken; what it raises comes out of the push, as a transport's bug would.
    """

    def __init__(self, room_for: int | None = None) -> None:
        self.offsets: list[int] = []
        self.signals: list[str] = []
        self.blocked = False
        self.room_for = room_for
        self.behind = False
        self.cut: list[str] = []
        self.on_push: Callable[[], None] | None = None

    def push(self, data: bytes) -> bool:
        """Take all of it or nothing."""
        if self.room_for == 0:
            self.blocked = True
        if self.blocked:
            return False
        if self.on_push is not None:
            self.on_push()
        if self.room_for is not None:
            self.room_for -= 1
        for word in data.decode().split(";")[:-1]:
            if word.isdigit():
                self.offsets.append(int(word))
            else:
                self.signals.append(word)
        return True

    def fell_behind(self, subscriber: Subscriber) -> None:
        """A push was refused."""
        self.behind = True

    def cut_off(self, subscriber: Subscriber, code: str) -> None:
        """The engine ends the subscription."""
        self.cut.append(code)
        subscriber.leave()

    def free(self, subscriber: Subscriber, room_for: int | None = None) -> None:
        """There is room again, for so many pushes; tell the engine if it was refused before."""
        self.blocked, self.room_for = False, room_for
        if self.behind:
            self.behind = False
            subscriber.resume()


class ScriptedSubscriber:
    """One push subscriber of one conversation and what it saw.

    Args:
        takes: pushes to take before it blocks; None is no bound.
        principal: who reads; the embedding program itself when left out.
        client: its connection's id, shown in presence.

    Attributes:
        outlet: its script, to be changed at any time, and what arrived.
    """

    def __init__(self, *, takes: int | None = None, principal: Principal = SYSTEM, client: str = "scripted") -> None:
        self.outlet = ScriptedOutlet(takes)
        self._principal = principal
        self._client = client
        self._subscriber: Subscriber | None = None

    @property
    def offsets(self) -> list[int]:
        """Durable events taken, in order of arrival, over all of its joins."""
        return self.outlet.offsets

    @property
    def signals(self) -> list[str]:
        """Types of the ephemeral events taken."""
        return self.outlet.signals

    @property
    def cut(self) -> str | None:
        """The code that the engine ended the last subscription with; None while it goes on, or if it was left."""
        return self.outlet.cut[-1] if self.outlet.cut else None

    async def join(
        self, engine: Engine, conversation: str, since: Cursor | int | None = None, *, page_bytes: int = 0
    ) -> Joined:
        """Subscribe, or subscribe anew after being cut or leaving.

        Args:
            since: replay after this place; None starts live.
            page_bytes: put so many bytes of what was missed into the answer instead of a push; its offsets are noted, too.

        Returns:
            The answer. A cursor that cannot be served is answered with a `Reset` as its decision, and is no error.

        Raises:
            NotFound, Overloaded, StoreUnavailable, EngineClosed, ...: as the engine answers. `InvalidCommand`: no such id.
        """
        answers: list[Joined | EngineError] = []
        answered = trio.Event()

        def reply(answer: Joined | EngineError) -> None:
            answers.append(answer)
            if not isinstance(answer, EngineError):  # before the first push, which may follow in this very turn
                self.offsets.extend(entry.event.offset for entry in answer.entries if entry.event.offset is not None)
            answered.set()

        self.outlet.cut.clear()
        self._subscriber = Subscriber(self.outlet, OFFSETS, self._principal, self._client)
        where = Since.of(since) if isinstance(since, Cursor) else None if since is None else Since(since)
        engine.send(conversation_id(conversation), Join(reply, self._principal, self._subscriber, where, page_bytes))
        await answered.wait()
        [answer] = answers
        if isinstance(answer, EngineError):
            raise answer
        return answer

    def block(self) -> None:
        """Refuse pushes from now on."""
        self.outlet.blocked = True

    def free(self, takes: int | None = None) -> None:
        """Take pushes again, so many or without a bound; the engine goes on at once where it left off."""
        if self._subscriber is not None:
            self.outlet.free(self._subscriber, takes)

    def leave(self) -> None:
        """End the subscription; idempotent."""
        if self._subscriber is not None:
            self._subscriber.leave()

    async def wait_offset(self, offset: int, *, within_s: float = 60.0) -> None:
        """Wait until a durable event with this offset, or a later one, was taken.

        Raises:
            trio.TooSlowError: it did not come in time.
        """
        with trio.fail_after(within_s):
            while not self.offsets or self.offsets[-1] < offset:  # noqa: ASYNC110  a push tells nobody
                await trio.sleep(0.02)
