"""What a store promises to those whose posts wait when its actor is stopped with no time left: nobody is told a falsehood."""

from __future__ import annotations

from typing import Final

import trio

from ...engine import OutcomeUnknown, Store
from ...engine.core.batch import Committed, Rejected
from ..rows import ROOM, Post, hand_in, message, record, running
from .opening import PLENTY, OpensStore

_BATCHES: Final = 30
_ROWS: Final = 100  # a batch; all together more than a store takes into one transaction


class StopPromises(OpensStore):
    """Tests of a stop in the middle of work."""

    async def test_what_a_stop_refuses_is_not_stored(self) -> None:
        """Every batch is settled once: what is acked is there, what is refused is not, and what is unknown is one of both."""
        async with self.open_store() as store:
            posts = await stopped_at_work(store)
            check_outcomes(posts, await stored_offsets(store))


async def stopped_at_work(store: Store) -> list[Post]:
    """Make the conversation, hand in more than one transaction's worth, and stop the actor, without time, after the first."""
    await store.create(record())
    async with running(store):
        posts = [hand_in(store, *(message() for _ in range(_ROWS))) for _ in range(_BATCHES)]
        with trio.fail_after(20):
            await posts[0].done.wait()
        store.drain(0.0)
    return posts


async def stored_offsets(store: Store) -> dict[str, int]:
    """The offsets of the stored messages of the conversation, by id."""
    found: dict[str, int] = {}
    while page := await store.messages(ROOM, after=len(found), before=None, limit=500, max_bytes=PLENTY):
        found |= {one.id: one.offset for one in page}
    return found


def check_outcomes(posts: list[Post], stored: dict[str, int]) -> None:
    """Compare what posters were told with what is stored."""
    assert list(stored.values()) == list(range(1, len(stored) + 1))
    assert [post.settlings for post in posts] == [1] * len(posts)
    for post in posts:
        for row, result in zip(post.batch.rows, post.results, strict=True):
            if isinstance(result, Committed):
                assert stored.get(row.id) == result.offset
            else:
                assert isinstance(result, Rejected)
                assert row.id not in stored or isinstance(result.error, OutcomeUnknown)
