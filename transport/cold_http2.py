"""HTTP/2 (RFC 9113) on a connection of the cold lane: Hypercorn's, where what it does about bad or slow peers is made good.

Bounds and rules besides Hypercorn's own:
- Of an answer that the client does not take, `BUFFER_HIGH_WATER` bytes wait; Hypercorn 0.18 lets them grow where the client's
  window is shut, since it counts what it has taken out, not what is left.
- A stream whose client takes nothing of its answer is reset in the end, whatever else it does on the connection. So is one whose
  answer ends in the midst.
- A body that comes behind its answer is thrown away, up to `MAX_DISCARD_BYTES` on a connection; then its stream is reset.
- Streams are reset by clients that change their minds, and by floods (CVE-2023-44487): who resets most of what it asks is
  told to calm down (`MAX_RESETS`).
- CONNECT, and so WebSocket over HTTP/2 (RFC 8441), is answered with HTTP_1_1_REQUIRED, a malformed request with PROTOCOL_ERROR.
- Priorities (RFC 9113, section 5.3: deprecated) are passed over, pushes are never made.

A head without END_STREAM and without a length gets `transfer-encoding: chunked` on its way in, which is what HTTP/1.1 would have
said: whoever reads it knows that a body follows. Cookies that came in pieces are joined (section 8.2.3).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from copy import copy
from typing import Any

import trio
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated as GoneAway
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hypercorn.events import Closed, Updated
from hypercorn.events import Event as IoEvent
from hypercorn.protocol.events import Body, EndBody, Request, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import BUFFER_HIGH_WATER, BufferCompleteError, H2Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.trio.task_group import TaskGroup
from hypercorn.typing import ConnectionState
from hypercorn.utils import filter_pseudo_headers

from .cold_connection import Address, ColdServer

MAX_RESETS = 64
"""Streams that a client may reset before it matters how many it does not."""
MAX_DISCARD_BYTES = 16 * 1_048_576
"""As over HTTP/1.1: clients that send a whole body before they read should get their answer."""
_METHOD = re.compile(rb"[A-Z]{1,32}")
_PATH = re.compile(rb"[\x21-\x7e]{1,16384}")


class Http2Server(ColdServer):
    """A connection whose TLS handshake agreed on HTTP/2."""

    protocol: _Http2Protocol
    stall_s: float

    def make_protocol(self, task_group: TaskGroup, client: Address, server: Address) -> _Http2Protocol:
        config = copy(self.config)
        config.h2_max_header_list_size = config.h11_max_incomplete_size
        protocol = _Http2Protocol(
            self.app,
            config,
            self.context,
            task_group,
            ConnectionState(self.state),
            True,
            client,
            server,
            self.protocol_send,
        )
        protocol.stall_s = self.stall_s
        self.stream.on_gone = protocol.wake
        return protocol

    async def protocol_send(self, event: IoEvent) -> None:
        if not (self.input_ended and isinstance(event, Updated)):
            await super().protocol_send(event)


class _Stalled(Exception):
    """The client takes nothing of an answer."""


class _Buffer:
    """What waits of one answer. Takes the place of Hypercorn's `StreamBuffer`.

    Args:
        stall_s: how long nothing of it may be taken while somebody waits for that.

    Attributes:
        ended: nothing will be added.
    """

    def __init__(self, stall_s: float) -> None:
        self.ended = False
        self._stall_s = stall_s
        self._data = bytearray()
        self._sent = False
        self._moved = trio.Event()
        self._moved_s = 0.0

    async def push(self, data: bytes) -> None:
        """Add `data`, and wait until there is room for more.

        Raises:
            BufferCompleteError: the answer is over.
            _Stalled: nothing is taken.
        """
        if self.ended:
            raise BufferCompleteError
        if not self._data:
            self._moved_s = trio.current_time()
        self._data += data
        while len(self._data) >= BUFFER_HIGH_WATER:
            await self._wait()

    def set_complete(self) -> None:
        """Nothing will be added."""
        self.ended = True
        if not self._data:
            self._moved_s = trio.current_time()

    async def drain(self) -> None:
        """Wait until all of it has been sent, its end included."""
        while not self._sent:
            await self._wait()

    def take(self, max_bytes: int) -> tuple[bytes, bool]:
        """What is sent next, and whether the answer ends with it."""
        data = bytes(self._data[:max_bytes])
        if data:
            del self._data[:max_bytes]
            self._moved_s = trio.current_time()
            self._stir()
        return data, self.ended and not self._data

    def drop(self) -> None:
        """It is over: whoever waits goes on, and nothing is kept."""
        self.ended = self._sent = True
        self._data.clear()
        self._stir()

    def _stir(self) -> None:
        self._moved.set()
        self._moved = trio.Event()

    async def _wait(self) -> None:
        with trio.move_on_at(self._moved_s + self._stall_s):
            await self._moved.wait()
            return
        raise _Stalled


class _Http2Protocol(H2Protocol):
    stall_s: float
    stream_buffers: dict[int, _Buffer]  # type: ignore[assignment]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._requests = self._resets = self._discarded_bytes = 0
        connection, config = self.connection, self.config
        connection.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: config.h2_max_concurrent_streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: config.h2_max_header_list_size,
            },
        )
        connection.decoder.max_header_list_size = config.h2_max_header_list_size

    async def handle(self, event: IoEvent) -> None:
        if isinstance(event, Closed):
            self.closed = True  # first, so that what is dropped is not taken for an answer's end
            self.wake()
        await super().handle(event)

    async def stream_send(self, event: StreamEvent) -> None:
        try:
            if isinstance(event, StreamClosed):
                await self._cut(event.stream_id)
            await super().stream_send(event)
        except _Stalled:
            await self._cut(event.stream_id)
            await self._close_stream(event.stream_id)

    async def _cut(self, stream_id: int) -> None:
        """Reset a stream whose answer has not come to its end."""
        if stream_id in self.stream_buffers:
            with contextlib.suppress(ProtocolError):  # the client has reset it, or the connection is closed
                self.connection.reset_stream(stream_id, ErrorCodes.CANCEL)
            self._forget(stream_id)
            await self._flush()

    async def _send_data(self, stream_id: int) -> None:
        """Send what a stream may send now; the end in one piece with the last of it, so that nothing comes between."""
        buffer = self.stream_buffers[stream_id]
        try:
            window = self.connection.local_flow_control_window(stream_id)
            data, last = buffer.take(max(0, min(window, self.connection.max_outbound_frame_size)))
            if data or last:
                self.connection.send_data(stream_id, data, end_stream=last)
        except ProtocolError:  # reset, or closed
            last = True
        if last:
            self._forget(stream_id)
        elif not data:
            self.priority.block(stream_id)
        await self._flush()

    def _forget(self, stream_id: int) -> None:
        self.stream_buffers.pop(stream_id).drop()
        self.priority.remove_stream(stream_id)

    def wake(self) -> None:
        """The connection is gone: nobody waits for it any longer."""
        for buffer in self.stream_buffers.values():
            buffer.drop()

    async def _handle_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, RequestReceived):
                await self._request(event)
            elif isinstance(event, DataReceived):
                await self._data(event)
            elif isinstance(event, StreamEnded):
                if (stream := self.streams.get(event.stream_id)) is not None:
                    await stream.handle(EndBody(stream_id=event.stream_id))
            elif isinstance(event, StreamReset):
                await self._reset(event)
            elif isinstance(event, WindowUpdated):
                await self._window_updated(event.stream_id)
            elif isinstance(event, RemoteSettingsChanged):
                if SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
                    await self._window_updated(None)
            elif isinstance(event, GoneAway):
                await self.send(Closed())
            if self.closed:
                return
        await self._flush()

    async def _request(self, event: RequestReceived) -> None:
        self._requests += 1
        if self.context.terminated.is_set():
            self.connection.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        fields = {bytes(name): bytes(value) for name, value in event.headers if name[:1] == b":"}
        if fields[b":method"] == b"CONNECT":
            self.connection.reset_stream(event.stream_id, ErrorCodes.HTTP_1_1_REQUIRED)
        elif not _METHOD.fullmatch(fields[b":method"]) or not _PATH.fullmatch(fields[b":path"]):
            self.connection.reset_stream(event.stream_id, ErrorCodes.PROTOCOL_ERROR)
        else:
            await self.send(Updated(idle=False))
            await self._open(event, fields)

    async def _open(self, event: RequestReceived, fields: Mapping[bytes, bytes]) -> None:
        stream_id = event.stream_id
        stream = self.streams[stream_id] = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            stream_id,
        )
        self.stream_buffers[stream_id] = _Buffer(self.stall_s)
        self.priority.insert_stream(stream_id)
        self.priority.block(stream_id)
        await stream.handle(
            Request(
                stream_id=stream_id,
                headers=_headers(event),
                http_version="2",
                method=fields[b":method"].decode("ascii"),
                raw_path=fields[b":path"],
                state=self.connection_state,
            )
        )

    async def _data(self, event: DataReceived) -> None:
        stream, length = self.streams.get(event.stream_id), event.flow_controlled_length
        if stream is not None:
            await stream.handle(Body(stream_id=event.stream_id, data=event.data))
            self.connection.acknowledge_received_data(length, event.stream_id)
            return
        self._discarded_bytes += length
        if self._discarded_bytes <= MAX_DISCARD_BYTES:
            self.connection.acknowledge_received_data(length, event.stream_id)
            return
        with contextlib.suppress(ProtocolError):  # it has ended by itself
            self.connection.reset_stream(event.stream_id, ErrorCodes.NO_ERROR)
        if length:
            self.connection.increment_flow_control_window(length)

    async def _reset(self, event: StreamReset) -> None:
        self._resets += 1
        await self._close_stream(event.stream_id)
        await self._window_updated(event.stream_id)
        if not self.streams:
            await self.send(Updated(idle=True))
        if self._resets > MAX_RESETS and 2 * self._resets > self._requests:
            self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            await self._flush()
            await self.send(Closed())


def _headers(event: RequestReceived) -> list[tuple[bytes, bytes]]:
    """The fields as HTTP/1.1 would have brought them."""
    fields = filter_pseudo_headers([(bytes(name), bytes(value)) for name, value in event.headers])
    crumbs = [value for name, value in fields if name == b"cookie"]
    if len(crumbs) > 1:
        fields = [(name, value) for name, value in fields if name != b"cookie"]
        fields.append((b"cookie", b"; ".join(crumbs)))
    if event.stream_ended is None and not any(name == b"content-length" for name, _ in fields):
        fields.append((b"transfer-encoding", b"chunked"))
    return fields
