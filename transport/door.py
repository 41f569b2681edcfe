"""The door: every connection that is accepted begins here, as HTTP, and is served in the table or let go to the cold lane."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from ..actors import summary_of
from ..engine.log import get_logger
from .centrifugal_settings import SocketSettings
from .http import HttpMachine
from .http_message import RequestHead
from .http_route import Cold, Route
from .http_settings import HttpSettings
from .ports import Connection, Machine
from .router import Router
from .sse import StreamSettings

_log = get_logger("hubbub.transport.door")


@attrs.frozen(kw_only=True)
class DoorSettings:
    """Bounds of the protocols behind the door."""

    http: HttpSettings = attrs.field(factory=HttpSettings)
    socket: SocketSettings = attrs.field(factory=SocketSettings)
    stream: StreamSettings = attrs.field(factory=StreamSettings)


class Door:
    """Gives connections their first machine.

    Args:
        router: where requests are served.
        leave: takes a connection out to the cold lane, with the bytes read so far.
        settings: bounds of a connection that speaks HTTP.
    """

    def __init__(self, router: Router, leave: Callable[[Connection, bytes], None], settings: HttpSettings) -> None:
        self._router = router
        self._cold = Cold(leave)
        self._settings = settings

    def machine(self, conn: Connection) -> Machine:
        """The machine of a connection that was just accepted."""
        api = self._router.api
        return HttpMachine(conn, self._route, self._settings, self._report, api.manners, api.watch.turned_away)

    def _route(self, head: RequestHead, machine: HttpMachine) -> Route:
        return self._router.route(head) or self._cold

    @staticmethod
    def _report(error: Exception) -> None:
        _log.error("request failed", error=summary_of(error), exc_info=error)
