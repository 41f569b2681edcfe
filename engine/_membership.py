"""Membership: what an embedder does with the members of a conversation; `Conversation.members` makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ._waiting import Waiting
from .core.authors import Author, as_author
from .core.compose import compose_member
from .core.ids import ConversationId, check_request_id
from .core.members import Member, MemberAction, MemberChange, Members, Role
from .core.messages import Ack, Record
from .core.principals import SYSTEM, Principal

if TYPE_CHECKING:
    from ._engine import Engine


@attrs.frozen
class Membership:
    """The members, mutes and bans of one conversation.

    Every verb waits until its event is committed (`member.joined`, `member.left` or `member.changed`) and gives the members as
    they are then; what already is so is answered at once, without an event. They raise what `Conversation.post` raises, and
    Forbidden, Conflict (the last owner; a ban that stands), NotFound (no such member) and LimitExceeded. Cancellation leaves the
    change on its way.

    A `user` may be a plain text: id and name at once. `by` is who does it, with that principal's rights; the embedding program
    itself when left out.

    Attributes:
        request_id: the name of the request that its changes are made for, as in `Conversation.post`; `attrs.evolve` gives one.
    """

    _engine: Engine = attrs.field(repr=False)
    id: ConversationId
    request_id: str | None = None

    async def all(self) -> Members:
        """Members, mutes and bans, by user id."""
        from ._handles import Conversation

        return (await Conversation(self._engine, self.id).describe()).members

    async def get(self, user_id: str) -> Member | None:
        """One row, or None."""
        return (await self.all()).get(user_id)

    async def put(self, user: Author | str, role: Role = Role.MEMBER, *, by: Principal = SYSTEM) -> Members:
        """Make somebody a member, or give a member another role.

        Raises:
            Forbidden: also where one of `user` and `by` blocks the other, and `user` is no member yet.
        """
        user = as_author(user)
        blockers = frozenset() if by.all_powerful else await self._engine.blocks.between(by.id, user.id)
        return await self._change(MemberChange(user=user, action=MemberAction.PUT, role=role, blockers=blockers), by)

    async def join(self, principal: Principal) -> Members:
        """Have a principal join a public conversation."""
        return await self._change(MemberChange(user=principal.author, action=MemberAction.JOIN), principal)

    async def admit(self, user: Author, role: Role, *, invited_by: str | None = None) -> Members:
        """Bring in somebody who was invited, in that person's own name, into a private conversation too.

        Who belongs already stays what it is; a ban stands (Conflict).

        Args:
            invited_by: the id of who must still be in an office here that gives this role (NoLongerValid).
        """
        wish = MemberChange(user=user, action=MemberAction.JOIN, role=role, invited_by=invited_by)
        return await self._change(wish, Principal(user, all_powerful=True))

    async def remove(self, user: Author | str, *, by: Principal = SYSTEM) -> Members:
        """End a membership. Its subscriptions end with the event, where the conversation is private."""
        return await self._change(MemberChange(user=as_author(user), action=MemberAction.REMOVE), by)

    async def mute(self, user: Author | str, *, until_ms: int, by: Principal = SYSTEM) -> Members:
        """Keep somebody from speaking until a time, milliseconds since the epoch; 0 ends it."""
        return await self._change(MemberChange(user=as_author(user), action=MemberAction.MUTE, until_ms=until_ms), by)

    async def ban(self, user: Author | str, *, by: Principal = SYSTEM) -> Members:
        """End a membership, if there is one, and keep its user out. Its subscriptions end with the event."""
        return await self._change(MemberChange(user=as_author(user), action=MemberAction.BAN), by)

    async def unban(self, user: Author | str, *, by: Principal = SYSTEM) -> Members:
        """Forget a ban; it gives no membership back."""
        return await self._change(MemberChange(user=as_author(user), action=MemberAction.UNBAN), by)

    async def _change(self, wish: MemberChange, by: Principal) -> Members:
        waiting: Waiting[Ack | Record] = Waiting()
        stamp = self._engine.stamp(request_id=check_request_id(self.request_id))
        name, command = compose_member(by, self.id, wish, stamp, waiting.reply)
        self._engine.send(name, command)
        record = await waiting.wait()
        assert isinstance(record, Record)
        return record.members
