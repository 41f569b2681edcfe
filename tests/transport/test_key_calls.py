"""The calls of one's own API keys: the bounds of what they say, and when a key was last used."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
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


@pytest.mark.parametrize(
    ("expires_in_s", "overlap_s", "statuses"),
    [
        (60, 0, (201, 200)),
        (60.0, 76.0, (201, 200)),
        (None, None, (201, 200)),
        (59, 604_801, (400, 400)),
        (60.5, 0.5, (400, 400)),
        (True, False, (400, 400)),
        ("60", "0", (400, 400)),
        (1e300, 1e300, (400, 400)),
    ],
)
async def test_times_are_whole_seconds_however_they_are_written(
    expires_in_s: Any, overlap_s: Any, statuses: tuple[int, int], autojump_clock: MockClock
) -> None:
    """A number without a fraction is whole, as in JSON Schema; nothing else is, and it has bounds."""
    async with house() as there:
        ada = attrs.evolve(there, token=(await there.log_in()).token)
        key = json.loads((await ada.call("POST", KEYS, {})).body)["id"]
        made = await ada.call("POST", KEYS, {"expires_in_s": expires_in_s})
        rotated = await ada.call("POST", f"{KEYS}/{key}/rotate", {"overlap_s": overlap_s})
        assert (made.status, rotated.status) == statuses
