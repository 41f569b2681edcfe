"""Tokens in the Centrifugal protocol: `connect`, `refresh` and `sub_refresh`, and subscribing with a token of its own.

As in Centrifugo: a token that has ended is answered with error 109, whereupon the stock SDKs fetch another and come again; one
that is not good closes the connection for good (3500), or refuses the subscription (103). What the claims `channels` and `subs`
name is joined before the reply to `connect`, which carries it; until that reply has left nothing of these rooms is pushed,
because a client would not know what it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import msgspec
import trio

from ..engine import EngineError, Overloaded
from ..engine.core import codec
from ..engine.core.errors import (
    AlreadySubscribed,
    ClientError,
    ConversationQuarantined,
    Forbidden,
    InvalidCommand,
    TokenExpired,
)
from ..engine.core.ids import ConversationId, conversation_id
from ..engine.core.principals import Principal
from ..engine.core.subscriber import Joined, Subscriber
from . import centrifugal_wire as wire
from .auth import Credential
from .centrifugal_tenure import ttl_s
from .centrifugal_wire import Disconnect
from .jwt import ChannelPass, JwtCredential, JwtPrincipal
from .version import version

if TYPE_CHECKING:
    from .centrifugal import CentrifugalConnection

Subs = Mapping[str, wire.Subscribe]
"""Where a client that comes back left off, by channel."""

LOOKUPS = 32
_LOOKUP_S = 10.0


class PlacedSubscriber(Subscriber):
    """A subscription that a connection token brought along: the client cannot take it up again by itself."""

    __slots__ = ()


def connect(peer: CentrifugalConnection, command_id: int, request: wire.Connect) -> None:
    """Authenticate by the command's token, or by the credential that opened the connection."""
    if peer.client or command_id <= 0 or not _are_positions(request.subs):
        peer.disconnect(Disconnect.BAD_REQUEST)
    elif request.token:
        peer.wait()
        peer.api.auth.check(request.token, lambda found: _authenticated(peer, command_id, found, request.subs))
    elif peer.session.principal is not None:
        peer.wait()
        _place(peer, command_id, request.subs)
    else:
        peer.disconnect(Disconnect.INVALID_TOKEN)


def _are_positions(subs: Subs) -> bool:
    """Whether each is a place to go on from: a later complaint would have no command to answer."""
    try:
        for asked in subs.values():
            wire.since_of(asked)
    except InvalidCommand:
        return False
    return True


def _authenticated(peer: CentrifugalConnection, command_id: int, found: Credential | EngineError, subs: Subs) -> None:
    if peer.is_ended:
        return
    match found:
        case TokenExpired():
            peer.say(peer.refusal(command_id, found))
            peer.go_on()
        case ClientError():
            peer.disconnect(Disconnect.INVALID_TOKEN)
        case EngineError():
            peer.disconnect(Disconnect.STORE_AWAY)
        case _:
            peer.take_credential(found)
            _place(peer, command_id, subs)


def _place(peer: CentrifugalConnection, command_id: int, subs: Subs) -> None:
    """Join what the connection's token names, then answer its `connect`."""
    credential = peer.tenure.credential
    if isinstance(credential, JwtCredential) and credential.channels:
        _Placing(peer, command_id, credential.channels, subs).begin()
    else:
        peer.connected(peer.api.engine.fresh_id(), command_id, b"")


class _Placing:
    """The joins of one `connect`."""

    def __init__(
        self,
        peer: CentrifugalConnection,
        command_id: int,
        channels: Mapping[ConversationId, bytes | None],
        subs: Subs,
    ) -> None:
        self._peer = peer
        self._command_id = command_id
        self._channels = channels
        self._subs = subs
        self._client = peer.api.engine.fresh_id()
        self._joined: dict[ConversationId, Joined] = {}
        self._owed = len(channels)
        self._failed: EngineError | None = None

    def begin(self) -> None:
        """Ask every room. Each brings a share of what one subscribe reply may hold, the rest is pushed."""
        page_bytes = self._peer.settings.page_bytes // len(self._channels)
        for channel in self._channels:
            self._join(channel, page_bytes)

    def _join(self, channel: ConversationId, page_bytes: int) -> None:
        peer = self._peer
        asked = self._subs.get(channel)
        subscriber: Subscriber | None = None

        def make(principal: Principal) -> Subscriber:
            nonlocal subscriber
            subscriber = PlacedSubscriber(peer, peer.format, principal, self._client)
            subscriber.push = _hold_back
            return subscriber

        def done(answer: Joined | EngineError) -> None:
            if isinstance(answer, EngineError):
                if subscriber is not None:  # None: a client may have fewer subscriptions than its token names
                    peer.session.unfollow(channel, subscriber)
                if not isinstance(answer, ClientError | ConversationQuarantined):  # a later try may succeed
                    self._failed = answer
            else:
                self._joined[channel] = answer
            self._owed -= 1
            if not self._owed and not peer.is_ended:
                self._finish()

        since = wire.since_of(asked) if asked is not None else None
        try:
            _, join = peer.session.follow(channel, since, make, page_bytes, done)
            peer.api.engine.send(channel, join)
        except EngineError as error:
            done(error)

    def _finish(self) -> None:
        peer = self._peer
        if self._failed is not None:
            peer.leave_all()
            peer.say(peer.refusal(self._command_id, self._failed))
            peer.go_on()
            return
        rows = []
        for channel, joined in self._joined.items():
            asked, data = self._subs.get(channel), self._channels[channel]
            more = b"" if data is None else b',"data":%b' % data
            row = wire.subscribed(joined, recover=asked is not None and asked.recover, more=more)
            rows.append(b"%b:%b" % (codec.encode_json(channel), row))
        peer.connected(self._client, self._command_id, b',"subs":{%b}' % b",".join(rows))
        for subscriber in list(peer.session.following.values()):
            subscriber.push = peer.push
            subscriber.resume()


