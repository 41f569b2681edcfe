"""Accounts that OpenID Connect identities open: logging in, signing up, linking, unlinking.

Invariants: an account is found by issuer and subject and by nothing else: an e-mail address or a user name that a provider tells
links nothing, so that nobody gets at an account by choosing either. An identity is linked to an account that exists only by a
session of that account, which must still be good when the login there is finished.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ...engine import Conflict, LimitExceeded, NotFound, Unprocessable
from ...engine.core.ids import display_name
from ...engine.core.principals import ServerRole
from ...engine.identity import rules
from ...engine.identity.external import ExternalIdentity
from ...engine.identity.records import TokenKind, User
from ..oidc import Link, LoginRefused, Reason
from ..oidc_claims import Profile

if TYPE_CHECKING:
    from .accounts import Accounts
    from .tokens import Issued

MAX_IDENTITIES: Final = 10
_NAMELESS: Final = "user"
_TRIES: Final = 8
_FREE_CHARS: Final = 27  # of a user name, so that a number fits behind it
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9._-]+")


class Federation:
    """What can be done with identities.

    Args:
        accounts: the accounts that they open.
        now_ms: the wall clock, milliseconds since the epoch.
    """

    def __init__(self, accounts: Accounts, now_ms: Callable[[], int]) -> None:
        self._accounts = accounts
        self._identities = accounts.store.identities
        self._now_ms = now_ms

    async def log_in(self, profile: Profile, label: str, *, may_sign_up: bool) -> Issued:
        """Log in whom an identity stands for; whoever comes for the first time gets an account, if that may be.

        Args:
            label: the program that asks, for lists of sessions.

        Raises:
            LoginRefused: it opens no account and makes none, or the account may not be used.
        """
        user = await self._identities.find(profile.issuer, profile.subject)
        if user is None:
            if not may_sign_up:
                raise _no_account()
            user = await self._first_login(profile, None)
        return await self._session(user, label)

    async def link(self, link: Link, profile: Profile, label: str, *, may_sign_up: bool) -> Issued | None:
        """Have an identity open the account that a session stands for. A guest becomes an account by it and gets another session;
        where the identity opens an account already, the guest is logged in there.

        Raises:
            LoginRefused: it opens another account; or the session is over; or a guest would need an account, and none is made.
            LimitExceeded: the account has as many as it may have.
        """
        owner = await self._still(link)
        if owner.role is ServerRole.GUEST:
            return await self._upgrade(owner, link, profile, label, may_sign_up=may_sign_up)
        if len(await self._identities.of(owner.id)) >= MAX_IDENTITIES:
            raise LimitExceeded(f"at most {MAX_IDENTITIES} identities: unlink one first")
        try:
            await self._identities.add(self._identity(profile, owner.id))
        except Conflict as error:
            raise LoginRefused(Reason.IDENTITY_TAKEN, str(error)) from None
        except NotFound:
            raise _disabled() from None
        return None

    async def _still(self, link: Link) -> User:
        """Whom the session that began it stands for: it may have been revoked meanwhile, perhaps because a thief had it."""
        try:
            await self._accounts.token(link.user, TokenKind.SESSION, link.token_id)
        except NotFound:
            raise LoginRefused(Reason.UNKNOWN_STATE, "the session that began this is over: begin again") from None
        user = await self._accounts.store.find_user(link.user)
        if user is None or not user.active:
            raise _disabled()
        return user

    async def _upgrade(self, guest: User, link: Link, profile: Profile, label: str, *, may_sign_up: bool) -> Issued:
        user = await self._identities.find(profile.issuer, profile.subject)
        if user is None:
            if not may_sign_up:
                raise _no_account()
            user = await self._first_login(profile, guest)
        issued = await self._session(user, label)
        if user.id == guest.id:
            await self._accounts.tokens.end(guest.id, only=link.token_id)
        return issued

    async def _session(self, user: User, label: str) -> Issued:
        if not user.active:
            raise _disabled()
        try:
            return await self._accounts.tokens.issue_session(user, label)
        except NotFound:
            raise _disabled() from None  # closed this very moment

    async def _first_login(self, profile: Profile, guest: User | None) -> User:
        """Make the account of an identity, under a user name that is free."""
        base = username_of(profile)
        for attempt in range(_TRIES):
            username = base if attempt == 0 else f"{base[:_FREE_CHARS]}-{secrets.randbelow(10_000):04}"
            user = User(
                id=self._accounts.tokens.fresh_id() if guest is None else guest.id,
                username=username,
                name=name_of(profile) if guest is None else guest.name,
                role=ServerRole.MEMBER,
                created_at_ms=self._now_ms(),
            )
            identity = self._identity(profile, user.id)
            try:
                if guest is None:
                    await self._identities.add_with_user(user, identity)
                else:
                    await self._identities.add_to_guest(user, identity)
            except Conflict:
                known = await self._identities.find(profile.issuer, profile.subject)
                if known is not None:  # two first logins at once
                    return known
            else:
                return user
        raise Conflict("no user name is free that is like this person's")

    def _identity(self, profile: Profile, user_id: str) -> ExternalIdentity:
        return ExternalIdentity(
            id=self._accounts.tokens.fresh_id(),
            issuer=profile.issuer,
            subject=profile.subject,
            user=user_id,
            created_at_ms=self._now_ms(),
        )

    # -- one's own ------------------------------------------------------------------------------------------------------

    async def of(self, user_id: str) -> list[ExternalIdentity]:
        """What opens an account."""
        return await self._identities.of(user_id)

    async def unlink(self, user_id: str, identity_id: str) -> None:
        """Have an identity open an account no more. Sessions that it opened stay: they are listed and revoked by themselves.

        Raises:
            NotFound: it does not.
            Conflict: nothing else would open the account.
        """
        if not await self._identities.end(user_id, identity_id):
            raise NotFound("no such identity")


def username_of(profile: Profile) -> str:
    """A user name after what the provider says; one that says nothing where that is none of ours."""
    for told in (profile.username, profile.email, profile.name):
        folded = _NOT_IN_NAMES.sub("-", rules.fold_username((told or "").partition("@")[0]).lower())
        try:
            return rules.username(folded.strip("._-")[: rules.MAX_USERNAME_CHARS].strip("._-"))
        except Unprocessable:
            continue
    return _NAMELESS


def name_of(profile: Profile) -> str:
    """A display name after what the provider says."""
    for told in (profile.name, profile.username):
        try:
            return display_name(told or "")
        except Unprocessable:
            continue
    return username_of(profile)


def _no_account() -> LoginRefused:
    return LoginRefused(Reason.NO_ACCOUNT, "this identity opens no account here, and none is made for it")


def _disabled() -> LoginRefused:
    return LoginRefused(Reason.ACCOUNT_DISABLED, "the account may not be used")
