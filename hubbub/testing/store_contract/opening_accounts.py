"""How a contract suite gets at the store of accounts under test, and what it keeps there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Any

import attrs
import pytest

from ...engine.core.principals import ServerRole
from ...engine.identity.ports import AccountStore
from ...engine.identity.records import Invitation, TokenKind, TokenRecord, User

NOW_MS = 1_800_000_000_123
HASH = "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"
_numbers = count(1)


def user(username: str | None = None, *, role: ServerRole = ServerRole.MEMBER, **fields: Any) -> User:
    """A user with a fresh id; without a user name a guest."""
    number = next(_numbers)
    known = User(
        id=f"user-{number:06}",
        username=username,
        name=f"Name {number}",
        role=role if username is not None else ServerRole.GUEST,
        password_hash=None if username is None else HASH,
        created_at_ms=NOW_MS,
    )
    return attrs.evolve(known, **fields)


def token(owner: User, *, kind: TokenKind = TokenKind.SESSION, **fields: Any) -> TokenRecord:
    """A token with a fresh id and digest."""
    number = next(_numbers)
    known = TokenRecord(
        digest=number.to_bytes(32),
        id=f"token-{number:06}",
        user=owner.id,
        kind=kind,
        created_at_ms=NOW_MS + number,
        last_used_at_ms=NOW_MS + number,
        expires_at_ms=NOW_MS + 1_000_000,
        former_until_ms=NOW_MS + number,
    )
    return attrs.evolve(known, **fields)


def invitation(**fields: Any) -> Invitation:
    """An invitation with a fresh id and digest."""
    number = next(_numbers)
    known = Invitation(
        digest=number.to_bytes(32),
        id=f"invitation-{number:06}",
        role=ServerRole.MEMBER,
        created_by="admin",
        created_at_ms=NOW_MS + number,
        expires_at_ms=NOW_MS + 1_000_000,
        label="for Eve",
    )
    return attrs.evolve(known, **fields)


@pytest.mark.trio
class OpensAccounts:
    """Gives each test the fixture `accounts`: open and empty."""

    def open_accounts(self) -> AbstractAsyncContextManager[AccountStore]:
        """Open an empty store of accounts; for the subclass to define."""
        raise NotImplementedError("a contract suite needs open_accounts")

    @pytest.fixture
    async def accounts(self, request: pytest.FixtureRequest) -> AsyncIterator[AccountStore]:
        """The store under test."""
        suite: OpensAccounts = request.instance  # as in `opening`
        async with suite.open_accounts() as accounts:
            yield accounts