def _hold_back(data: bytes) -> bool:
    """Take nothing: the cursor stays, and goes on when the client knows of its subscription."""
    return False


def connect_body(peer: CentrifugalConnection, client: str, more: bytes) -> bytes:
    """The reply to `connect`; `more` is spliced in behind."""
    body: dict[str, object] = {
        "client": client,
        "version": f"hubbub {version()}",
        "ping": int(peer.settings.ping_s),
        "pong": True,
    }
    ends = peer.tenure.token_ends_at_ms
    if ends is not None:
        body |= _expiry(ends, peer.api.engine.now_ms())
    data = codec.encode_json(body)
    return data[:-1] + more + b"}" if more else data


def _expiry(ends_at_ms: int | None, now_ms: int) -> dict[str, object]:
    return {} if ends_at_ms is None else {"expires": True, "ttl": ttl_s(ends_at_ms, now_ms)}


# -- refresh ----------------------------------------------------------------------------------------------------------


def refresh(peer: CentrifugalConnection, command_id: int, request: wire.Refresh) -> None:
    """``{"token"}`` -> the connection lives by another token of the same user."""
    if not request.token:
        raise InvalidCommand("a token is needed")

    def done(found: Credential | EngineError) -> None:
        if peer.is_ended:
            return
        match found:
            case TokenExpired():
                peer.disconnect(Disconnect.EXPIRED)  # a reply with 109 would end the SDKs for good
            case ClientError():
                peer.disconnect(Disconnect.INVALID_TOKEN)
            case EngineError():
                peer.answer(peer.refusal(command_id, found))
            case _ if found.principal.id != peer.tenure.credential.principal.id:
                peer.disconnect(Disconnect.INVALID_TOKEN)
            case _:
                _close(peer, peer.renew_credential(found))
                ends = _expiry(peer.tenure.token_ends_at_ms, peer.api.engine.now_ms())
                body = {"client": peer.client, "version": f"hubbub {version()}", **ends}
                peer.answer(wire.reply(command_id, b"refresh", codec.encode_json(body)))

    peer.api.auth.check(request.token, done)


def _close(peer: CentrifugalConnection, channels: frozenset[ConversationId]) -> None:
    """What the new token does not open is left: for good where the old one had placed it, else the room decides anew."""
    for channel in channels:
        subscriber = peer.session.unfollow(channel)
        if subscriber is not None:
            subscriber.leave()
            placed = isinstance(subscriber, PlacedSubscriber)
            code = wire.UNSUBSCRIBED if placed else wire.RESUBSCRIBE
            peer.notify(wire.unsubscribe_push(channel, code, "the token does not open it any more"))


# -- subscription tokens ----------------------------------------------------------------------------------------------


def subscribe_with_token(
    peer: CentrifugalConnection, command_id: int, request: wire.Subscribe, go_on: Callable[[bytes, bytes | None], None]
) -> None:
    """Check the token of a `subscribe`, then go on with it.

    Args:
        go_on: joins; gets what the reply says of the token, and its `info`.

    Raises:
        InvalidCommand, Overloaded: nothing was begun.
    """
    channel = conversation_id(request.channel)

    def opened(found: ChannelPass) -> None:
        if (
            channel in peer.session.following
        ):  # before its pass is touched: the one that it lives by must outlast the refusal
            raise AlreadySubscribed("this connection follows the conversation already")
        _admit(peer, found)
        ends = codec.encode_json(_expiry(found.ends_at_ms, peer.api.engine.now_ms()))
        try:
            go_on(b"," + ends[1:-1], found.info)
        except EngineError:
            withdraw(peer, channel)
            raise

    _look_up(peer, command_id, request.token, channel, opened)


