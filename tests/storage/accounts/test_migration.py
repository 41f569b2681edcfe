"""Guests of before accounts existed: their tokens are good after the migration, and stand for the same users."""

from __future__ import annotations

import hashlib

import pytest

from hubbub.engine.core.principals import ALL_SCOPES, ServerRole
from hubbub.engine.identity.records import TokenKind
from hubbub.storage import PostgresStore
from hubbub.storage.driver import open_driver
from hubbub.storage.migrate import migrate, packaged

from ..postgres_server import PostgresServer

pytestmark = pytest.mark.postgres

OLD = """
insert into tokens (digest, author_id, name, kind, created_at, expires_at) values
    (decode('{eve}', 'hex'), 'guest-1', 'Eve', 'guest', '2026-01-01Z', '2026-02-01Z'),
    (decode('{bob}', 'hex'), 'guest-2', 'Bob', 'guest', '2026-01-02Z', '2026-02-02Z')
"""
FEBRUARY_MS = 1_769_904_000_000


async def test_tokens_of_before_are_kept(postgres: PostgresServer, database: str) -> None:
    """Each guest is a user, each token a session with its old end."""
    eve, bob = (hashlib.sha256(name).digest() for name in (b"hbg_eve", b"hbg_bob"))
    url = postgres.url(database)
    async with open_driver() as driver:
        session = await driver.connect(url, {})
        await migrate(session, [known for known in packaged() if known.number < 3])
        await session.aclose()
    postgres.sql(database, OLD.format(eve=eve.hex(), bob=bob.hex()))
    async with PostgresStore.open(url) as store:
        found = await store.accounts.find_token(eve)
        assert found is not None
        user, token = found.user, found.token
        assert (user.id, user.name, user.role, user.active) == ("guest-1", "Eve", ServerRole.GUEST, True)
        assert (token.kind, token.scopes, token.expires_at_ms) == (TokenKind.SESSION, ALL_SCOPES, FEBRUARY_MS)
        other = await store.accounts.find_token(bob)
        assert other is not None
        assert other.token.id != token.id
