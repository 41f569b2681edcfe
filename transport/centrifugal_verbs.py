"""What a connected Centrifugal client can ask: each command of the protocol, and the chat's own methods behind `rpc`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..engine.core import codec
from ..engine.core.codec import JsonObject
from ..engine.core.commands import Replayed, Roster
from ..engine.core.errors import EngineError, UnknownMethod
from ..engine.core.ids import ConversationId
from ..engine.core.messages import Ack, Record
from ..engine.core.principals import Principal
from ..engine.core.subscriber import Joined, Subscriber
from . import centrifugal_wire as wire
from .centrifugal_members import MEMBER_METHODS
from .centrifugal_tokens import client_info, refresh, sub_refresh, subscribe_with_token, with_channel_info, withdraw
from .limit_settings import Action

if TYPE_CHECKING:
    from .centrifugal import CentrifugalConnection

Verb = Callable[["CentrifugalConnection", int, Any], None]
Method = Callable[["CentrifugalConnection", int, JsonObject], None]


def subscribe(peer: CentrifugalConnection, command_id: int, request: wire.Subscribe) -> None:
    """Follow; the reply carries the first page of what was missed and names that page's last offset."""
    since = wire.since_of(request)
    channel = request.channel

    def join_it(more: bytes = b"", info: bytes | None = None) -> None:
        def done(answer: Joined | EngineError) -> None:
            if isinstance(answer, EngineError):
                if peer.session.unfollow(channel, join.subscriber) is not None:
                    withdraw(peer, conversation)
                peer.answer(peer.refusal(command_id, answer))
            else:
                body = wire.subscribed(answer, recover=since is not None, more=more)
                peer.answer(wire.reply(command_id, b"subscribe", body))

        def make(principal: Principal) -> Subscriber:
            return Subscriber(peer, peer.format, with_channel_info(principal, info), peer.client)

        conversation, join = peer.session.follow(channel, since, make, peer.settings.page_bytes, done)
        try:
            peer.api.engine.send(conversation, join)
        except EngineError:
            peer.session.unfollow(channel, join.subscriber)
            raise

    if request.token:
        subscribe_with_token(peer, command_id, request, join_it)
    else:
        join_it()


def unsubscribe(peer: CentrifugalConnection, command_id: int, request: wire.Channel) -> None:
    """Stop following; fine when one did not."""
    subscriber = peer.session.unfollow(request.channel)
    if subscriber is not None:
        subscriber.leave()
        withdraw(peer, ConversationId(request.channel))
    peer.answer(wire.reply(command_id, b"unsubscribe", b"{}"))


def publish(peer: CentrifugalConnection, command_id: int, request: wire.Publish) -> None:
    """Post; `data` is the body of a post. The reply comes when it is committed."""
    reply = peer.replying(command_id, b"publish", lambda _: b"{}")
    stamp = peer.api.engine.stamp(request_id=peer.request_id)
    conversation, command = peer.session.post(request.channel, wire.object_of(request.data), stamp, reply)
    peer.api.engine.send(conversation, command)


def history(peer: CentrifugalConnection, command_id: int, request: wire.History) -> None:
    """A page of the log; `limit` 0 asks for the position only, -1 for as much as a page holds."""

    def body(answer: Replayed) -> bytes:
        rows = b",".join([wire.publication(event, codec.event_json(event)) for event in answer.events])
        epoch = codec.encode_json(answer.record.epoch)
        return b'{"publications":[%b],"epoch":%b,"offset":%d}' % (rows, epoch, answer.record.offset)

    since = None if request.since is None else wire.position(request.since.offset, request.since.epoch)
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
        return codec.encode_json({"presence": {client: client_info(client, who) for client, who in roster.listed}})

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
    data = wire.object_of(request.data)
    name = data.get("conversation")
    peer.limit(METHOD_ACTIONS.get(request.method, Action.WRITE), name if isinstance(name, str) else "")
    method(peer, command_id, data)


def _data(peer: CentrifugalConnection, command_id: int, make: Callable[[Any], bytes]) -> Callable[[Any], None]:
    return peer.replying(command_id, b"rpc", lambda answer: b'{"data":%b}' % make(answer))


def rpc_post(peer: CentrifugalConnection, command_id: int, data: JsonObject) -> None:
    """``{"conversation", "text", "idempotency_key"?, ...}`` -> the message as REST shows it."""

    def body(ack: Ack) -> bytes:
        return codec.message_json(ack.message)

    name = codec.require_text(data, "conversation")
    stamp = peer.api.engine.stamp(request_id=peer.request_id)
    conversation, command = peer.session.post(name, data, stamp, _data(peer, command_id, body))
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
    "refresh": refresh,
    "sub_refresh": sub_refresh,
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
    **MEMBER_METHODS,
}

ACTIONS: dict[str, Action] = {
    "publish": Action.POST,
    "rpc": Action.FREE,
    "subscribe": Action.SUBSCRIBE,
    "unsubscribe": Action.FREE,
    "history": Action.READ,
    "presence": Action.READ,
    "presence_stats": Action.READ,
    "ping": Action.FREE,
    "refresh": Action.WRITE,
    "sub_refresh": Action.WRITE,
}
"""What limits count each command as, by its channel; a method of `rpc` counts as what it is. What is missing is a write."""

METHOD_ACTIONS: dict[str, Action] = {
    "post": Action.POST,
    "history": Action.READ,
    "conversation": Action.READ,
    "typing": Action.WRITE,
    "members": Action.READ,
    "bans": Action.READ,
    "blocks": Action.READ,
    "join": Action.JOIN,
}
