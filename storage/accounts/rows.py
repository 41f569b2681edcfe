"""Rows of Postgres as records, for all stores of accounts."""

from __future__ import annotations

from typing import Final

from ...engine.core.principals import ServerRole
from ...engine.identity.records import User
from ..driver import Values

DUPLICATE: Final = "23505"
"""The state of a statement that would put a value twice into a unique index."""


def user_of(row: Values) -> User:
    """A user of its columns, as `sql.user_columns` names them."""
    user_id, username, name, role, password_hash, created_at_ms, disabled_at_ms, deleted_at_ms = row
    return User(
        id=user_id,
        username=username,
        name=name,
        role=ServerRole(role),
        password_hash=password_hash,
        created_at_ms=created_at_ms,
        disabled_at_ms=disabled_at_ms,
        deleted_at_ms=deleted_at_ms,
    )
