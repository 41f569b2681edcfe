"""The lobby: the public conversation in which users of the server's own, guests and accounts, meet first.

An embedding program that knows its users by itself, and lets nobody else in, has none.
"""

from __future__ import annotations

from ..engine import Engine, Visibility
from .identity.settings import SignUp
from .live import LiveSettings

LOBBY = "lobby"


async def open_lobby(engine: Engine) -> None:
    """Make it where it is not there yet.

    Raises:
        StoreUnavailable, OutcomeUnknown: the next start makes it.
    """
    await engine.create(LOBBY, title="Lobby", visibility=Visibility.PUBLIC, exist_ok=True)


def lets_people_in(settings: LiveSettings) -> bool:
    """Whether people may come of whom the server knows nothing yet."""
    return settings.access.guests or settings.access.sign_up is not SignUp.OFF
