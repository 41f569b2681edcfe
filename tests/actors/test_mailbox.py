"""The mailbox: against a model, under cancellation, and its refusals."""

import random
from collections import deque

import pytest
import trio
import trio.testing
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hubbub.actors import Mailbox, MailboxClosed, MailboxFull, MailboxInterrupted

CAPACITY = 5


class MailboxModel(RuleBasedStateMachine):
    """Puts, batch reads and closing against a plain deque."""

    def __init__(self) -> None:
        super().__init__()
        self.mailbox: Mailbox[int] = Mailbox(CAPACITY, "model")
        self.model: deque[int] = deque()
        self.accepted = self.refused = 0
        self.closed = False

    @rule(message=st.integers())
    def put(self, message: int) -> None:
        if self.closed or len(self.model) == CAPACITY:
            with pytest.raises(MailboxClosed if self.closed else MailboxFull):
                self.mailbox.put(message)
            self.refused += 1
        else:
            self.mailbox.put(message)
            self.model.append(message)
            self.accepted += 1

    @rule(max_items=st.none() | st.integers(1, CAPACITY + 1))
    def take(self, max_items: int | None) -> None:
        count = len(self.model) if max_items is None else min(max_items, len(self.model))
        assert self.mailbox.get_batch_nowait(max_items) == [self.model.popleft() for _ in range(count)]

    @precondition(lambda self: self.model)
    @rule(max_items=st.none() | st.integers(1, CAPACITY + 1), single=st.booleans())
    def read(self, max_items: int | None, single: bool) -> None:
        count = len(self.model) if max_items is None else min(max_items, len(self.model))
        if single:
            assert trio.run(self.mailbox.get) == self.model.popleft()
        else:
            assert trio.run(self.mailbox.get_batch, max_items) == [self.model.popleft() for _ in range(count)]

    @rule()
    def close(self) -> None:
        self.mailbox.close()
        self.closed = True

    @precondition(lambda self: self.closed and not self.model)
    @rule()
    def read_the_end(self) -> None:
        with pytest.raises(MailboxClosed):
            trio.run(self.mailbox.get_batch)

    @invariant()
    def figures_agree(self) -> None:
        figures = self.mailbox.statistics()
        assert len(self.mailbox) == figures.depth == len(self.model)
        assert (figures.accepted, figures.refused, figures.closed) == (self.accepted, self.refused, self.closed)
        assert self.mailbox.accepted - self.mailbox.taken == figures.depth


TestMailboxModel = MailboxModel.TestCase


async def test_puts_of_one_turn_arrive_as_one_batch() -> None:
    """A waiting reader gets everything that one turn put, in order."""
    mailbox: Mailbox[int] = Mailbox(10)
    batches: list[list[int]] = []

    async def read() -> None:
        for _ in range(2):
            batches.append(await mailbox.get_batch(3))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(5):
            mailbox.put(number)
    assert batches == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize("seed", range(20))
async def test_cancelled_reads_lose_nothing(seed: int) -> None:
    """Readers cancelled at random moments together read every message once, in order."""
    rng = random.Random(seed)
    mailbox: Mailbox[int] = Mailbox(1000)
    seen: list[int] = []

    async def write() -> None:
        for number in range(300):
            mailbox.put(number)
            if rng.random() < 0.5:
                await trio.lowlevel.checkpoint()
        mailbox.close()

    async def read() -> None:
        while True:
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel_soon, scope)
                if rng.random() < 0.5:
                    seen.append(await mailbox.get())
                else:
                    seen.extend(await mailbox.get_batch(rng.choice([None, 1, 3])))

    async def cancel_soon(scope: trio.CancelScope) -> None:
        for _ in range(rng.randrange(3)):
            await trio.lowlevel.checkpoint()
        scope.cancel()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            with pytest.raises(MailboxClosed):
                await read()
    assert seen == list(range(300))


async def test_a_wake_up_beats_a_cancellation_of_the_same_turn() -> None:
    """A reader that was woken and then cancelled before it ran still gets its message."""
    mailbox: Mailbox[int] = Mailbox(1)
    seen: list[int] = []

    async def read() -> None:
        seen.append(await mailbox.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        mailbox.put(1)
        nursery.cancel_scope.cancel()
    assert seen == [1]


async def test_a_cancelled_reader_takes_nothing() -> None:
    """With a message waiting, a cancelled read raises and leaves it there."""
    mailbox: Mailbox[int] = Mailbox(1)
    mailbox.put(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.get_batch()
    assert scope.cancelled_caught
    assert mailbox.get_batch_nowait() == [1]


async def test_only_one_reader_waits() -> None:
    """A second waiting reader is a bug of the caller and is told so; the first is not disturbed."""
    mailbox: Mailbox[int] = Mailbox(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.get)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await mailbox.get()
        mailbox.put(1)


async def test_interrupt_sends_the_reader_away_and_keeps_the_messages() -> None:
    """An interrupted reader leaves, puts go on, and after `resume` everything is read."""
    mailbox: Mailbox[int] = Mailbox(3)

    async def read() -> None:
        with pytest.raises(MailboxInterrupted):
            await mailbox.get_batch()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        mailbox.interrupt()
    mailbox.put(1)
    with pytest.raises(MailboxInterrupted):
        await mailbox.get()
    mailbox.resume()
    assert await mailbox.get_batch() == [1]


async def test_close_lets_the_rest_be_read() -> None:
    """After closing puts are refused by name, and what is inside is read before the end shows, also when interrupted."""
    mailbox: Mailbox[int] = Mailbox(3, "inbox")
    mailbox.put(1)
    mailbox.interrupt()
    mailbox.close()
    with pytest.raises(MailboxClosed, match="inbox"):
        mailbox.put(2)
    assert await mailbox.get_batch() == [1]
    with pytest.raises(MailboxClosed):
        await mailbox.get_batch()


def test_a_mailbox_without_room_is_refused() -> None:
    """A capacity below one makes no sense."""
    with pytest.raises(ValueError, match="at least one"):
        Mailbox(0)
