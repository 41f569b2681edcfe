"""What the clients of the harness read and write: documents of the WebSocket, blocks of event streams, REST bodies. Pure.

Frames and the handshake are `bench.wire`'s. This adds what a bench reader does not need: ids and offsets of acks, recovery,
and the blocks of event streams. Only what a hubbub server sends is understood; anything else is a `WireError`.
"""

from __future__ import annotations

from typing import Final, TypeVar

import attrs
import msgspec

from ..wire import Refusal, WireError

MAX_BLOCK_BYTES: Final = 1 << 20
_T = TypeVar("_T")


class Message(msgspec.Struct, frozen=True):
    """A message, in an event, an ack or a page."""

    id: str = ""
    offset: int = 0
    text: str = ""
    created_at: str = ""


class Event(msgspec.Struct, frozen=True):
    """An event; a durable one has an offset."""

    type: str = ""
    offset: int | None = None
    message: Message | None = None

    @property
    def post(self) -> str:
        """The name of the post that it shows, or what else it is."""
        return self.type if self.message is None else self.message.text


class Publication(msgspec.Struct, frozen=True):
    """An event of a channel."""

    data: Event = Event()


class Push(msgspec.Struct, frozen=True):
    """What a server sends unasked."""

    pub: Publication | None = None
    unsubscribe: dict[str, object] | None = None


class Subscribed(msgspec.Struct, frozen=True):
    """The answer to a subscribe."""

    offset: int = 0
    was_recovering: bool = False
    recovered: bool = False
    publications: tuple[Publication, ...] = ()


class Rpc(msgspec.Struct, frozen=True):
    """The answer to an rpc; `post` gives the message."""

    data: Message = Message()


class Document(msgspec.Struct, frozen=True):
    """Any one JSON document of the server."""

    id: int = 0
    error: Refusal | None = None
    subscribe: Subscribed | None = None
    rpc: Rpc | None = None
    push: Push | None = None


class Problem(msgspec.Struct, frozen=True):
    """A problem document."""

    code: str = "unknown"


class Page(msgspec.Struct, frozen=True):
    """A page of messages."""

    messages: tuple[Message, ...]
    next: int | None = None


class Created(msgspec.Struct, frozen=True):
    """A conversation."""

    epoch: str


class Guest(msgspec.Struct, frozen=True):
    """An answer to a guest's login."""

    token: str


class Position(msgspec.Struct, frozen=True):
    """What `stream.open` and `stream.reset` say."""

    offset: int = 0


def decode(data: bytes, kind: type[_T]) -> _T:
    """Decode JSON of the server.

    Raises:
        WireError: It is something else.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise WireError(f"not what the protocol says: {exc}") from exc


def documents(body: bytes) -> list[Document]:
    """The documents of a text frame.

    Raises:
        WireError: One of them is none.
    """
    return [decode(line, Document) for line in body.split(b"\n") if line]


def subscribe(command_id: int, conversation: str, after: int, epoch: str) -> bytes:
    """Follow a conversation after an offset."""
    wanted = {"channel": conversation, "recover": True, "offset": after, "epoch": epoch}
    return msgspec.json.encode({"id": command_id, "subscribe": wanted})


def post(command_id: int, conversation: str, text: str) -> bytes:
    """Post with the text as the idempotency key; the reply has the message."""
    data = {"conversation": conversation, "text": text, "idempotency_key": text[:64]}
    return msgspec.json.encode({"id": command_id, "rpc": {"method": "post", "data": data}})


@attrs.frozen
class Block:
    """One event of a stream; `id` is empty where it has none."""

    id: str
    event: str
    data: bytes


class Blocks:
    """Cuts the bytes of an event stream into blocks; comments are left out. Keeps at most `MAX_BLOCK_BYTES`."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Block]:
        """The blocks that these bytes complete.

        Raises:
            WireError: A block does not end.
        """
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        if len(self._rest) > MAX_BLOCK_BYTES:
            raise WireError("a block of an event stream does not end")
        return [block for raw in whole if (block := _block(raw)) is not None]


def _block(raw: bytes) -> Block | None:
    fields: dict[bytes, bytes] = {}
    for line in raw.split(b"\n"):
        name, _, value = line.partition(b":")
        fields[name] = value.removeprefix(b" ")
    if b"event" not in fields:
        return None
    return Block(fields.get(b"id", b"").decode(), fields[b"event"].decode(), fields.get(b"data", b""))
