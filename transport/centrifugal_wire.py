"""The Centrifugal client protocol in JSON as values: commands in, replies and pushes out, and its codes.

Source: the public protocol definition and "Client protocol" page of Centrifugo v5/v6 (commands, replies, pushes, error codes
below 400 and close codes 3000 to 4999; 3000-3499 and 4000-4499 let a client reconnect, 3500-3999 and 4500-4999 do not).
What is sent together is one or more JSON documents, one a line. An empty document is a ping from the server and its answer.
Left out: what wraps documents on each transport (`centrifugal_framing`).
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated, Any

import msgspec

from ..engine.core import codec
from ..engine.core.errors import WIRE, EngineError, InvalidCommand
from ..engine.core.messages import Event
from ..engine.core.recovery import Reset, Since
from ..engine.core.subscriber import Joined
from ..engine.core.tail import Entry

PING = b"{}"


class Disconnect(Enum):
    """Close codes with their reasons."""

    SHUTDOWN = (3001, "shutdown")
    SERVER_ERROR = (3004, "internal server error")
    EXPIRED = (3005, "connection expired")
    SLOW = (3008, "slow")
    INSUFFICIENT_STATE = (3010, "insufficient state")
    NO_PONG = (3012, "no pong")
    INVALID_TOKEN = (3500, "invalid token")
    BAD_REQUEST = (3501, "bad request")
    STALE = (3502, "stale")
    ACCOUNT_CHANGED = (4002, "account changed")
    STORE_AWAY = (4001, "authentication is not possible just now")

    @property
    def code(self) -> int:
        """The code."""
        return self.value[0]

    @property
    def reason(self) -> str:
        """A short text for people."""
        return self.value[1]


UNSUBSCRIBED = 2000
"""Code of an unsubscribe push that is meant to last."""
RESUBSCRIBE = 2500
"""Code of an unsubscribe push after which a client may subscribe again (2500 and above)."""
EXPIRED = 2501
"""As `RESUBSCRIBE`: the subscription's token has ended."""
TERMINAL = frozenset({"not_found", "forbidden", "unauthenticated"})
"""Reasons for which a room ends a subscription that trying again will not help."""


class Position(msgspec.Struct):
    """A stream position."""

    offset: int = 0
    epoch: str = ""


class Subscribe(msgspec.Struct):
    """Follow a channel; with `recover` from a position."""

    channel: str = ""
    token: str = ""
    recover: bool = False
    offset: int = 0
    epoch: str = ""


class Connect(msgspec.Struct):
    """Authenticate; `subs` says where a client left off in what its token subscribes it to."""

    token: str = ""
    name: str = ""
    subs: dict[str, Subscribe] = {}


class Refresh(msgspec.Struct):
    """Go on with another token."""

    token: str = ""


class SubRefresh(msgspec.Struct):
    """Go on with a subscription by another token."""

    channel: str = ""
    token: str = ""


class Channel(msgspec.Struct):
    """A command that only names a channel."""

    channel: str = ""


class Publish(msgspec.Struct):
    """Post into a channel."""

    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class History(msgspec.Struct):
    """A page of a channel's log."""

    channel: str = ""
    limit: int = 0
    since: Position | None = None
    reverse: bool = False


class Rpc(msgspec.Struct):
    """Call a method."""

    method: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Command(msgspec.Struct):
    """One command; exactly one of the members besides `id` is set, none in a pong."""

    id: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0
    connect: Connect | None = None
    subscribe: Subscribe | None = None
    unsubscribe: Channel | None = None
    publish: Publish | None = None
    presence: Channel | None = None
    presence_stats: Channel | None = None
    history: History | None = None
    ping: dict[str, Any] | None = None
    send: dict[str, Any] | None = None
    rpc: Rpc | None = None
    refresh: Refresh | None = None
    sub_refresh: SubRefresh | None = None


decode_command = msgspec.json.Decoder(Command).decode
"""Raises `msgspec.MsgspecError`, `UnicodeDecodeError`, `ValueError` or `RecursionError` for what is no command."""


def id_beside_lone_surrogate(document: bytes) -> int | None:
    """The id of a command that cannot be decoded because a text in it holds a lone surrogate; None for any other fault.

    A browser writes such texts without being asked (half an emoji, cut out), so the command is answered and the
    connection stays. Only called on the way to an error.
    """
    try:
        command = json.loads(document)
        json.dumps(command, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        found = command.get("id") if isinstance(command, dict) else None
        return found if type(found) is int and 0 < found < 2**32 else None
    except (ValueError, RecursionError):
        return None
    return None


def publication_push(event: Event, body: bytes) -> bytes:
    """An event as a push; `pub.data` is its JSON."""
    return b'{"push":{"channel":"%b","pub":%b}}' % (event.conversation.encode(), publication(event, body))


def publication(event: Event, body: bytes) -> bytes:
    """A publication object. Ephemeral events have no offset, so that clients keep their position."""
    if event.offset is None:
        return b'{"data":%b}' % body
    return b'{"data":%b,"offset":%d}' % (body, event.offset)


def since_of(request: Subscribe) -> Since | None:
    """Where a client wants to go on; None when it does not.

    Raises:
        InvalidCommand: an offset that cannot be.
    """
    return position(request.offset, request.epoch) if request.recover else None


def position(offset: int, epoch: str) -> Since:
    """A position that came from outside.

    Raises:
        InvalidCommand: an offset that cannot be.
    """
    if not 0 <= offset < 2**63:
        raise InvalidCommand("an offset is a whole number from 0 upwards")
    return Since(offset, epoch or None)


def subscribed(joined: Joined, *, recover: bool, more: bytes = b"") -> bytes:
    """What the client learns of its new subscription; `more` is spliced in."""
    body = b'{"recoverable":true,"positioned":true,"epoch":%b,"offset":%d%b' % (
        codec.encode_json(joined.record.epoch),
        joined.offset,
        more,
    )
    if recover:
        recovered = b"false" if isinstance(joined.decision, Reset) else b"true"
        body += b',"was_recovering":true,"recovered":%b' % recovered
        if joined.entries:
            body += b',"publications":[%b]' % joined.page.wire("centrifugal", _publications)
    return body + b"}"


def _publications(entries: tuple[Entry, ...]) -> bytes:
    return b",".join([publication(entry.event, entry.body) for entry in entries])


def reply(command_id: int, kind: bytes, body: bytes) -> bytes:
    """A successful reply."""
    return b'{"id":%d,"%b":%b}' % (command_id, kind, body)


def error_reply(command_id: int, error: EngineError) -> bytes:
    """A reply with an error."""
    wire = WIRE.get(error.code, WIRE["internal"])
    body: dict[str, object] = {"code": wire.reply_code, "message": str(error)}
    if wire.temporary:
        body["temporary"] = True
    return b'{"id":%d,"error":%b}' % (command_id, codec.encode_json(body))


def unsubscribe_push(channel: str, code: int, reason: str) -> bytes:
    """Tell a client that it follows a channel no longer."""
    return codec.encode_json({"push": {"channel": channel, "unsubscribe": {"code": code, "reason": reason}}})


def disconnect_push(code: int, reason: str) -> bytes:
    """Tell a client that its connection ends, on a transport that has no close codes."""
    return codec.encode_json({"push": {"disconnect": {"code": code, "reason": reason}}})


def object_of(raw: msgspec.Raw) -> dict[str, Any]:
    """The data of a publish or an rpc as an object; a missing one is empty.

    Raises:
        InvalidCommand: it is something else.
    """
    data = bytes(raw)
    if data == b"null":
        raise InvalidCommand("'data' must be an object")
    return codec.decode_object(data)
