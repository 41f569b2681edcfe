"""Principals: who asks, in which role, and how much of that role a credential carries.

A principal is what a credential was resolved to. The role is the account's; scopes narrow what one credential may use of it (an
API key that only reads); grants widen what it may read (a signed token that opens a private conversation). What all of this
allows stands in `permissions`.
"""

from enum import StrEnum
from typing import Final

import attrs

from .authors import Author
from .ids import ConversationId


class ServerRole(StrEnum):
    """What an account is on this server."""

    ADMIN = "admin"
    """Runs it: users, limits, configuration; stands as an owner in every conversation but direct ones."""
    MEMBER = "member"
    GUEST = "guest"
    """Came without an account."""


class Scope(StrEnum):
    """What one credential may be used for; a session has all of them, an API key those it was made with."""

    READ = "read"
    """Read and follow conversations."""
    WRITE = "write"
    """Post, and signal."""
    MANAGE = "manage"
    """Make and change conversations, their members and invites, and one's own blocks."""
    ACCOUNT = "account"
    """Change one's own account, sessions and keys."""
    ADMIN = "admin"
    """Use the role of an admin."""


ALL_SCOPES: Final = frozenset(Scope)


@attrs.frozen
class Principal:
    """Who asks.

    Attributes:
        author: the part of it that others see.
        role: of the account.
        scopes: what the credential may be used for.
        grants: conversations that the credential itself opens for reading, whoever is a member.
        all_powerful: the embedding program itself, which no rule restrains.
    """

    author: Author
    role: ServerRole = attrs.field(default=ServerRole.MEMBER, kw_only=True)
    scopes: frozenset[Scope] = attrs.field(default=ALL_SCOPES, kw_only=True)
    grants: frozenset[ConversationId] = attrs.field(default=frozenset(), kw_only=True)
    all_powerful: bool = attrs.field(default=False, kw_only=True)

    @property
    def id(self) -> str:
        """The stable id that ownership and idempotency keys are bound to."""
        return self.author.id


SYSTEM: Final = Principal(Author("hubbub", "hubbub", "bot"), role=ServerRole.ADMIN, all_powerful=True)
"""The embedding program itself."""
