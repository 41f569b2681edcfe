"""The store while Postgres is frozen (SIGSTOP): it accepts what is sent and answers nothing. Nobody waits without a bound."""

from collections.abc import AsyncIterator

import pytest
import trio

from hubbub.engine.core.batch import Committed
from hubbub.engine.core.errors import OutcomeUnknown, StoreUnavailable
from hubbub.engine.core.ids import ConversationId
from hubbub.storage import PostgresStore
from hubbub.testing import wait_until
from hubbub.testing.rows import ROOM, hand_in, message, record

from .postgres_server import PostgresServer, until

pytestmark = pytest.mark.postgres

READ_S = 5.0


@pytest.fixture
async def store(mortal_postgres: PostgresServer) -> AsyncIterator[PostgresStore]:
    """A store with one conversation, on a server that may be frozen; it is thawed before the store is left."""
    url = mortal_postgres.url(mortal_postgres.new_database())
    async with PostgresStore.open(url, drain_s=2.0) as store, trio.open_nursery() as nursery:
        await nursery.start(store.actor().start)
        await store.create(record())
        yield store
        mortal_postgres.thaw()
        nursery.cancel_scope.cancel()


async def read_timed(store: PostgresStore, took: list[float]) -> None:
    began = trio.current_time()
    with pytest.raises(StoreUnavailable):
        await store.load(ROOM)
    took.append(trio.current_time() - began)


async def test_reads_of_a_frozen_postgres_are_refused_in_time(
    store: PostgresStore, mortal_postgres: PostgresServer
) -> None:
    """The first ones after their limit, all others at once though the pool has few connections; one answer opens it again."""
    mortal_postgres.freeze()
    took: list[float] = []
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(read_timed, store, took)
    assert max(took) < READ_S + 1.0
    took.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_timed, store, took)  # tries
        await trio.sleep(0.05)
        for _ in range(100):
            nursery.start_soon(read_timed, store, took)
        await trio.sleep(0.5)
        assert len(took) == 100
        mortal_postgres.thaw()
        nursery.cancel_scope.cancel()
    mortal_postgres.thaw()
    with trio.fail_after(2):
        assert await store.load(ROOM) is not None


async def test_a_creation_without_an_answer_is_of_unknown_outcome(
    store: PostgresStore, mortal_postgres: PostgresServer
) -> None:
    """It was sent, and may appear when Postgres goes on: so it is not called unsent."""
    await store.load(ROOM)
    mortal_postgres.freeze()
    with pytest.raises(OutcomeUnknown):
        await store.create(record("late"))
    with pytest.raises(StoreUnavailable):
        await store.create(record("never"))  # there is no connection to send it over
    mortal_postgres.thaw()
    await trio.sleep(0.5)
    assert await store.load(ConversationId("late")) is not None
    assert await store.load(ConversationId("never")) is None


async def test_a_commit_that_outlasts_its_limit_is_found_again(
    store: PostgresStore, mortal_postgres: PostgresServer
) -> None:
    """After the limit the connection is given up; when Postgres goes on the commit is found, or made, once, within a second."""
    mortal_postgres.freeze()
    sent = hand_in(store, message(text="sent", key="k"))
    await until(lambda: sent.batch.sent)
    queued, withdrawn = hand_in(store, message(text="queued")), hand_in(store, message(text="withdrawn"))
    await trio.sleep(12)
    assert not store.health().ready
    assert not queued.batch.sent
    withdrawn.batch.rows[0].withdrawn = True
    await withdrawn.done.wait()
    mortal_postgres.thaw()
    with trio.fail_after(1):
        await sent.done.wait()
        await queued.done.wait()
    assert [sent.results, queued.results] == [[Committed(1)], [Committed(2)]]
    events = await store.events(ROOM, after=0, limit=10, max_bytes=1000)
    assert [event.message.text for event in events if event.message] == ["sent", "queued"]
    assert store.health().ready


async def test_an_idle_store_notices_a_freeze_and_its_end(
    store: PostgresStore, mortal_postgres: PostgresServer
) -> None:
    """Within some seconds, without a post; ready again within a second, after a short freeze and after a long one."""
    for frozen_s in (3.5, 8.0):
        mortal_postgres.freeze()
        await trio.sleep(3.5)
        assert not store.health().ready
        await trio.sleep(frozen_s - 3.5)
        mortal_postgres.thaw()
        await wait_until(lambda: store.health().ready, within_s=1.0)
