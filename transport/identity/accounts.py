"""Accounts: signing up, logging in, changing, closing. What the calls of `account_calls`, `key_calls` and `user_calls` share.

Whatever it changes, it tells the `Authenticator`, so that no remembered token and nothing open speaks for what was before. A
login that fails says the same, after about the same time, whether the name is unknown, has no password, is disabled, or the
password is wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Self

import attrs

from ...engine import Conflict, Engine, EngineError, Forbidden, LimitExceeded, NotFound, Unauthenticated
from ...engine.core.ids import display_name
from ...engine.core.principals import Scope, ServerRole
from ...engine.identity import rules
from ...engine.identity.ports import AccountStore
from ...engine.identity.records import Invitation, TokenKind, TokenRecord, User, UserChange
from ..auth import Authenticator, Credential
from . import secret
from .passwords import Passwords
from .settings import IdentitySettings, SignUp
from .setup import Setup
from .tokens import Issued, Tokens

WRONG_LOGIN: Final = "user name or password is wrong"
MAX_INVITATIONS: Final = 1_000
FRESH_MS: Final = 600_000
"""How long after its login a session stands for a password that an account does not have."""


@attrs.frozen(kw_only=True)
class Application:
    """What somebody asks for who signs up, as it came in.

    Attributes:
        name: what others will see; the user name when there is none.
        invitation: the secret of an invitation.
        label: the program that asks.
    """

    username: str
    password: str = attrs.field(repr=False)
    name: str | None = None
    invitation: str | None = attrs.field(default=None, repr=False)
    label: str = ""


class Accounts:
    """What can be done with accounts.

    Args:
        store: keeps them.
        auth: is told what changes.
        tokens: makes and ends their tokens.
        now_ms: the wall clock, milliseconds since the epoch.
        setup: the way to the first administrator.
        passwords: hashes.
    """

    def __init__(
        self,
        store: AccountStore,
        auth: Authenticator,
        tokens: Tokens,
        now_ms: Callable[[], int],
        setup: Setup,
        passwords: Passwords | None = None,
    ) -> None:
        self.store = store
        self.tokens = tokens
        self._auth = auth
        self.setup = setup
        self._now_ms = now_ms
        self._passwords = passwords or Passwords()

    @classmethod
    def over(
        cls,
        engine: Engine,
        auth: Authenticator,
        start_soon: Callable[[Callable[[], Awaitable[None]]], None],
        settings: Callable[[], IdentitySettings],
        setup: Setup | None = None,
        passwords: Passwords | None = None,
    ) -> Self:
        """Those of an engine's store; without `setup` there is no way to a first administrator."""
        store, now_ms = engine.store.accounts, engine.now_ms
        tokens = Tokens(store, auth, now_ms, start_soon, settings)
        return cls(store, auth, tokens, now_ms, setup or Setup(needed=False), passwords)

    # -- getting in -----------------------------------------------------------------------------------------------------

    async def make_first_admin(self, token: str, application: Application, settings: IdentitySettings) -> Issued:
        """Make the first administrator with the one-time token, and log in.

        Raises:
            Conflict: there is one already, or the user name is taken.
            Forbidden: a wrong token.
            Unprocessable: name or password cannot be taken.
        """
        with self.setup.using(token):
            user = await self._applicant(application, settings, ServerRole.ADMIN)
            await self.store.add_first_admin(user)
        return await self.tokens.issue_session(user, application.label)

    async def sign_up(self, application: Application, policy: SignUp, settings: IdentitySettings) -> Issued:
        """Make an account and log in.

        Raises:
            Forbidden: accounts are made by administrators only, or by the invited.
            NotFound: the invitation is no good.
            Conflict: the user name is taken.
            Unprocessable: name or password cannot be taken.
        """
        invitation = await self._invited(application, policy)
        user = await self._applicant(application, settings, self._role_of(invitation))
        await self.store.add_user(user, None if invitation is None else invitation.digest, now_ms=self._now_ms())
        return await self.tokens.issue_session(user, application.label)

    async def upgrade(
        self, credential: Credential, token: str, application: Application, policy: SignUp, settings: IdentitySettings
    ) -> Issued:
        """Make a guest an account with the same id, which owns what the guest has owned. Its session gets another token.

        Raises:
            Forbidden: it is no guest; or as `sign_up`, as for the rest.
        """
        if credential.principal.role is not ServerRole.GUEST or not credential.token_id:
            raise Forbidden("only a guest can become an account")
        invitation = await self._invited(application, policy)
        author = credential.principal.author
        asked = attrs.evolve(application, name=author.name if application.name is None else application.name)
        user = attrs.evolve(await self._applicant(asked, settings, self._role_of(invitation)), id=author.id)
        await self.store.upgrade_guest(user, None if invitation is None else invitation.digest, now_ms=self._now_ms())
        ends = self._now_ms() + round(settings.session_s * 1000)
        try:
            return await self.tokens.rotate_session(credential, token, expires_at_ms=ends)
        finally:
            self._auth.changed(user)

    async def log_in(self, username: str, password: str, label: str) -> Issued:
        """Log in with a user name and a password.

        Raises:
            Unauthenticated: one of them is wrong, or the account may not be used.
            Overloaded: too many passwords are being checked.
        """
        folded = rules.fold_username(username)
        user = await self.store.find_username(folded) if rules.may_be_username(folded) else None
        kept = user.password_hash if user is not None and user.active else None
        if not await self._passwords.fits(password, kept) or user is None or kept is None:
            raise Unauthenticated(WRONG_LOGIN)
        if self._passwords.is_dated(kept):
            change = UserChange(password_hash=await self._passwords.hash(password))
            await self.store.change_user(user.id, change, now_ms=self._now_ms())
        try:
            return await self.tokens.issue_session(user, label)
        except NotFound:
            raise Unauthenticated(WRONG_LOGIN) from None  # closed while the password was checked

    async def _applicant(self, application: Application, settings: IdentitySettings, role: ServerRole) -> User:
        username = rules.username(application.username)
        name = display_name(application.username if application.name is None else application.name)
        password = rules.password(application.password, username=username, min_chars=settings.password_min_chars)
        if await self.store.find_username(username) is not None:
            raise Conflict("this user name is taken")  # said again by the store; here it saves a hash
        return User(
            id=self.tokens.fresh_id(),
            username=username,
            name=name,
            role=role,
            password_hash=await self._passwords.hash(password),
            created_at_ms=self._now_ms(),
        )

    async def _invited(self, application: Application, policy: SignUp) -> Invitation | None:
        """The invitation that somebody comes with; None where none is needed."""
        if application.invitation is None:
            if policy is not SignUp.OPEN:
                raise Forbidden(self._why_closed(policy))
            return None
        if policy is SignUp.OFF:
            raise Forbidden("nobody can sign up here, the invited neither")
        found = await self.store.find_invitation(secret.digest(application.invitation))
        if found is None or found.used_by is not None or found.expires_at_ms <= self._now_ms():
            raise NotFound("no such invitation: it is unknown, used or over")
        return found

    def _why_closed(self, policy: SignUp) -> str:
        """What somebody hears who comes without an invitation. That a server waits for its link is no secret: the link's own
        endpoint says so to anybody, with its status."""
        if self.setup.token is not None:
            return "this server has no administrator yet: the link that it has printed makes the first"
        if policy is SignUp.INVITE:
            return "accounts are for the invited, and no invitation was shown"
        return "nobody can sign up here"

    @staticmethod
    def _role_of(invitation: Invitation | None) -> ServerRole:
        return ServerRole.MEMBER if invitation is None else invitation.role

    # -- one's own ------------------------------------------------------------------------------------------------------

    async def own(self, credential: Credential) -> User:
        """The user behind a credential.

        Raises:
            Forbidden: it is none of ours: the embedding program knows who that is.
        """
        user = await self.store.find_user(credential.principal.id)
        if user is None or not credential.token_id:
            raise Forbidden("this credential has no account here")
        return user

    async def rename(self, credential: Credential, name: str) -> User:
        """Take another display name; what was written keeps the one that it was written under."""
        await self.own(credential)
        return await self.change(credential.principal.id, UserChange(name=display_name(name)))

    async def change_password(self, credential: Credential, present: str, new: str, settings: IdentitySettings) -> User:
        """Take another password; every other session is over. Keys stay: they are listed and revoked by themselves.

        Raises:
            Forbidden: the present password is wrong, or there is none.
            Unprocessable: the new one cannot be taken.
        """
        user = await self._confirmed(credential, present)
        rules.password(new, username=user.username or "", min_chars=settings.password_min_chars)
        change = UserChange(password_hash=await self._passwords.hash(new))
        changed = await self.store.change_user(user.id, change, now_ms=self._now_ms())
        await self.tokens.end(user.id, kind=TokenKind.SESSION, keep=credential.token_id)
        return changed

    async def close_own(self, credential: Credential, password: str) -> None:
        """Delete one's own account.

        Raises:
            Forbidden: the password is wrong.
            Conflict: nobody would be left who administers the server.
        """
        user = await self._confirmed(credential, password)
        await self.delete(user.id)

    async def _confirmed(self, credential: Credential, password: str) -> User:
        """The account behind a credential, whose person is there just now: by its password, or where an account is opened by
        others' word alone, by a fresh login."""
        user = await self.own(credential)
        if user.password_hash is None and user.username is not None:
            await self._check_fresh(credential)
        elif not await self._passwords.fits(password, user.password_hash):
            raise Forbidden("the present password is wrong")
        return user

    async def _check_fresh(self, credential: Credential) -> None:
        try:
            session = await self.token(credential.principal.id, TokenKind.SESSION, credential.token_id)
        except NotFound:  # a key
            raise Forbidden("the account has no password: ask with a session") from None
        if self._now_ms() - session.created_at_ms > FRESH_MS:
            raise Forbidden("the account has no password: log in again first")

    # -- keys -----------------------------------------------------------------------------------------------------------

    async def make_key(
        self,
        credential: Credential,
        label: str,
        scopes: frozenset[Scope],
        expires_at_ms: int | None,
        settings: IdentitySettings,
    ) -> Issued:
        """Make an API key for oneself.

        Raises:
            LimitExceeded: there are as many as one may have.
        """
        user = await self.own(credential)
        there = await self.store.list_tokens(user.id, TokenKind.KEY)
        now = self._now_ms()
        if sum(key.expires_at_ms is None or now < key.expires_at_ms for key in there) >= settings.keys_per_user:
            raise LimitExceeded(f"at most {settings.keys_per_user} keys: revoke one first")
        return await self.tokens.issue_key(user, label, scopes, expires_at_ms)

    async def rotate_key(self, credential: Credential, key_id: str, *, overlap_ms: int) -> Issued:
        """Give a key another secret.

        Raises:
            NotFound: no such key of one's own.
            Forbidden: it may be used for more than the credential that asks.
        """
        user = await self.own(credential)
        record = await self.token(user.id, TokenKind.KEY, key_id)
        if not record.scopes <= credential.principal.scopes:
            raise Forbidden("the key may be used for more than what its rotation is asked with")
        issued = await self.tokens.rotate_key(record, overlap_ms=overlap_ms)
        if issued is None:
            raise NotFound("no such key")
        return issued

    async def token(self, user_id: str, kind: TokenKind, token_id: str) -> TokenRecord:
        """A token of a user.

        Raises:
            NotFound: there is none.
        """
        for record in await self.store.list_tokens(user_id, kind):
            if record.id == token_id:
                return record
        raise NotFound(f"no such {kind.value}")

    # -- administration -------------------------------------------------------------------------------------------------

    async def change(self, user_id: str, change: UserChange) -> User:
        """Change a user, at once for all that is remembered and open.

        Raises:
            NotFound: there is none.
            Conflict: nobody would be left who administers the server, or a guest was to get a role.
        """
        if change.role is not None:
            user = await self.store.find_user(user_id)
            if user is not None and user.role is ServerRole.GUEST:
                raise Conflict("a guest gets a role by becoming an account")
        try:
            changed = await self.store.change_user(user_id, change, now_ms=self._now_ms())
        except EngineError:
            self._auth.forget(user_id)
            raise
        self._auth.changed(changed)
        return changed

    async def make_user(self, application: Application, role: ServerRole, settings: IdentitySettings) -> User:
        """Make an account for somebody else.

        Raises:
            Conflict: the user name is taken.
            Unprocessable: name or password cannot be taken.
        """
        user = await self._applicant(application, settings, role)
        await self.store.add_user(user, now_ms=self._now_ms())
        return user

    async def reset_password(self, user: User, new: str, settings: IdentitySettings) -> User:
        """Give somebody another password; every session of theirs is over.

        Raises:
            Conflict: a guest has none.
            Unprocessable: it cannot be taken.
        """
        if user.username is None:
            raise Conflict("a guest has no password")
        rules.password(new, username=user.username, min_chars=settings.password_min_chars)
        change = UserChange(password_hash=await self._passwords.hash(new))
        changed = await self.store.change_user(user.id, change, now_ms=self._now_ms())
        await self.tokens.end(user.id, kind=TokenKind.SESSION)
        return changed

    async def delete(self, user_id: str) -> None:
        """Delete an account: its personal data and its tokens go, what it wrote stays.

        Raises:
            NotFound: there is none.
            Conflict: nobody would be left who administers the server.
        """
        try:
            await self.store.delete_user(user_id, now_ms=self._now_ms())
        finally:
            self._auth.forget(user_id)
        self._auth.closed(user_id)

    async def invite(
        self, by: Credential, role: ServerRole, label: str, settings: IdentitySettings
    ) -> tuple[str, Invitation]:
        """Invite somebody to sign up; the secret is shown this once."""
        token, now = secret.make(secret.INVITATION), self._now_ms()
        invitation = Invitation(
            digest=secret.digest(token),
            id=self.tokens.fresh_id(),
            role=role,
            label=label,
            created_by=by.principal.id,
            created_at_ms=now,
            expires_at_ms=now + round(settings.invitation_s * 1000),
        )
        await self.store.add_invitation(invitation)
        return token, invitation
