"""The operator: who may look into a running server, and what there is to see besides the engine.

One token stands for the operator. The server keeps its SHA-256 digest, compares in constant time, and never logs it. It opens the
routes of admins and nothing else: it is no account, reads no room and posts nothing.

Left out: the endpoints (`admin`), the figures (`metrics`), where the token is kept (`hubbub.operator_token`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import attrs

from ..engine import Author, Principal
from ..engine.core.principals import Scope, ServerRole
from .auth import NEVER_MS, Credential
from .ledger import TableStatistics
from .loop_lag import LoopLag

if TYPE_CHECKING:
    from .cold import ColdStatistics

_DIGEST_BYTES: Final = 32

OPERATOR: Final = Credential(
    Principal(Author("operator", "operator", "bot"), role=ServerRole.ADMIN, scopes=frozenset({Scope.ADMIN})), NEVER_MS
)
"""Whom the token stands for."""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


@attrs.frozen
class OperatorKey:
    """What tells the operator's token from all others, without being it.

    Attributes:
        digest: SHA-256 of the token.
    """

    digest: bytes = attrs.field(repr=False)

    @digest.validator
    def _is_a_digest(self, attribute: object, digest: bytes) -> None:
        if len(digest) != _DIGEST_BYTES:
            raise ValueError("an operator key is a SHA-256 digest")

    @classmethod
    def of(cls, token: str) -> OperatorKey:
        """The key of a token. Tokens are random and long: their digest needs no salt.

        Raises:
            ValueError: the token is too short to be one.
        """
        if len(token) < _DIGEST_BYTES:
            raise ValueError(f"an operator token has at least {_DIGEST_BYTES} characters")
        return cls(_digest(token))

    def admits(self, token: str) -> bool:
        """Whether this is the token; takes as long for a wrong one."""
        return hmac.compare_digest(self.digest, _digest(token))


@attrs.frozen(kw_only=True)
class Operator:
    """The operator's access to one server.

    Attributes:
        key: who may, besides the admins; None where no token is kept.
        table, cold: statistics of the connections.
        lag: how late the event loop is.
    """

    key: OperatorKey | None
    table: Callable[[], TableStatistics]
    cold: Callable[[], ColdStatistics]
    lag: LoopLag
