"""Hypercorn's connection without its ways into TLS and other protocols: one stream, one protocol chosen beforehand."""

from __future__ import annotations

import trio
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.utils import parse_socket_addr

from .cold_stream import ColdStream

Address = tuple[str, int] | None


class ColdServer(TCPServer):
    """Serves one connection; a protocol makes it whole.

    Attributes:
        input_ended: the peer sends no more; nothing may start the idle timer again, which the connection would wait for.
    """

    input_ended = False

    protocol: H11Protocol | H2Protocol  # type: ignore[assignment]
    stream: ColdStream  # type: ignore[assignment]

    def make_protocol(self, task_group: TaskGroup, client: Address, server: Address) -> H11Protocol | H2Protocol:
        """The protocol that is spoken."""
        raise NotImplementedError

    async def run(self) -> None:
        """Serve it to its end."""
        try:
            sock = self.stream.socket
            client = parse_socket_addr(sock.family, sock.getpeername())
            server = parse_socket_addr(sock.family, sock.getsockname())
            async with TaskGroup() as task_group:
                self._task_group = task_group
                self.protocol = self.make_protocol(task_group, client, server)
                await self.protocol.initiate()
                await self.idle_task.restart(task_group, self._idle_timeout)
                await self._read_data()
                self.input_ended = True
                await self.idle_task.stop()  # the task group would wait for it
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):  # the peer has gone
            pass
        finally:
            await self._close()
