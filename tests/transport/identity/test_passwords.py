"""Passwords: argon2id, in few threads, with few waiting, and as slow for those that are nobody's."""

from __future__ import annotations

import argon2
import pytest
import trio

from hubbub.engine import Overloaded
from hubbub.transport.identity import passwords
from hubbub.transport.identity.passwords import Passwords


async def test_a_password_fits_its_hash_and_no_other() -> None:
    """The hash is argon2id and another one each time."""
    hashes = Passwords()
    one, two = await hashes.hash("correct horse"), await hashes.hash("correct horse")
    assert one.startswith("$argon2id$v=19$")
    assert one != two
    assert await hashes.fits("correct horse", one)
    for wrong in ("Correct horse", "correct horse ", "", "x" * 300, "a\x00b", "\ud800"):
        assert not await hashes.fits(wrong, one)


async def test_what_is_no_password_and_what_has_none_is_hashed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever measures learns nothing: each of these goes through the same work."""
    verified: list[tuple[str, str]] = []

    class Counting(argon2.PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002  argon2's own name
            verified.append((str(hash), str(password)))
            return super().verify(hash, password)

    hasher = Counting(time_cost=2, memory_cost=19_456, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    hashes = Passwords()
    kept = await hashes.hash("correct horse")
    for password, known in (("wrong horse", kept), ("any", None), ("x" * 1_000_000, kept), ("\x00", None)):
        assert not await hashes.fits(password, known)
    assert len(verified) == 4
    costs = {kept_hash.split("$")[3] for kept_hash, _ in verified}
    assert costs == {"m=19456,t=2,p=1"}
    assert all(len(password) <= 256 for _, password in verified)


def test_the_hash_that_fits_nothing_costs_what_others_cost() -> None:
    """Else a name that nobody has could be told by the time; and it is never mended as dated."""
    assert not Passwords.is_dated(passwords._FITS_NOTHING)
    assert Passwords.is_dated(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x"))


async def test_hashing_is_bounded() -> None:
    """Two at once, so many waiting; past that the answer is Overloaded, at once, and there is room again afterwards."""
    hashes = Passwords(threads=2, waiting=3)
    outcomes: list[str] = []

    async def ask() -> None:
        try:
            await hashes.hash("correct horse")
        except Overloaded:
            outcomes.append("refused")
        else:
            outcomes.append("hashed")

    async with trio.open_nursery() as nursery:
        for _ in range(9):
            nursery.start_soon(ask)
    assert outcomes == ["refused"] * 4 + ["hashed"] * 5
    assert await hashes.fits("correct horse", await hashes.hash("correct horse"))


async def test_who_gives_up_leaves_room() -> None:
    """A cancelled check counts no more."""
    hashes = Passwords(threads=1, waiting=0)
    for _ in range(3):
        with trio.move_on_after(0):
            await hashes.hash("correct horse")
    assert await hashes.hash("correct horse")
