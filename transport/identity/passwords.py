"""Passwords: hashed with argon2id in few threads, with few waiting.

Parameters are those of OWASP's Password Storage Cheat Sheet (19 MiB, two passes, one lane): about 30 ms a time on a slow core.
So many at once and so many waiting; who comes then is refused, since hashing is the dearest thing that a stranger can ask
for. A name that nobody has is checked against a hash that fits nothing, which takes as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import argon2
import trio

from ...engine import Overloaded
from ...engine.identity import rules

_THREADS: Final = 2
_WAITING: Final = 16
_HASHER: Final = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=argon2.Type.ID)
_FITS_NOTHING: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)


class Passwords:
    """Hashes and checks passwords.

    Args:
        threads: how many at once.
        waiting: how many more may wait.
    """

    def __init__(self, *, threads: int = _THREADS, waiting: int = _WAITING) -> None:
        self._limiter = trio.CapacityLimiter(threads)
        self._bound = threads + waiting
        self._asked = 0

    async def hash(self, password: str) -> str:
        """The hash to keep, argon2id in PHC text form.

        Raises:
            Overloaded: too many wait.
        """
        with self._turn():
            return await trio.to_thread.run_sync(_HASHER.hash, password, limiter=self._limiter)

    async def fits(self, password: str, kept: str | None) -> bool:
        """Whether a password is the one of a hash; takes as long when there is no hash.

        Raises:
            Overloaded: too many wait.
        """
        with self._turn():
            return await trio.to_thread.run_sync(_fits, password, kept, limiter=self._limiter)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One of the bounded number of calls."""
        if self._asked >= self._bound:
            raise Overloaded("too many passwords are being checked")
        self._asked += 1
        try:
            yield
        finally:
            self._asked -= 1

    @staticmethod
    def is_dated(kept: str) -> bool:
        """Whether a hash was made with other parameters than today's, and is to be made anew at the next login."""
        return _HASHER.check_needs_rehash(kept)


def _fits(password: str, kept: str | None) -> bool:
    possible = rules.may_be_password(password)
    try:
        _HASHER.verify(kept or _FITS_NOTHING, password if possible else "")
    except argon2.exceptions.VerificationError:
        return False
    return possible and kept is not None
