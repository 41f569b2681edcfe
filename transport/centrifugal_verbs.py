"""What a connected Centrifugal client can ask: each command of the protocol, and the chat's own methods behind `rpc`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..engine.core import codec
from ..engine.core.codec import JsonObject
from ..engine.core.commands import Replayed, Roster
from ..engine.core.errors import EngineError, InvalidCommand, UnknownMethod
from ..engine.core.messages import Ack, Record
from ..engine.core.recovery import Reset, Since
from ..engine.core.subscriber import Joined, Subscriber
from ..engine.core.tail import Entry
from . import centrifugal_wire as wire

if TYPE_CHECKING:
    from .centrifugal import CentrifugalConnection

Verb = Callable[["CentrifugalConnection", int, Any], None]
Method = Callable[["CentrifugalConnection", int, JsonObject], None]


def _since(offset: int, epoch: str) -> Since:
    if not 0 <= offset < 2**63:
        raise InvalidCommand("an offset is a whole number from 0 upwards")
    return Since(offset, epoch or None)


def subscribe(peer: CentrifugalConnection, command_id: int, request: wire.Subscribe) -> None:
    """Follow; the reply carries the first page of what was missed and names that page's last offset."""
    since = _since(request.offset, request.epoch) if request.recover else None
    channel = request.channel

    def done(answer: Joined | EngineError) -> None:
        if isinstance(answer, EngineError):
            peer.session.unfollow(channel, join.subscriber)
            peer.answer(wire.error_reply(command_id, answer))
        else:
            peer.answer(wire.reply(command_id, b"subscribe", _subscribed(answer, recover=since is not None)))

    def make(principal: Any) -> Subscriber:
        return Subscriber(peer, peer.format, principal, peer.client)

    conversation, join = peer.session.follow(channel, since, make, peer.settings.page_bytes, done)
    try:
        peer.api.engine.send(conversation, join)
    except EngineError:
        peer.session.unfollow(channel, join.subscriber)
        raise


def _subscribed(joined: Joined, *, recover: bool) -> bytes:
    body = b'{"recoverable":true,"positioned":true,"epoch":%b,"offset":%d' % (
        codec.encode_json(joined.record.epoch),
        joined.offset,
    )
    if recover:
        recovered = b"false" if isinstance(joined.decision, Reset) else b"true"
        body += b',"was_recovering":true,"recovered":%b' % recovered
        if joined.entries:
            body += b',"publications":[%b]' % joined.page.wire("centrifugal", _publications)
    return body + b"}"


def _publications(entries: tuple[Entry, ...]) -> bytes:
    return b",".join([wire.publication(entry.event, entry.body) for entry in entries])


def unsubscribe(peer: CentrifugalConnection, command_id: int, request: wire.Channel) -> None:
    """Stop following; fine when one did not."""
    subscriber = peer.session.unfollow(request.channel)
    if subscriber is not None:
        subscriber.leave()
    peer.answer(wire.reply(command_id, b"unsubscribe", b"{}"))


def publish(peer: CentrifugalConnection, command_id: int, request: wire.Publish) -> None:
    """Post; `data` is the body of a post. The reply comes when it is committed."""
    reply = peer.replying(command_id, b"publish", lambda _: b"{}")
    conversation, command = peer.session.post(
        request.channel, wire.object_of(request.data), peer.api.engine.stamp(), reply
    )
    peer.api.engine.send(conversation, command)


def history(peer: CentrifugalConnection, command_id: int, request: wire.History) -> None:
    """A page of the log; `limit` 0 asks for the position only, -1 for as much as a page holds."""

    def body(answer: Replayed) -> bytes:
        rows = b",".join([wire.publication(event, codec.event_json(event)) for event in answer.events])
        epoch = codec.encode_json(answer.record.epoch)
        return b'{"publications":[%b],"epoch":%b,"offset":%d}' % (rows, epoch, answer.record.offset)

    since = None if request.since is None else _since(request.since.offset, request.since.epoch)
    conversation, command = peer.session.replay(
        request.channel,
        since,
        limit=request.limit,
        reverse=request.reverse,
        reply=peer.replying(command_id, b"history", body),
    )
    peer.api.engine.send(conversation, command)


