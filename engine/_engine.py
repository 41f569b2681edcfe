"""Engine: the supervision tree and the verbs on it. Leaving its scope drains; nothing of it lives outside that scope.

engine                       one_for_one
├── storage                  the store's actor: started first, stopped last
├── reads                    pages of history, subscribers behind the tail
├── housekeeping             deadlines (also of those who drain), the budget of all tails, rooms that nobody needs any more
└── conversations            registry: one actor per live conversation, each restarted on its own
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from ..actors import ChildSpec, Node, Registry, RegistryFull, RestartIntensity, Supervisor
from ..actors import Slot as ActorSlot
from ._blocks import Blocks
from ._conversation import ConversationActor, on_crash, on_quarantine
from ._following import Nudge
from ._handles import Conversation
from ._housekeeping import Housekeeping
from ._invites import Invites
from ._keeper import Keeper
from ._meters import Meters
from ._quarantine import QuarantinedConversation, Quarantines
from ._read_tasks import ReadTasks
from ._reads import Reads
from ._room import Room
from ._statistics import ROOMS_SHOWN, EngineStatistics, statistics_of
from .core.authors import Author, as_author
from .core.commands import Command
from .core.compose import Stamp, compose_record
from .core.config import EngineSettings
from .core.errors import Conflict, EngineClosed, Overloaded
from .core.ids import ConversationId, check_request_id, conversation_id, uuid7
from .core.kinds import ConversationKind, Visibility
from .core.messages import Record
from .core.principals import SYSTEM, Principal
from .core.session import SessionSettings
from .core.tail import Tail
from .ports import Store, StoreHealth
from .tracing import PostTracer


def wall_ms() -> int:
    """The wall clock, milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Engine:
    """A running engine; made by `Engine.open`. All methods belong to its trio thread."""

    def __init__(
        self,
        store: Store,
        settings: EngineSettings,
        clock: Callable[[], float],
        wall: Callable[[], int],
        randbits: Callable[[int], int],
        tracer: PostTracer | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.session_settings = SessionSettings(
            history_items=settings.page_items,
            history_default_items=min(settings.page_default_items, settings.page_items),
            conversation=settings.conversation,
        )
        self._clock = clock
        self._wall = wall
        self._randbits = randbits
        self._rooms: dict[ConversationId, Room] = {}
        self._meters = Meters(clock, tracer)
        self._quarantines = Quarantines(wall)
        self.blocks = Blocks(self)
        self.invites = Invites(self)
        self._housekeeping = Housekeeping(self._rooms, store, settings, clock)
        self._draining = False
        self._drain_by = float("inf")
        self._read_tasks = ReadTasks()
        self._reads = Reads(store, settings, self._spawn)
        self._registry: Registry[ConversationId, Command | Nudge] = Registry(
            self._make_actor,
            capacity=settings.live_conversations,
            mailbox_capacity=settings.conversation.mailbox_items,
            idle_s=settings.idle_s,
            intensity=RestartIntensity(max_restarts=5, within_s=30.0),
            shutdown_s=settings.drain_s,
            name="conversations",
            on_crash=self._on_crash,
            on_quarantine=self._on_quarantine,
            fallback=self._make_keeper,
        )
        self._supervisor = Supervisor(
            "engine",
            children=[
                store.actor(),
                ChildSpec("reads", self._read_tasks.run),
                ChildSpec("housekeeping", self._housekeeping.run),
                ChildSpec("conversations", lambda: self._registry),
            ],
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        store: Store,
        settings: EngineSettings | None = None,
        clock: Callable[[], float] = trio.current_time,
        wall: Callable[[], int] = wall_ms,
        randbits: Callable[[int], int] = secrets.randbits,
        tracer: PostTracer | None = None,
    ) -> AsyncIterator[Engine]:
        """Run an engine for the length of the block.

        Args:
            store: where conversations live. It is always named: `MemoryStore()` promises nothing durable, `PostgresStore`
                does. It stays open until the engine has drained.
            settings: bounds; the defaults suit one machine.
            clock, wall, randbits: monotonic seconds, wall-clock milliseconds, and random bits for ids and epochs; injected for
                simulation.
            tracer: is told the way of every batch of posts; see `hubbub.engine.tracing`.

        Leaving the block, also by cancellation, drains: what was accepted is committed or refused within
        ``settings.drain_s``, every caller is answered, no task is left.

        Raises:
            RestartsExceeded: a part crashed again and again; the block was cancelled.
        """
        engine = cls(store, settings or EngineSettings(), clock, wall, randbits, tracer)
        try:
            async with engine._supervisor.open():
                try:
                    yield engine
                finally:
                    engine.drain()
                    engine._housekeeping.end_subscriptions()
        finally:
            engine._housekeeping.end_subscriptions()  # of those whose join was still waiting

    # -- verbs --------------------------------------------------------------------------------------------------------

    def conversation(self, name: str) -> Conversation:
        """A handle on a conversation. Nothing happens until it is used; it stays valid across restarts.

        Raises:
            InvalidCommand: not a conversation id.
        """
        return Conversation(self, conversation_id(name))

    async def create(
        self,
        name: str | None = None,
        *,
        title: str | None = None,
        visibility: Visibility = Visibility.PUBLIC,
        kind: ConversationKind = ConversationKind.ROOM,
        owner: Author | str = SYSTEM.author,
        exist_ok: bool = False,
        request_id: str | None = None,
    ) -> Conversation:
        """Make a conversation, durably, and return its handle.

        Args:
            name: its id; a UUID when left out.
            title: for people; the id when left out.
            visibility: public, or private to its owner. Public by default, unlike over REST: the embedding program decides
                who gets in at all.
            kind: a room, or an announcement. A direct conversation is made by `direct`.
            owner: who may change it.
            exist_ok: an existing conversation with this id is returned as it is.
            request_id: as in `Conversation.post`.

        Raises:
            Conflict: the id is taken.
            StoreUnavailable: nothing was made; try again.
            OutcomeUnknown: it was sent and the answer is missing; with `exist_ok` trying again settles it.
        """
        fields = {"id": name, "title": title, "visibility": visibility.value, "kind": kind.value}
        owned_by = Principal(as_author(owner))
        record = await self.create_record(fields, owned_by, exist_ok=exist_ok, request_id=request_id)
        return self.conversation(record.id)

    async def direct(self, one: Author | str, other: Author | str) -> Conversation:
        """The direct conversation of two users, made if it is not there yet; the same whoever asks. Raises as `create`.

        The embedding program makes it, whoever blocks whom (`Engine.blocks` knows); nobody blocked speaks in it all the same.
        """
        fields, maker = {"kind": ConversationKind.DIRECT.value}, Principal(as_author(one), all_powerful=True)
        record = await self.create_record(fields, maker, other=as_author(other), exist_ok=True)
        return self.conversation(record.id)

    async def create_record(
        self,
        fields: Mapping[str, Any],
        owner: Principal,
        *,
        other: Author | None = None,
        exist_ok: bool = False,
        request_id: str | None = None,
    ) -> Record:
        """`create` from decoded fields, for transports. Returns the new record (the existing one with `exist_ok`).

        Args:
            other: with whom, for a direct conversation.

        Raises:
            Forbidden: one of the two of a direct conversation blocks the other, and they have none yet.
        """
        record = compose_record(
            fields,
            owner,
            self.settings.conversation,
            fresh_id=self.fresh_id(),
            epoch=f"{self._randbits(32):08x}",
            at_ms=self._wall(),
            other=other,
            request_id=check_request_id(request_id),
        )
        if self._draining:
            raise EngineClosed
        if other is not None and not owner.all_powerful:
            await self.blocks.check_begin(owner, other, record)
        try:
            await self.store.create(record)
        except Conflict:
            existing = await self.store.load(record.id) if exist_ok else None
            if existing is None:
                raise
            return existing
        return record

    async def conversations(
        self, principal: Principal = SYSTEM, *, after: str | None = None, limit: int = 50
    ) -> list[Record]:
        """One page of the conversations that a principal may list, by id, ids greater than `after`."""
        owner = None if principal.all_powerful else principal.id
        return await self.store.list_conversations(owner, after=after, limit=limit)

    def send(self, conversation: ConversationId, command: Command) -> None:
        """Put a command into a conversation's mailbox; its reply follows. Never waits.

        Raises:
            Overloaded: a bound was reached, nothing was kept.
            ConversationQuarantined: it takes no commands.
            EngineClosed: the engine drains.
        """
        if self._draining:
            raise EngineClosed
        self._room(conversation).send(command)

    def stamp(self, timeout_s: float | None = None, request_id: str | None = None) -> Stamp:
        """A fresh id, the time, and a deadline for one post, and the name of the request that it is for."""
        now_ms = self._wall()
        timeout_s = self.settings.conversation.post_deadline_s if timeout_s is None else timeout_s
        fresh = uuid7(now_ms, self._randbits(74))
        return Stamp(id=fresh, at_ms=now_ms, deadline=self._clock() + timeout_s, request_id=request_id)

    def fresh_id(self) -> str:
        """A fresh UUIDv7."""
        return uuid7(self._wall(), self._randbits(74))

    def now_ms(self) -> int:
        """The wall clock, milliseconds since the epoch."""
        return self._wall()

    def drain(self, within_s: float | None = None) -> None:
        """Take no more commands; what was accepted goes on. Subscribers are told by a `server.draining` event, by their actors.

        Args:
            within_s: the time that is left, in seconds, for all stages of closing together, the store's included; by default
                ``settings.drain_s``. The first call counts.
        """
        if self._draining:
            return
        self._draining = True
        within_s = self.settings.drain_s if within_s is None else within_s
        self._drain_by = self._clock() + within_s
        self.store.drain(within_s)
        self._housekeeping.drain(within_s, self._wall())

    @property
    def draining(self) -> bool:
        """Whether it takes no more commands."""
        return self._draining

    async def settled(self) -> None:
        """Wait until no conversation owes an answer."""
        await self._housekeeping.wait_settled(self._reads)

    def quarantined(self) -> tuple[QuarantinedConversation, ...]:
        """The conversations in quarantine, longest first; at most 1,000 (`EngineStatistics.quarantined` counts all)."""
        return self._quarantines.listed()

    def release(self, name: str) -> bool:
        """End the quarantine of a conversation: it starts anew at once, read-write, and may crash as often as any other.

        Its subscribers stay. If it still crashes it goes back into quarantine, which the log and `quarantined` tell.

        Returns:
            Whether it was quarantined.

        Raises:
            InvalidCommand: not a conversation id.
        """
        conversation = conversation_id(name)
        for slot in self._registry.quarantined():
            if slot.key == conversation:
                self._quarantines.end(conversation)
                slot.release()
                self._room(conversation).nudge()
                return True
        return False

    def is_live(self, conversation: ConversationId) -> bool:
        """Whether it may be in memory, or on its way there; one that is not is read from the store before it does anything."""
        return conversation in self._rooms

    def tail_of(self, conversation: ConversationId) -> Tail | None:
        """The events in memory of a live conversation; for reading only."""
        room = self._rooms.get(conversation)
        return None if room is None else room.tail

    # -- looking at it --------------------------------------------------------------------------------------------------

    def tree(self) -> Node:
        """The supervision tree as it is now: a value with `render()` for people."""
        return self._supervisor.tree()

    def health(self) -> StoreHealth:
        """Whether posts can be committed now, and what is missing when not."""
        if self._draining:
            return StoreHealth(ready=False, problems=("the server is shutting down",))
        return self.store.health()

    def statistics(self, *, rooms: int = ROOMS_SHOWN) -> EngineStatistics:
        """Figures; goes once over the live conversations, and over the subscribers of those it lists.

        Args:
            rooms: how many conversations to list, the loudest.
        """
        return statistics_of(
            self._rooms.values(),
            self._reads,
            self._meters,
            listed=rooms,
            quarantined=len(self._registry.quarantined()),
            crashes=self._registry.crashes,
            now_ms=self._wall(),
        )

    # -- inside ---------------------------------------------------------------------------------------------------------

    def _room(self, conversation: ConversationId) -> Room:
        room = self._rooms.get(conversation)
        if room is None:
            try:
                slot = self._registry.slot(conversation)
            except RegistryFull:
                raise Overloaded("too many conversations are live") from None
            room = Room(conversation, slot, self.settings.conversation, self._reads, self._meters)
            self._rooms[conversation] = room
        return room

    def _on_crash(
        self, slot: ActorSlot[ConversationId, Command | Nudge], error: Exception, lost: list[Command | Nudge]
    ) -> None:
        room = self._room(slot.key)
        on_crash(room, error, lost)
        self._housekeeping.owe(room)

    def _make_actor(self, slot: ActorSlot[ConversationId, Command | Nudge]) -> ConversationActor:
        return ConversationActor(
            self._room(slot.key),
            self.store,
            self._reads,
            self.settings,
            self._clock,
            self._housekeeping.owe,
            self._drain_left_s,
        )

    def _make_keeper(self, slot: ActorSlot[ConversationId, Command | Nudge]) -> Keeper:
        return Keeper(
            self._room(slot.key),
            self.store,
            self._reads,
            self.settings,
            self._clock,
            self._housekeeping.owe,
            self._drain_left_s,
        )

    def _drain_left_s(self) -> float:
        return max(0.0, self._drain_by - self._clock())

    def _on_quarantine(
        self, slot: ActorSlot[ConversationId, Command | Nudge], reason: Exception, refused: list[Command | Nudge]
    ) -> None:
        self._quarantines.note(slot, reason)
        self._meters.quarantines += 1
        if not slot.served:
            on_quarantine(self._room(slot.key), refused)

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        self._read_tasks.spawn(work)
