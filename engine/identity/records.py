"""What is kept of users and of the tokens that stand for them.

Invariants: a token is never in here, only its SHA-256 digest; a password never, only its argon2id hash. Neither is shown by
`repr`. Times are milliseconds since the Unix epoch (UTC).

A user is anybody with an id of the server's own: somebody with an account, or a guest. A guest has no user name and no password
and may become an account under the same id. A deleted user stays as an empty row, so that its id is never given away and what
it owned still has an owner to show; what others read keeps the name it was written under.
"""

from __future__ import annotations

from enum import StrEnum

import attrs

from ..core.authors import Author
from ..core.principals import ALL_SCOPES, Scope, ServerRole

DELETED_NAME = "Deleted user"
"""What a deleted user is called from then on."""


@attrs.frozen(kw_only=True)
class User:
    """One user.

    Attributes:
        id: for ever; what ownership, membership and idempotency keys are bound to.
        username: what it logs in with, folded (`rules.username`); None for a guest and for a deleted user.
        name: what others see.
        password_hash: argon2id in PHC text form; None where there is no password to log in with.
        disabled_at_ms: since when it may do nothing at all; None when it may.
        deleted_at_ms: since when it is gone.
    """

    id: str
    name: str
    role: ServerRole
    created_at_ms: int
    username: str | None = None
    password_hash: str | None = attrs.field(default=None, repr=False)
    disabled_at_ms: int | None = None
    deleted_at_ms: int | None = None

    @property
    def active(self) -> bool:
        """Whether tokens may stand for it."""
        return self.disabled_at_ms is None and self.deleted_at_ms is None

    @property
    def author(self) -> Author:
        """It as others see it."""
        return Author(self.id, self.name, "guest" if self.role is ServerRole.GUEST else "user")


GUEST_MARK = " (guest)"
"""Behind the name that a guest gave itself, where it stands beside user names: no user name holds blanks."""


def called(username: str | None, name: str) -> str:
    """What tells a user from others for people: nobody can choose a name that looks like another's user name."""
    return name + GUEST_MARK if username is None else username


@attrs.frozen(kw_only=True)
class UserChange:
    """What an update changes; None is untouched."""

    name: str | None = None
    role: ServerRole | None = None
    disabled: bool | None = None
    password_hash: str | None = attrs.field(default=None, repr=False)


class TokenKind(StrEnum):
    """What a token is for."""

    SESSION = "session"  # a login: idle and absolute expiry, a few per user
    KEY = "key"  # for programs: scopes, no idle expiry


@attrs.frozen(kw_only=True)
class TokenRecord:
    """A session or an API key as it is stored.

    Attributes:
        digest: SHA-256 of the token, 32 bytes.
        id: its public name, for lists and for revoking it.
        user: whom it stands for.
        label: what its user calls it, or the program that logged in; for people.
        scopes: what it may be used for; a session may be used for everything that its user may do.
        last_used_at_ms: some minutes coarse; when it was made, where it was never used.
        expires_at_ms: when it ends whatever happens; None never.
        former_digest: of the token before the last rotation, or None.
        former_until_ms: until when that one is still good.
    """

    digest: bytes = attrs.field(repr=False)
    id: str
    user: str
    kind: TokenKind
    created_at_ms: int
    last_used_at_ms: int
    expires_at_ms: int | None
    label: str = ""
    scopes: frozenset[Scope] = ALL_SCOPES
    former_digest: bytes | None = attrs.field(default=None, repr=False)
    former_until_ms: int = 0

    @property
    def used(self) -> bool:
        """Whether anything was asked with it; a session is made by a login, which is a use."""
        return self.kind is TokenKind.SESSION or self.last_used_at_ms > self.created_at_ms


@attrs.frozen
class Holder:
    """A token that was found, and whom it stands for."""

    token: TokenRecord
    user: User


@attrs.frozen(kw_only=True)
class Invitation:
    """A way to sign up where accounts are for the invited: good once, until it expires or is withdrawn.

    Attributes:
        digest: SHA-256 of its secret, 32 bytes.
        role: what the new account will be.
        label: for whom it is meant, for people.
        used_by: the user that was made with it, or None.
    """

    digest: bytes = attrs.field(repr=False)
    id: str
    role: ServerRole
    created_by: str
    created_at_ms: int
    expires_at_ms: int
    label: str = ""
    used_by: str | None = None