def presence(peer: CentrifugalConnection, command_id: int, request: wire.Channel) -> None:
    """The clients that follow, at most a thousand of them."""

    def body(roster: Roster) -> bytes:
        clients = {
            client: {
                "client": client,
                "user": principal.id,
                "conn_info": {"name": principal.author.name, "kind": principal.author.kind},
            }
            for client, principal in roster.listed
        }
        return codec.encode_json({"presence": clients})

    conversation, command = peer.session.presence(request.channel, peer.replying(command_id, b"presence", body))
    peer.api.engine.send(conversation, command)


def presence_stats(peer: CentrifugalConnection, command_id: int, request: wire.Channel) -> None:
    """Exact counts of clients and users that follow."""

    def body(roster: Roster) -> bytes:
        return b'{"num_clients":%d,"num_users":%d}' % (roster.clients, roster.users)

    reply = peer.replying(command_id, b"presence_stats", body)
    conversation, command = peer.session.presence_counts(request.channel, reply)
    peer.api.engine.send(conversation, command)


def ping(peer: CentrifugalConnection, command_id: int, request: JsonObject) -> None:
    """Answer."""
    peer.answer(wire.reply(command_id, b"ping", b"{}"))


def rpc(peer: CentrifugalConnection, command_id: int, request: wire.Rpc) -> None:
    """Call one of the chat's own methods."""
    method = METHODS.get(request.method)
    if method is None:
        raise UnknownMethod("no such method")
    method(peer, command_id, wire.object_of(request.data))


def _data(peer: CentrifugalConnection, command_id: int, make: Callable[[Any], bytes]) -> Callable[[Any], None]:
    return peer.replying(command_id, b"rpc", lambda answer: b'{"data":%b}' % make(answer))


def rpc_post(peer: CentrifugalConnection, command_id: int, data: JsonObject) -> None:
    """``{"conversation", "text", "idempotency_key"?, ...}`` -> the message as REST shows it."""

    def body(ack: Ack) -> bytes:
        return codec.message_json(ack.message)

    name = codec.require_text(data, "conversation")
    conversation, command = peer.session.post(name, data, peer.api.engine.stamp(), _data(peer, command_id, body))
    peer.api.engine.send(conversation, command)


def rpc_history(peer: CentrifugalConnection, command_id: int, data: JsonObject) -> None:
    """``{"conversation", "after"?, "before"?, "around"?, "limit"?}`` -> a page of messages as REST shows it."""

    conversation, command = peer.session.history(
        codec.require_text(data, "conversation"),
        after=codec.get_int(data, "after"),
        before=codec.get_int(data, "before"),
        around=codec.get_text(data, "around"),
        limit=codec.get_int(data, "limit"),
        reply=_data(peer, command_id, codec.page_json),
    )
    peer.api.engine.send(conversation, command)


def rpc_describe(peer: CentrifugalConnection, command_id: int, data: JsonObject) -> None:
    """``{"conversation"}`` -> the record as REST shows it."""

    def body(record: Record) -> bytes:
        return codec.record_json(record)

    name = codec.require_text(data, "conversation")
    conversation, command = peer.session.describe(name, _data(peer, command_id, body))
    peer.api.engine.send(conversation, command)


def rpc_typing(peer: CentrifugalConnection, command_id: int, data: JsonObject) -> None:
    """``{"conversation"}`` -> ``{}``; the others see an ephemeral event."""
    name = codec.require_text(data, "conversation")
    conversation, command = peer.session.typing(
        name, peer.api.engine.now_ms(), _data(peer, command_id, lambda _: b"{}")
    )
    peer.api.engine.send(conversation, command)


VERBS: dict[str, Verb] = {
    "publish": publish,
    "rpc": rpc,
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
    "history": history,
    "presence": presence,
    "presence_stats": presence_stats,
    "ping": ping,
}

METHODS: dict[str, Method] = {
    "post": rpc_post,
    "history": rpc_history,
    "conversation": rpc_describe,
    "typing": rpc_typing,
}
