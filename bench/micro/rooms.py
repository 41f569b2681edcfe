"""The conversation actor's turns without trio's loop, the pass over a room's readers, joins and leaves; and mailboxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import trio

from ...actors import Mailbox
from ...engine._conversation import ConversationActor
from ...engine._fanout import run_pass
from ...engine._following import NUDGE, Following
from ...engine._meters import Meters
from ...engine._room import Room
from ...engine.core.batch import Batch, Committed
from ...engine.core.commands import Command, Join, Submit
from ...engine.core.config import ConversationSettings, EngineSettings
from ...engine.core.conversation import ConversationMachine
from ...engine.core.outcomes import event_of
from ...engine.core.permissions import Verb
from ...engine.core.session import Session, SessionSettings
from ...engine.core.subscriber import Stage, Subscriber
from ...engine.core.tail import Tail
from ...engine.ports import Store
from ...transport.centrifugal_framing import WEBSOCKET
from .benchmark import Benchmark, Call
from .inputs import PRINCIPAL, RECORD, ROOM, NullOutlet, ignore, row, run_now

_READERS: Final = 200  # below `pass_items`, so that a pass has no reason to let others run
_POSTS: Final = 20
_TAIL_ITEMS: Final = 100
_TRIM_EVERY: Final = _TAIL_ITEMS // 8 + 1  # appends from one trim to the next
_MESSAGES: Final = 20
_WAKE_UPS: Final = 500


class _Slot:
    """A place in the registry whose actor the benchmark runs itself."""

    state = "running"
    mailbox: tuple[()] = ()
    in_hand = None

    def put(self, message: object) -> None:
        """Nothing is kept."""

    def pin(self) -> None:
        """Nothing to keep."""

    def unpin(self) -> None:
        """Nothing to let go."""


class _Store:
    """Keeps the last batch, for the benchmark to settle."""

    batch: Batch | None = None

    def submit(self, batch: Batch) -> None:
        """Take a batch."""
        self.batch = batch


class _NoReads:
    """Pages are not read here."""

    def start_pager(self, room: Following, subscriber: Subscriber) -> None:
        """Not reached."""
        raise NotImplementedError

    def writable(self, subscriber: Subscriber) -> None:
        """Not reached."""
        raise NotImplementedError


def _room(readers: int) -> Room:
    room = Room(ROOM, _Slot(), ConversationSettings(), _NoReads(), Meters(_no_time))
    for number in range(readers):
        _reader(room, f"client-{number}")
    return room


def _reader(room: Room, client: str) -> Subscriber:
    reader = Subscriber(NullOutlet(), WEBSOCKET.format, PRINCIPAL, client)
    reader.stage = Stage.LIVE
    room.attach(reader)
    return reader


def _tail(max_items: int = 1) -> Tail:
    return Tail(0, max_items=max_items, max_bytes=1 << 40)


def deliver(readers: int) -> Call:
    """An event to all readers of a room."""
    room, tail, stored = _room(readers), _tail(), row(1)
    room.machine = ConversationMachine(RECORD, tail, ConversationSettings())

    def call() -> None:
        start = tail.head
        tail.append(event_of(stored, start + 1))
        run_now(run_pass(room, tail, start, write_bytes=1 << 18, pass_items=1 << 20))

    call()
    return call


def _actor(room: Room, store: _Store, tail_items: int = 1) -> ConversationActor:
    room.machine = ConversationMachine(RECORD, _tail(tail_items), ConversationSettings())
    return ConversationActor(
        room, cast("Store", store), cast("Any", _NoReads()), EngineSettings(), _no_time, ignore, _no_time
    )


def _no_time() -> float:
    return 0.0


def _turns(posts: int, readers: int, tail_items: int) -> Call:
    """Two turns of the actor: posts come and leave for the store, then its answer comes and everybody is told."""
    room, store = _room(readers), _Store()
    actor = _actor(room, store, tail_items)

    def call() -> None:
        submissions = [Submit(ignore, PRINCIPAL, Verb.POST, row(number), 1e9) for number in range(posts)]
        run_now(actor.on_batch(list[Command | Any](submissions)))
        assert store.batch is not None
        assert room.machine is not None
        head = room.machine.tail.head
        store.batch.settle([Committed(head + place) for place in range(1, posts + 1)])
        run_now(actor.on_batch([NUDGE]))
        assert submissions[-1].answered

    for _ in range(1 + tail_items // posts):
        call()
    return call


def come_and_go(members: int) -> Call:
    """A reader joins a room where others are, and leaves."""
    room = _room(members)
    actor = _actor(room, _Store())

    def call() -> None:
        reader = Subscriber(NullOutlet(), WEBSOCKET.format, PRINCIPAL, "newcomer")
        run_now(actor.on_batch([Join(ignore, PRINCIPAL, reader, None, 0)]))
        assert reader.stage is Stage.LIVE
        reader.leave()

    return call


def count_present(members: int) -> Call:
    """Somebody asks how many are there."""
    room = _room(members)
    actor = _actor(room, _Store())
    session = Session(SessionSettings(), PRINCIPAL)

    def call() -> None:
        _, command = session.presence_counts(ROOM, ignore)
        run_now(actor.on_batch([command]))
        assert command.answered

    return call


def _put_and_take() -> Call:
    mailbox: Mailbox[int] = Mailbox(1024)

    def call() -> None:
        for number in range(_MESSAGES):
            mailbox.put(number)
        mailbox.get_batch_nowait()

    return call


def _wake_up() -> Call:
    """One run of trio's loop: a task that puts, one that is woken for each message."""
    return lambda: trio.run(_ping)


async def _ping() -> None:
    mailbox: Mailbox[Callable[[], None]] = Mailbox(16)

    async def read() -> None:
        for _ in range(_WAKE_UPS):
            await mailbox.get_batch()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for _ in range(_WAKE_UPS):
            while len(mailbox):
                await trio.lowlevel.checkpoint()
            mailbox.put(_nothing)


def _nothing() -> None:
    pass


BENCHMARKS: Final = (
    Benchmark(
        name="room/deliver",
        what=f"an event to one of {_READERS} readers of a room, without the socket",
        make=lambda: deliver(_READERS),
        operations=_READERS,
    ),
    Benchmark(name="room/post", what="a post alone through the actor, to 4 readers", make=lambda: _turns(1, 4, 1)),
    Benchmark(
        name="room/posts",
        what=f"a post of {_POSTS} in one turn, to 4 readers",
        make=lambda: _turns(_POSTS, 4, _TAIL_ITEMS),
        operations=_POSTS,
        period=_TRIM_EVERY,
    ),
    Benchmark(
        name="room/join", what=f"a reader joins a room of {_READERS} and leaves", make=lambda: come_and_go(_READERS)
    ),
    Benchmark(
        name="room/present",
        what=f"how many are in a room of {_READERS}",
        make=lambda: count_present(_READERS),
    ),
    Benchmark(
        name="mailbox/put",
        what=f"a message put and taken, {_MESSAGES} at a time",
        make=_put_and_take,
        operations=_MESSAGES,
    ),
    Benchmark(
        name="mailbox/wake",
        what="a message put, its reader woken by trio",
        make=_wake_up,
        operations=_WAKE_UPS,
        counted=False,
    ),
)
