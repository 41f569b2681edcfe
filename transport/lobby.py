"""The lobby: the public conversation in which users of the server's own, guests and accounts, meet first.

An embedding program that knows its users by itself, and lets nobody else in, has none.
"""

from __future__ import annotations

from typing import Final

import trio

from ..engine import Engine, Visibility
from ..engine.core.errors import StoreError
from .identity.settings import SignUp
from .live import LiveSettings

LOBBY = "lobby"
_RETRY_S: Final = 2.0


async def open_lobby(engine: Engine) -> None:
    """Make it where it is not there yet.

    Raises:
        StoreUnavailable, OutcomeUnknown: call it again.
    """
    await engine.create(LOBBY, title="Lobby", visibility=Visibility.PUBLIC, exist_ok=True)


async def keep_opening_lobby(engine: Engine) -> None:
    """As `open_lobby`, and again until the store has taken it, or the engine ends: people are let in already."""
    while not engine.draining:
        try:
            await open_lobby(engine)
            break
        except StoreError:
            await trio.sleep(_RETRY_S)


def lets_people_in(settings: LiveSettings) -> bool:
    """Whether people may come of whom the server knows nothing yet."""
    return settings.access.guests or settings.access.sign_up is not SignUp.OFF
