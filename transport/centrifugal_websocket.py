"""The Centrifugal protocol over WebSocket: one connection both ways, commands in text frames, codes in Close frames."""

from __future__ import annotations

from .api import Api
from .centrifugal import CentrifugalConnection
from .centrifugal_framing import WEBSOCKET
from .centrifugal_settings import SocketSettings
from .http_message import RequestHead, Response
from .ports import Connection
from .websocket import (
    Close,
    FrameReader,
    Ping,
    Pong,
    Text,
    Violation,
    check_upgrade,
    close_frame,
    handshake_response,
    pong_frame,
)


class WebSocketConnection(CentrifugalConnection):
    """A WebSocket that speaks the protocol.

    Args:
        conn: the connection.
        head: the upgrade request; a credential in it is checked before the upgrade.
        api: what transports share.
        settings: bounds.
    """

    transport = "websocket"
    opening_status = 101

    __slots__ = ("_reader",)

    def __init__(self, conn: Connection, head: RequestHead, api: Api, settings: SocketSettings) -> None:
        self._reader = FrameReader(settings.max_frame_bytes)
        super().__init__(conn, head, api, settings, WEBSOCKET)

    def received(self, data: bytes) -> None:
        """Take frames."""
        self._reader.feed(data)
        self._handle_input()

    def _refusal(self, head: RequestHead) -> Response | None:
        return check_upgrade(head)

    def _opening(self, head: RequestHead) -> bytes:
        return handshake_response(head, self.api.manners.lines(head))

    def _next_input(self) -> bool:
        match self._reader.next_event():
            case Text(payload):
                self._documents = [line for line in reversed(payload.split(b"\n")) if line]
            case Ping(payload):
                self._conn.write(pong_frame(payload))
            case Pong():
                pass
            case Close(code, _):
                self._end(close_frame(code if code != 1005 else 1000))
            case Violation(code, reason):
                self._end(close_frame(code, reason))
            case None:
                return False
        return True
