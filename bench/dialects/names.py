"""The dialects by name, as a job names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import Dialect
from .events import EventStreams
from .hubbub import HubbubSocket
from .plain import Plain
from .socketio import SocketIo

DIALECTS: Final[dict[str, Callable[[], Dialect]]] = {
    "hubbub": HubbubSocket,
    "sse": EventStreams,
    "plain": Plain,
    "socketio": SocketIo,
}


def dialect(name: str) -> Dialect:
    """A new one of this name.

    Raises:
        KeyError: There is none.
    """
    return DIALECTS[name]()
