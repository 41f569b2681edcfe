"""The verbs on invites: making, listing, revoking, looking at and accepting them. The rules stand in `core.invites`.

Accepting claims the invite in the store, then has the conversation's actor make the membership. When the second step fails:

* with a certain refusal (overloaded, full, the store is away) the claim is given back, and the invite is open again;
* without a known outcome, or when the server dies in between, the claim stands: the same user may accept again for ten minutes,
  which completes it; for everybody else the invite is used.

Left out: what a user is known by, which an invite may be bound to (the caller says).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import attrs

from .core.authors import Author
from .core.errors import Conflict, EngineError, Forbidden, LimitExceeded, NoLongerValid, NotFound, OutcomeUnknown
from .core.ids import ConversationId, conversation_id, message_id
from .core.invites import MAX_OPEN, Invite, check_entry, check_maker, check_open, check_ttl, fold_bound
from .core.members import Member, Role
from .core.messages import Record
from .core.permissions import Verb
from .core.principals import Principal
from .log import get_logger

if TYPE_CHECKING:
    from ._engine import Engine

_log = get_logger("hubbub.engine._invites")

PREFIX: Final = "hbi_"
MAX_TOKEN_CHARS: Final = 100

_PRUNE_EVERY_MS: Final = 3_600_000
_KEPT_MS: Final = 86_400_000  # after its end, so that who comes late is told what it was

Names = Callable[[Principal], Awaitable[frozenset[str]]]
"""What a user is known by, folded: user names and e-mail addresses that are certainly its own."""


@attrs.frozen
class MadeInvite:
    """A fresh invite with its token, shown this once."""

    token: str = attrs.field(repr=False)
    invite: Invite


@attrs.frozen
class Offer:
    """An invite as its bearer sees it, and the conversation that it is for."""

    invite: Invite
    record: Record


class Invites:
    """The invites of an engine's conversations; `Engine.invites`.

    All verbs raise StoreUnavailable and what `Conversation.describe` raises besides what they name.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._busy: set[tuple[str, str]] = set()  # being accepted or revoked: conversation and id of each
        self._prune_at_ms = 0

    async def make(
        self,
        name: str,
        *,
        by: Principal,
        role: Role = Role.MEMBER,
        ttl_s: int | None = None,
        bound_to: str | None = None,
    ) -> MadeInvite:
        """Make an invite into a conversation; durable when this returns.

        Args:
            by: who invites; only those in office may.
            role: what the invited person becomes; below the maker's own, never an owner.
            ttl_s: how long it is good, from a minute to 30 days; a week when left out.
            bound_to: the user name or e-mail address of the one person who may accept it.

        Raises:
            NotFound, Forbidden: `by` may not.
            Unprocessable: a bound.
            LimitExceeded: the conversation has 500 open invites.
            OutcomeUnknown: perhaps it was kept; nobody has its token, so make another one.
        """
        lasts_s, bound = check_ttl(ttl_s), fold_bound(bound_to)
        record = await self._engine.conversation(name).describe(by=by, verb=Verb.INVITE)
        made_as = check_maker(by, record, role)
        await self._prune_sometimes()
        now, token = self._engine.now_ms(), PREFIX + secrets.token_urlsafe(32)
        invite = Invite(
            id=self._engine.fresh_id(),
            digest=_digest(token),
            conversation=record.id,
            role=role,
            made_by=by.author,
            made_as=made_as,
            created_at_ms=now,
            expires_at_ms=now + 1000 * lasts_s,
            bound_to=bound,
        )
        if not await self._engine.store.invites.add(invite, most=MAX_OPEN):
            raise LimitExceeded(f"a conversation has at most {MAX_OPEN} open invites: revoke some")
        return MadeInvite(token, invite)

    async def list_of(self, name: str, *, by: Principal, after: str | None = None, limit: int = 50) -> list[Invite]:
        """One page of a conversation's invites, by id, which is by age: open ones, and those that ended within the last day.

        Raises:
            NotFound, Forbidden: `by` may not.
            InvalidCommand: `after` is no id.
        """
        if after is not None:
            message_id(after)
        await self._engine.conversation(name).describe(by=by, verb=Verb.INVITE)
        return await self._engine.store.invites.list_of(conversation_id(name), after=after, limit=limit)

    async def revoke(self, name: str, invite_id: str, *, by: Principal) -> None:
        """Take an invite back. One that was taken back already stays so.

        Raises:
            NotFound, Forbidden: `by` may not, or there is no such invite here.
            Conflict: somebody has joined by it, or is accepting it at this moment.
        """
        message_id(invite_id)
        await self._engine.conversation(name).describe(by=by, verb=Verb.INVITE)
        conversation = conversation_id(name)
        with self._alone(conversation, invite_id):
            found = await self._engine.store.invites.revoke(conversation, invite_id, now_ms=self._engine.now_ms())
        if found is None:
            raise NotFound("no such invite")
        if not found.revoked_at_ms:
            raise Conflict("the invite was used")

    async def look(self, token: str, *, by: Principal, names: Names) -> Offer:
        """What an invite is for.

        Raises:
            NotFound: no such invite.
            Forbidden: it is bound to somebody else, `by` is banned there, or has blocked who made it.
            NoLongerValid: it is used, revoked or over.
            Conflict: `by` is a member already.
        """
        digest = _digest(token)
        invite = await self._engine.store.invites.find(digest) if len(token) <= MAX_TOKEN_CHARS else None
        if invite is None:
            raise NotFound("no such invite")
        if invite.bound_to is not None and invite.bound_to not in await names(by):
            raise Forbidden("the invite is for another account")
        check_open(invite, by.id, self._engine.now_ms())
        if by.id in await self._engine.blocks.between(by.id, invite.made_by.id):
            raise Forbidden("you have blocked who made the invite: end the block first")
        record = await self._engine.conversation(invite.conversation).describe()
        check_entry(invite, record, by.id)
        return Offer(invite, record)

    async def accept(
        self, token: str, *, by: Principal, names: Names, request_id: str | None = None
    ) -> tuple[Invite, Member]:
        """Become a member by an invite: the invite, and the membership as it is then.

        Args:
            request_id: as in `Conversation.post`.

        Raises:
            as `look`, and Conflict: somebody is accepting it at this moment.
            OutcomeUnknown: call it again with the same token and the same account.
        """
        invite = (await self.look(token, by=by, names=names)).invite
        with self._alone(invite.conversation, invite.id):
            if not await self._engine.store.invites.claim(invite.digest, by.id, now_ms=self._engine.now_ms()):
                raise NoLongerValid("the invite was used")
            return invite, await self._join(invite, by.author, request_id)

    @contextmanager
    def _alone(self, conversation: ConversationId, invite_id: str) -> Iterator[None]:
        """One at a time accepts or revokes an invite: what was revoked brings nobody in, what brings somebody in was not.

        Raises:
            Conflict: another one does.
        """
        key = conversation, invite_id
        if key in self._busy:
            raise Conflict("somebody is accepting or revoking the invite at this moment")
        self._busy.add(key)
        try:
            yield
        finally:
            self._busy.discard(key)

    async def _join(self, invite: Invite, user: Author, request_id: str | None) -> Member:
        membership = attrs.evolve(self._engine.conversation(invite.conversation).members, request_id=request_id)
        try:
            inviter = None if invite.made_as is None else invite.made_by.id
            members = await membership.admit(user, invite.role, invited_by=inviter)
        except OutcomeUnknown:
            raise
        except EngineError:
            await self._note("give back", self._engine.store.invites.give_back, invite, user)
            raise
        await self._note("settle", self._engine.store.invites.settle, invite, user)
        return members[user.id]

    async def _note(
        self, what: str, step: Callable[[bytes, str], Awaitable[None]], invite: Invite, user: Author
    ) -> None:
        """What the store cannot note now stays as it is: the claim of this user, which ends by itself."""
        try:
            await step(invite.digest, user.id)
        except EngineError as error:
            _log.warning("a claim stays", step=what, invite=invite.id, error=repr(error))

    async def _prune_sometimes(self) -> None:
        now = self._engine.now_ms()
        if now < self._prune_at_ms:
            return
        self._prune_at_ms = now + _PRUNE_EVERY_MS
        try:
            await self._engine.store.invites.prune(now - _KEPT_MS)
        except EngineError as error:
            _log.warning("invites were not pruned", error=repr(error))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
