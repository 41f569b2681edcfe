"""The load of one round: writers and readers at work in one conversation, clerks in another, and waiting for them with deadlines.

Runs against any server that speaks the protocol; it knows nothing of processes and faults.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from random import Random
from typing import Final

import attrs
import msgspec
import trio

from ..wire import WireError
from .bans import Register, keep_bans
from .client import Gone, Http, Refused, Target
from .ledger import Ledger
from .protocol import Created, Guest, Page, Problem, decode
from .readers import KINDS, LATECOMERS
from .writers import Poster, RestPoster, SocketPoster, write

_POLL_S: Final = 0.01
_RETRY_S: Final = 0.1
_PAGE: Final = 500


@attrs.frozen(kw_only=True)
class Load:
    """How many are at work.

    Attributes:
        writers: half of them by REST, half by WebSocket; of each half every second one takes no for an answer.
        readers: in turn WebSocket and event stream, of those that stay and of those that come and go.
        clerks: ban and unban.
    """

    writers: int = 8
    readers: int = 8
    clerks: int = 2


async def until(condition: Callable[[], bool], within_s: float) -> bool:
    """Wait for the world outside to become so; says whether it did."""
    with trio.move_on_after(within_s):
        while not condition():  # noqa: ASYNC110  it is other processes' doing as well
            await trio.sleep(_POLL_S)
        return True
    return False


async def _insist(target: Target, path: str, body: object, wanted: HTTPStatus, within_s: float) -> bytes:
    """Ask again and again until it is answered."""
    last = "no answer"
    http = Http(target)
    try:
        with trio.move_on_after(within_s):
            while True:
                try:
                    answer = await http.call(
                        "GET" if body is None else "POST", path, b"" if body is None else msgspec.json.encode(body)
                    )
                    if answer.status == wanted:
                        return answer.body
                    last = decode(answer.body, Problem).code
                except (Gone, WireError) as exc:
                    last = str(exc)
                await trio.sleep(_RETRY_S)
    finally:
        http.close()
    raise Gone(f"{path}: {last} for {within_s:g} s")


async def become_guest(target: Target, within_s: float = 20.0) -> Target:
    """The same target with a token.

    Raises:
        Gone: it could not be got in time.
    """
    body = await _insist(target, "/auth/guest", {"name": "Fault harness"}, HTTPStatus.CREATED, within_s)
    return attrs.evolve(target, token=decode(body, Guest).token)


async def open_conversation(target: Target, name: str, now: Callable[[], float], within_s: float = 20.0) -> Ledger:
    """A ledger for a conversation that is made now.

    Raises:
        Gone: it could not be made in time.
    """
    body = await _insist(target, "/conversations", {"id": name, "visibility": "public"}, HTTPStatus.CREATED, within_s)
    return Ledger(name, decode(body, Created).epoch, now)


async def open_register(target: Target, name: str, within_s: float = 20.0) -> Register:
    """A register for a conversation that is made now.

    Raises:
        Gone: it could not be made in time.
    """
    await _insist(target, "/conversations", {"id": name}, HTTPStatus.CREATED, within_s)
    return Register(name)


class Crowd:
    """Everybody at work in one round. Made by `open_crowd`."""

    def __init__(self, target: Target, ledger: Ledger, register: Register, load: Load, nursery: trio.Nursery) -> None:
        self._target = target
        self._ledger = ledger
        self._register = register
        self._nursery = nursery
        self._writers: dict[str, bool] = {}
        self._clerks: dict[str, bool] = {}
        self._readers: list[str] = []
        self._staying: list[str] = []
        self._load = load

    def begin(self, random: Callable[[str], Random]) -> None:
        """Start all of them; `random` gives each a generator of its own."""
        for number in range(self._load.readers):
            kind = KINDS[number % len(KINDS)]
            name = f"{kind.name}-{number}"
            self._readers.append(name)
            if kind.stays:
                self._staying.append(name)
            self._nursery.start_soon(kind.run, self._target, self._ledger, name, random(name))
        for number in range(self._load.writers):
            kind_of = ("rest", RestPoster) if number % 2 == 0 else ("socket", SocketPoster)
            name = f"{kind_of[0]}-writer-{number}"
            self._writers[name] = False
            poster: Poster = kind_of[1](self._target)
            self._nursery.start_soon(self._write, name, poster, random(name), number % 4 < 2)
        for number in range(self._load.clerks):
            name = f"outlaw-{number}"
            self._clerks[name] = False
            self._nursery.start_soon(self._keep_bans, name, random(name))

    async def _keep_bans(self, name: str, rng: Random) -> None:
        await keep_bans(self._target, self._register, name, rng)
        self._clerks[name] = True

    async def _write(self, name: str, poster: Poster, rng: Random, stubborn: bool) -> None:
        await write(self._ledger, name, poster, rng, stubborn=stubborn)
        self._writers[name] = True

    def latecomers(self, random: Callable[[str], Random]) -> None:
        """Two more readers, who read all of it from the beginning."""
        for kind in LATECOMERS:
            self._readers.append(kind.name)
            self._nursery.start_soon(kind.run, self._target, self._ledger, kind.name, random(kind.name))

    async def reached(self, acks: int, within_s: float) -> bool:
        """Wait until so many posts were acked and all who want to stay have come; says whether it was so."""
        return await until(
            lambda: self._ledger.acked >= acks and all(self._ledger.is_joined(name) for name in self._staying), within_s
        )

    async def recovered(self, within_s: float) -> bool:
        """Wait until every writer got an ack for a post that it sent after the fault; says whether they all did."""
        return await until(lambda: all(self._ledger.has_recovered(name) for name in self._writers), within_s)

    async def settle(self, within_s: float) -> None:
        """Let writers and clerks settle what they have in hand; who cannot do so in time is left behind."""
        self._ledger.stopping = self._register.stopping = True
        await until(lambda: all(self._writers.values()) and all(self._clerks.values()), within_s)

    async def arrive(self, head: int, within_s: float) -> tuple[str, ...]:
        """Wait until every reader has reached this offset; gives those that have not, with where they stand."""
        await until(lambda: not self._behind(head), within_s)
        return tuple(f"{name} stands at {self._ledger.cursor(name)} of {head}" for name in self._behind(head))

    def _behind(self, head: int) -> list[str]:
        return [name for name in self._readers if self._ledger.cursor(name) < head]

    async def read_pages(self) -> None:
        """Read the history page by page, as one more reader.

        Raises:
            Gone, Refused: it could not be read.
        """
        name, after = "pages", 0
        self._ledger.reads(name)
        http = Http(self._target)
        try:
            page = Page((), 0)
            while page.next is not None:
                path = f"/conversations/{self._ledger.conversation}/messages?after={after}&limit={_PAGE}"
                answer = await http.call("GET", path)
                if answer.status != HTTPStatus.OK:
                    raise Refused(decode(answer.body, Problem).code)
                page = decode(answer.body, Page)
                for message in page.messages:
                    self._ledger.seen(name, message.offset, message.text)
                after = page.next or after
        finally:
            http.close()


@asynccontextmanager
async def open_crowd(target: Target, ledger: Ledger, register: Register, load: Load) -> AsyncIterator[Crowd]:
    """A crowd, sent away when the block is left."""
    async with trio.open_nursery() as nursery:
        yield Crowd(target, ledger, register, load, nursery)
        nursery.cancel_scope.cancel()
