"""The verbs on blocks: making, ending and listing them. The rule stands in `core.blocks`.

A block is kept in the store, and then told to the direct conversation of the two if that is live: when a verb returns, nothing
is said there any more that the block forbids. One that is not live reads its blocks when it is loaded. Verbs of one person happen
one after the other, so that what a conversation was told last is what the store has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import trio

from ._waiting import Waiting
from .core.authors import Author, as_author
from .core.blocks import MAX_BLOCKS, Block, Blockers, check_contact
from .core.commands import NoteBlock
from .core.compose import check_author, direct_id
from .core.errors import Conflict, ConversationQuarantined, LimitExceeded, NotFound
from .core.messages import Record
from .core.principals import SYSTEM, Principal

if TYPE_CHECKING:
    from ._engine import Engine


class Blocks:
    """Who blocks whom among an engine's people; `Engine.blocks`.

    All verbs raise StoreUnavailable. `put` and `remove` also raise OutcomeUnknown, Overloaded and EngineClosed; then, as when
    they are cancelled, the store may have it and the direct conversation of the two, if it is live, may not have been told. Call
    them again.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turns: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()  # by blocker, while somebody waits

    async def put(self, user: Author | str, *, by: Principal) -> Block:
        """Block somebody, member of anything or not; the block as it stands, which may be an earlier one.

        Raises:
            Conflict: oneself.
            LimitExceeded: `by` blocks 1,000 people already.
            Unprocessable: the user cannot be stored.
        """
        user = as_author(user)
        check_author(user)
        if user.id == by.id:
            raise Conflict("nobody blocks oneself")
        async with self._turn(by.id):
            block = Block(by.id, user, self._engine.now_ms())
            kept = await self._engine.store.blocks.add(block, most=MAX_BLOCKS)
            if kept is None:
                raise LimitExceeded(f"one person blocks at most {MAX_BLOCKS} others: end some blocks")
            await self._tell(by.id, user.id, stands=True)
        return kept

    async def remove(self, user_id: str, *, by: Principal) -> None:
        """End a block; fine when there is none.

        Raises:
            Unprocessable: nobody can have this id.
        """
        check_author(as_author(user_id))
        async with self._turn(by.id):
            await self._engine.store.blocks.remove(by.id, user_id)
            await self._tell(by.id, user_id, stands=False)

    async def list_of(self, *, by: Principal, after: str | None = None, limit: int = 50) -> list[Block]:
        """One page of one's own blocks, by user id, ids greater than `after`."""
        return await self._engine.store.blocks.list_of(by.id, after=after, limit=limit)

    async def between(self, one: str, other: str) -> Blockers:
        """The ids of those of two people who block the other; for programs that let people meet elsewhere."""
        return await self._engine.store.blocks.between(one, other)

    async def check_begin(self, by: Principal, other: Author, record: Record) -> None:
        """Let pass who makes a direct conversation with another, or finds the one that they have.

        Args:
            record: as it would be made.

        Raises:
            Forbidden: one of the two blocks the other, and they have none.
        """
        blockers = await self.between(by.id, other.id)
        if blockers and await self._engine.store.load(record.id) is None:
            check_contact(by.id, blockers, "you may not begin a direct conversation with this person")

    def _turn(self, blocker: str) -> trio.Lock:
        return self._turns.setdefault(blocker, trio.Lock())

    async def _tell(self, blocker: str, user_id: str, *, stands: bool) -> None:
        conversation = direct_id(blocker, user_id)
        if not self._engine.is_live(conversation):
            return  # it reads the store before it takes a command
        waiting: Waiting[None] = Waiting()
        try:
            self._engine.send(conversation, NoteBlock(waiting.reply, SYSTEM, blocker, stands))
            await waiting.wait()
        except (NotFound, ConversationQuarantined):
            return  # nobody has made it, or it takes no posts until it is loaded anew
