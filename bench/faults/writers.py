"""Writers: they post under idempotency keys, again and again until they are acked, and repeat old posts now and then.

Every try, ack and refusal goes into the ledger. A stubborn writer repeats a post until it is acked. One that is not takes a
refusal that says "not stored, and never will be" for an answer when it is the answer to its only try: such a post must not
appear later. A repeat of an old post must give its old ack.
"""

from __future__ import annotations

from http import HTTPStatus
from random import Random
from types import TracebackType
from typing import Final, Protocol, Self

import attrs
import msgspec
import trio

from ..wire import WireError
from .client import Gone, Http, Refused, Target, WebSocket
from .ledger import Ledger
from .protocol import Message, Problem, decode, post

_RETRY_S: Final = (0.02, 0.15)
_REPEATS: Final = 0.05
_THINK_S: Final = 0.02
_SETTLED: Final = frozenset(
    {"store_unavailable", "overloaded", "rate_limited", "limit_exceeded", "quarantined", "closed", "503", "106", "111"}
)
"""Codes that say that the post is not stored and never will be (docs/protocol.md); numbers are those of a WebSocket."""


class Poster(Protocol):
    """A way to post. A context manager that lets go of its connection."""

    async def post(self, conversation: str, text: str) -> Message:
        """Post once, the text being the key.

        Raises:
            Gone: no answer.
            Refused: the server said no.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class RestPoster:
    """Posts by REST, over one connection."""

    def __init__(self, target: Target) -> None:
        self._http = Http(target)

    async def post(self, conversation: str, text: str) -> Message:
        """See `Poster`."""
        answer = await self._http.call(
            "POST",
            f"/conversations/{conversation}/messages",
            msgspec.json.encode({"text": text}),
            f"Idempotency-Key: {text[:64]}\r\n",
        )
        try:
            if answer.status == HTTPStatus.CREATED:
                return decode(answer.body, Message)
            raise Refused(decode(answer.body, Problem).code)
        except WireError as exc:
            raise Gone(str(exc)) from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()


class SocketPoster:
    """Posts by `rpc` over one WebSocket, which is opened again when it is gone."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._open: WebSocket | None = None
        self._next_id = 1

    async def post(self, conversation: str, text: str) -> Message:
        """See `Poster`. Cancelled, it lets go of the connection."""
        socket, self._open = self._open, None
        if socket is None:
            socket = await WebSocket.connect(self._target)
        self._next_id += 1
        try:
            document = await socket.ask(self._next_id, post(self._next_id, conversation, text))
        except Refused:
            self._open = socket
            raise
        except BaseException:
            socket.close()
            raise
        self._open = socket
        if document.rpc is None:
            raise Gone("an answer without a message")
        return document.rpc.data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


async def write(ledger: Ledger, name: str, poster: Poster, rng: Random, *, stubborn: bool) -> None:
    """Post until the ledger says stop; the post at hand is still settled."""
    with poster:
        writer = _Writer(ledger=ledger, name=name, poster=poster, rng=rng, stubborn=stubborn)
        number = 0
        while not ledger.stopping:
            number += 1
            text = f"{name}-{number}"
            acked = await writer.settle(text)
            if acked and rng.random() < _REPEATS:
                await writer.settle(f"{name}-{rng.randint(1, number)}")
            await trio.sleep(rng.uniform(0.0, _THINK_S))


@attrs.frozen(kw_only=True)
class _Writer:
    ledger: Ledger
    name: str
    poster: Poster
    rng: Random
    stubborn: bool

    async def settle(self, text: str) -> bool:
        """Post until there is an answer that settles it; says whether it was acked."""
        while True:
            sent_at = self.ledger.tried(text)
            try:
                message = await self.poster.post(self.ledger.conversation, text)
            except Gone:
                pass
            except Refused as refused:
                settled = refused.code in _SETTLED
                self.ledger.refused(text, refused.code, settled=settled)
                if settled and not self.stubborn and self.ledger.tries(text) == 1:
                    self.ledger.given_up(text)
                    return False
            else:
                self.ledger.ack(self.name, text, sent_at, message)
                return True
            await trio.sleep(self.rng.uniform(*_RETRY_S))
