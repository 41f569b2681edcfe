"""The one-time link that makes the first administrator.

While a server has none, a token stands in memory alone, another one at each start; whoever shows it makes the first
administrator, and after that nobody does. `serve` prints the link, so that only who sees the server's output can use it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from contextlib import contextmanager

from ...engine import Conflict, Forbidden
from . import secret

PAGE = "/setup"


class Setup:
    """The link's token, or that it is used up.

    Args:
        needed: there is no administrator yet.
    """

    def __init__(self, *, needed: bool) -> None:
        token = secret.make(secret.SETUP) if needed else None
        self._digest = None if token is None else secret.digest(token)
        self._in_use = False
        self.token = token
        """To be printed once; None where there is an administrator."""

    def link(self, base_url: str) -> str | None:
        """The link to print. The token stands behind `#`, so that no log on the way has it."""
        return None if self.token is None else f"{base_url}{PAGE}#{self.token}"

    @contextmanager
    def using(self, token: str) -> Iterator[None]:
        """Use the token up in the time of the block; when it raises, the token is good again.

        Raises:
            Conflict: there is an administrator, or somebody is becoming one at this moment.
            Forbidden: it is another token.
        """
        if self._digest is None or self._in_use:
            raise Conflict("this server is set up already")
        if not hmac.compare_digest(self._digest, secret.digest(token)):
            raise Forbidden("this is not the token that the server has printed")
        self._in_use = True
        try:
            yield
            self.close()
        finally:
            self._in_use = False

    def close(self) -> None:
        """There is an administrator now."""
        self._digest = self.token = None
