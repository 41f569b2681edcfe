"""The calls of keys: when one was last used, which an owner reads before revoking those that nobody needs."""

from __future__ import annotations

import json

import trio
from trio.testing import MockClock

from .house import House, house

KEYS = "/api/v1/auth/keys"


async def last_used(there: House) -> str | None:
    """Of the one key."""
    [key] = json.loads((await there.call("GET", KEYS)).body)["keys"]
    found: str | None = key["last_used_at"]
    return found


async def test_a_key_that_was_never_used_says_so(autojump_clock: MockClock) -> None:
    """Also after it was shown and rotated; the first use is written down at once, however soon it comes."""
    async with house() as there:
        there.token = (await there.log_in()).token
        made = json.loads((await there.call("POST", KEYS, {"label": "ci"})).body)
        assert made["last_used_at"] is None
        await trio.sleep(1)
        rotated = json.loads((await there.call("POST", f"{KEYS}/{made['id']}/rotate")).body)
        assert (rotated["last_used_at"], await last_used(there)) == (None, None)
        own, there.token = there.token, rotated["key"]
        assert (await there.call("GET", "/api/v1/auth/me")).status == 200
        there.token = own
        await trio.sleep(1)
        used = await last_used(there)
        assert used is not None
        assert used > made["created_at"]