def sub_refresh(peer: CentrifugalConnection, command_id: int, request: wire.SubRefresh) -> None:
    """``{"channel", "token"}`` -> the subscription lives by another token."""
    channel = conversation_id(request.channel)
    if not peer.tenure.has_pass(channel):
        raise Forbidden("no token has opened this channel")

    def opened(found: ChannelPass) -> None:
        if not peer.tenure.has_pass(channel):
            raise Forbidden("the subscription is over")
        _admit(peer, found)
        body = codec.encode_json(_expiry(found.ends_at_ms, peer.api.engine.now_ms()))
        peer.answer(wire.reply(command_id, b"sub_refresh", body))

    def expired() -> None:
        if peer.tenure.withdraw(channel):
            end_subscriptions(peer, [channel])

    _look_up(peer, command_id, request.token, channel, opened, expired)


def _admit(peer: CentrifugalConnection, found: ChannelPass) -> None:
    peer.tenure.admit(found.channel, found.ends_at_ms)
    peer.tenure_changed()


def withdraw(peer: CentrifugalConnection, channel: ConversationId) -> None:
    """A subscription is over, and what its token opened with it."""
    if peer.tenure.withdraw(channel):
        peer.session.principal = peer.tenure.principal


def end_subscriptions(peer: CentrifugalConnection, channels: Iterable[ConversationId]) -> None:
    """The tokens of some subscriptions have ended: the stock SDKs fetch others and subscribe again."""
    for channel in channels:
        subscriber = peer.session.unfollow(channel)
        if subscriber is not None:
            subscriber.leave()
            peer.notify(wire.unsubscribe_push(channel, wire.EXPIRED, "subscription expired"))
    peer.session.principal = peer.tenure.principal


def tell_cut_off(peer: CentrifugalConnection, subscriber: Subscriber, channel: ConversationId, code: str) -> None:
    """A room has ended a subscription: the client takes it up again, unless it would be refused, or connects again where that
    is all that it can do."""
    withdraw(peer, channel)
    if code in wire.TERMINAL:
        peer.notify(wire.unsubscribe_push(channel, wire.UNSUBSCRIBED, code))
    elif not isinstance(subscriber, PlacedSubscriber):
        peer.notify(wire.unsubscribe_push(channel, wire.RESUBSCRIBE, code))
    else:
        peer.disconnect(Disconnect.INSUFFICIENT_STATE)


def client_info(client: str, principal: Principal) -> dict[str, object]:
    """One client in a roster (`ClientInfo` of the protocol); `info` is what its token says."""
    shown: dict[str, object] = {"name": principal.author.name, "kind": principal.author.kind}
    found: dict[str, object] = {"client": client, "user": principal.id, "conn_info": shown}
    if isinstance(principal, JwtPrincipal):
        if principal.info is not None:
            shown["info"] = msgspec.Raw(principal.info)
        if principal.channel_info is not None:
            found["chan_info"] = msgspec.Raw(principal.channel_info)
    return found


def with_channel_info(principal: Principal, info: bytes | None) -> Principal:
    """The principal as others see it in one room."""
    return attrs.evolve(principal, channel_info=info) if isinstance(principal, JwtPrincipal) and info else principal


def _look_up(
    peer: CentrifugalConnection,
    command_id: int,
    token: str,
    channel: ConversationId,
    opened: Callable[[ChannelPass], None],
    expired: Callable[[], None] = lambda: None,
) -> None:
    """Check a subscription token, and answer the command where it is not good.

    Raises:
        Forbidden: this server takes none.
        Overloaded: too many are being checked.
    """
    authority, user = peer.api.jwt, peer.tenure.credential.principal.id
    if authority is None:
        raise Forbidden("subscription tokens are not accepted here")
    if authority.lookups >= LOOKUPS:
        raise Overloaded("too many tokens are being looked up")
    authority.lookups += 1

    async def look_up() -> None:
        found: Any = Overloaded("the token could not be checked in time")
        try:
            with trio.move_on_after(_LOOKUP_S):
                found = await authority.resolve_channel(token, user, channel)
        except EngineError as error:
            found = error
        finally:
            authority.lookups -= 1
        if peer.is_ended:
            return
        try:
            if isinstance(found, EngineError):
                if isinstance(found, TokenExpired):
                    expired()
                raise found
            opened(found)
        except EngineError as error:
            peer.answer(peer.refusal(command_id, error))

    peer.api.start_soon(look_up)
