"""When people are let in of whom the server knows nothing yet."""

from __future__ import annotations

import pytest

from hubbub.engine import StoreUnavailable
from hubbub.transport.identity.settings import SignUp
from hubbub.transport.live import AccessSettings, LiveSettings
from hubbub.transport.lobby import LOBBY, keep_opening_lobby, lets_people_in, open_lobby

from .house import house


@pytest.mark.parametrize(
    ("guests", "sign_up", "expected"),
    [
        (False, SignUp.OFF, False),
        (True, SignUp.OFF, True),
        (False, SignUp.OPEN, True),
        (False, SignUp.INVITE, True),
    ],
)
def test_who_needs_a_lobby(guests, sign_up, expected):
    """Guests, and those who may sign up; a server of an embedding program's users alone has none."""
    assert lets_people_in(LiveSettings(access=AccessSettings(guests=guests, sign_up=sign_up))) is expected


async def test_the_lobby_is_made_once(autojump_clock):
    """Made again, it stays what it is."""
    async with house() as there:
        await open_lobby(there.engine)
        made = await there.engine.store.load(LOBBY)
        await open_lobby(there.engine)
        assert await there.engine.store.load(LOBBY) == made


async def test_the_lobby_is_made_when_the_store_is_back(autojump_clock, monkeypatch):
    """Settings that let people in may change while the store is away; they find a lobby all the same."""
    async with house() as there:
        create, tries = there.store.create, []

        async def away_twice(record):
            tries.append(record)
            if len(tries) < 3:
                raise StoreUnavailable("away")
            await create(record)

        monkeypatch.setattr(there.engine.store, "create", away_twice)
        await keep_opening_lobby(there.engine)
        assert len(tries) == 3
        assert await there.engine.store.load(LOBBY) is not None
